"""The policy decision for prod: asked last before a commit, and recorded with its inputs.

A permission stands in the audit record of the change that it permits, in the same batch; a refusal
in a record of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Denied, Violation
from shared.kernel.ids import event_id
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision
from shared.policies.engine import PolicyEngine, PolicyQuestion
from shared.policies.prod_rules import ProdChange, ProdRules, violations

T = TypeVar("T")


@dataclass(frozen=True)
class PolicyDecision:
    """What the policy says of a change; without a violation it is allowed."""

    violations: Sequence[Violation]
    record: Mapping[str, Any]
    """The decision with its inputs, for the audit trail."""


class PolicyDenied(Denied):
    """The policy for prod does not allow the change; the details say what it would."""

    def __init__(self, change: ProdChange, found: Sequence[Violation]) -> None:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(
            f"the policy for prod does not allow {change.action} in {change.environment_id}: "
            f"{found[0]}{more}",
            target=found[0].target,
            details=found,
        )


@dataclass(frozen=True)
class ProdPolicy:
    """The rules of the operator, and the engine that is asked about what they allow."""

    rules: ProdRules
    engine: PolicyEngine | None = None

    async def permit(
        self, decision: Decision[T], change: ProdChange | None, ctx: Context, once: AskedOnce
    ) -> Decision[T]:
        """Return *decision* with the permission of *change* in its audit record.

        Where it is not allowed, the decision is a refusal, `PolicyDenied`, with a record of its
        own. None is a change of another stage, which is not decided about. A command asks once
        for the same change, whoever writes in between.

        Raises:
            Unavailable: the engine does not say.
        """
        if change is None:
            return decision
        said = await once.ask(change, lambda: self.decide(change, ctx))
        if not said.violations:
            assert decision.audited is not None, change
            return replace(decision, audited=replace(decision.audited, policy=said.record))
        denied = PolicyDenied(change, said.violations)
        audited = Audited(
            change.action, change.environment_id, denied.code, denied.message, said.record
        )
        return replace(decision, writes=(), outbox=(), audited=audited, refusal=denied)

    async def refusals(self, change: ProdChange | None, ctx: Context) -> Sequence[Violation]:
        """Return what would be denied of *change*, each in one sentence.

        For a dry run, which decides nothing and is not recorded.

        Raises:
            Unavailable: the engine does not say.
        """
        if change is None:
            return ()
        return [
            replace(each, message=f"{each.message}: expected {each.expected}, got {each.received}")
            if each.expected
            else each
            for each in (await self.decide(change, ctx, is_dry_run=True)).violations
        ]

    async def decide(
        self, change: ProdChange, ctx: Context, *, is_dry_run: bool = False
    ) -> PolicyDecision:
        """Return what the policy says of *change*; the engine is asked if the rules allow it.

        Raises:
            Unavailable: the engine does not say.
        """
        found = violations(self.rules, change)
        record: dict[str, Any] = {
            "rules": self.rules.model_dump(mode="json", exclude_none=True),
            "inputs": change.inputs(),
        }
        if self.engine is not None and not found:
            question = PolicyQuestion(
                event_id(ctx.entropy), ctx.tenant, ctx.cause.actor, change.inputs(), is_dry_run
            )
            answer = await self.engine.ask(question)
            found = answer.violations()
            record["engine"] = {
                "requestId": question.request_id,
                "allowed": answer.allowed,
                "reasons": [*answer.reasons],
                "decisionId": answer.decision_id,
            }
        record["allowed"] = not found
        if found:
            record["findings"] = [asdict(each) for each in found]
        return PolicyDecision(found, record)
