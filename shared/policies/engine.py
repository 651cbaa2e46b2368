"""An external policy engine: asked by a signed request, which the guard checks.

Only an answer that says so allows a change: whatever else comes, or does not come, is no decision.
"""

import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

from pydantic import ConfigDict, Field, StringConstraints

from shared.contracts.shape import Value
from shared.contracts.validation import parse
from shared.contracts.values import Label
from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Unavailable, Violation
from shared.kernel.trust import trusted_once
from shared.probing.guard import Forbidden, Network, Resolve, resolve_by_system
from shared.probing.signed_request import post_signed

_log = logging.getLogger(__name__)
WITHIN_S: Final = 5.0
"""The caller of a command waits for it."""
_RETRY_AFTER_S: Final = 5.0
_REASON: Final = "it gives no reason"


@dataclass(frozen=True)
class PolicyQuestion:
    """What an engine is asked: who wants to change what."""

    request_id: str
    tenant_id: str
    actor: str
    inputs: Mapping[str, Any]
    is_dry_run: bool = False
    """Nothing follows from the answer."""

    def content(self) -> Mapping[str, Any]:
        return {
            "requestId": self.request_id,
            "dryRun": self.is_dry_run,
            "tenantId": self.tenant_id,
            "actor": self.actor,
            "inputs": self.inputs,
        }


class EngineAnswer(Value):
    """The answer of an engine; what else stands in it is left out."""

    model_config = ConfigDict(extra="ignore")

    allowed: bool
    reasons: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=500)], ...], Field(max_length=20)
    ] = ()
    decision_id: Label | None = None
    """Its own name for the decision."""

    def violations(self) -> Sequence[Violation]:
        """Return why the change is denied; nothing when it is allowed."""
        if self.allowed:
            return ()
        said = self.reasons or (_REASON,)
        return [
            Violation("PolicyEngineDenied", "", f"the policy engine denies it: {reason}")
            for reason in said
        ]


class PolicyEngine(Protocol):
    """Decides about changes of prod that the built-in rules allow."""

    async def ask(self, question: PolicyQuestion) -> EngineAnswer:
        """Return what the engine says.

        Raises:
            Unavailable: it is away, late, or answers otherwise.
        """
        ...


@dataclass(frozen=True)
class SignedPolicyEngine:
    """The port over https. *networks* are private ranges in which the engine may be.

    *ca_file* has authorities to trust besides the machine's. No redirect is followed.
    """

    url: str
    key: str = field(repr=False)
    clock: Clock
    networks: Sequence[Network] = ()
    ca_file: Path | None = None
    within_s: float = WITHIN_S
    resolve: Resolve = resolve_by_system
    _trust: list[ssl.SSLContext] = field(default_factory=list, repr=False)
    """What `ca_file` says, once it was read."""

    async def ask(self, question: PolicyQuestion) -> EngineAnswer:
        try:
            status, body = await post_signed(
                self.url,
                question.content(),
                question.request_id,
                key=self.key,
                clock=self.clock,
                within_s=self.within_s,
                resolve=self.resolve,
                owned=self.networks,
                named=self.networks,
                trust=await trusted_once(self.ca_file, self._trust),
            )
        except (Forbidden, OSError, TimeoutError) as problem:
            # The address is the operator's to know, not the caller's.
            kind = type(problem).__name__
            _log.warning("the policy engine is not reached: %s %s", kind, problem)
            raise _no_decision(f"is not reached: {kind}") from problem
        if status != HTTPStatus.OK:
            raise _no_decision(f"answered {status}")
        try:
            return parse(EngineAnswer, body)
        except Invalid as problem:
            _log.warning("the policy engine answers otherwise: %s", problem.code)
            raise _no_decision('answered otherwise than {"allowed": true}') from problem


def _no_decision(why: str) -> Unavailable:
    return Unavailable(
        f"prod is not changed without a decision, and the policy engine {why}",
        retry_after_s=_RETRY_AFTER_S,
    )
