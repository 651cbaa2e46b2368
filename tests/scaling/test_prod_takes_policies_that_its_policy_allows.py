"""A scaling policy of prod is decided by the operator's rules, and recorded before it is said."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from function_apps.scaling.errors import PolicyExists, PolicyInvalid
from function_apps.scaling.repository import SERVICES
from shared.contracts.values import Stage
from shared.kernel.errors import Unavailable
from shared.messaging.audit import Entry
from shared.messaging.unit_of_work import Decision, Json, View
from shared.policies.engine import EngineAnswer, PolicyQuestion
from shared.policies.prod_policy import PolicyDenied, ProdPolicy
from shared.policies.prod_rules import read_prod_rules
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, ended, released, service_of
from tests.kit.virtual_time import run_virtual
from tests.scaling.scaled import ONE, RULE, Scaling, policy_of, serving, step

RULES: Mapping[str, Any] = {"sizes": {"replicas": 5, "computeTarget": {"cpu": 4}}}


@dataclass
class Engine:
    """An engine with one answer; None: it is away."""

    answer: EngineAnswer | None
    asked: list[PolicyQuestion] = field(default_factory=list)

    async def ask(self, question: PolicyQuestion) -> EngineAnswer:
        self.asked.append(question)
        if self.answer is None:
            raise Unavailable("the policy engine is away")
        return self.answer


async def in_prod(
    engine: Engine | None = None, *, stage: str = "prod", **component: Any
) -> Scaling:
    made = await serving(**component)
    made.app = replace(made.app, prod_policy=ProdPolicy(read_prod_rules(json.dumps(RULES)), engine))
    # The dispatcher of commands has the app without the policy; releases are told to it alone.
    told = ended(2, [released(revision=2, **component)])
    await made.hear(told.model_copy(update={"stage": Stage(stage)}))
    return made


async def changed(made: Scaling, **content: Any) -> None:
    await made.app.service.clock.sleep(1)
    body = {"min": 1, "max": 5, "rules": [RULE], **content}
    await made.call("PUT", ONE, body, policyId=policy_of())


async def forget_stage(made: Scaling) -> None:
    def decide(view: View) -> Decision[Json]:
        service = view.get(SERVICES, service_of())
        return Decision({}, writes=[SERVICES.put(replace(service, stage=None))])

    await made.app.service.work.change(made.ctx, SERVICES, service_of(), decide)


async def records(made: Scaling) -> Sequence[Entry]:
    """Return the records with a decision, once they have left the outbox."""
    await made.app.service.clock.sleep(60)
    await made.app.service.relay.sweep()
    entries = await made.app.service.audit.entries(TENANT)
    decided = [each for each in entries if each.record.policy is not None]
    return sorted(decided, key=lambda each: each.record.at)


def test_what_is_allowed_is_applied_and_its_permission_is_in_its_record() -> None:
    async def main() -> None:
        made = await in_prod()
        await made.apply(max=5)
        await changed(made, max=3)

        assert (await made.policy())["max"] == 3
        said = [each.record for each in await records(made)]
        assert [(each.action, each.policy["allowed"]) for each in said if each.policy] == [
            ("ApplyScalingPolicy", True),
            ("ApplyScalingPolicy", True),
        ]
        assert said[-1].policy is not None
        assert said[-1].policy["inputs"] == {
            "action": "ApplyScalingPolicy",
            "environmentId": ENVIRONMENT,
            "stage": "prod",
            "instances": {"moduleId": WEB, "min": 1, "max": 3, "resources": {}},
        }

    run_virtual(main())


@pytest.mark.parametrize(
    ("content", "target"),
    [
        pytest.param({"max": 6}, ("/max", "at most 5", "6"), id="too-many"),
        pytest.param({"max": 5}, ("/max", "at most 4.0", "5"), id="too-much-together"),
    ],
)
def test_what_is_denied_changes_nothing_and_is_recorded_before_it_is_said(
    content: Mapping[str, Any], target: tuple[str, str, str]
) -> None:
    async def main() -> None:
        made = await in_prod(resources={"cpu": 1.0})
        await made.apply(max=2)
        before = await made.policy()

        with pytest.raises(PolicyDenied) as denied:
            await changed(made, **content)

        detail = denied.value.details[0]
        assert (detail.target, detail.expected, detail.received) == target
        assert await made.policy() == before
        record = (await records(made))[-1].record
        assert (record.outcome, record.target) == ("PolicyDenied", ENVIRONMENT)
        assert record.policy is not None
        assert record.policy["inputs"]["instances"]["max"] == content["max"]

    run_virtual(main())


def test_as_much_together_as_is_allowed_is_allowed() -> None:
    """3 of 1.1 are 3.3000000000000003 as a computer multiplies."""

    async def main() -> None:
        made = await in_prod(resources={"cpu": 1.1})
        bound = read_prod_rules('{"sizes": {"computeTarget": {"cpu": 3.3}}}')
        made.app = replace(made.app, prod_policy=ProdPolicy(bound))
        await made.apply(max=3)

        with pytest.raises(PolicyDenied):
            await changed(made, max=4)

    run_virtual(main())


def test_a_new_policy_is_decided_as_a_change_is() -> None:
    async def main() -> None:
        made = await in_prod()
        with pytest.raises(PolicyDenied):
            await made.apply(max=6)

    run_virtual(main())


def test_a_repeat_is_answered_as_before_whatever_the_rules_are_by_then() -> None:
    async def main() -> None:
        made = await in_prod()
        first = await made.apply(max=5)
        stricter = read_prod_rules('{"sizes": {"replicas": 1}}')
        made.app = replace(made.app, prod_policy=ProdPolicy(stricter))

        assert await made.apply(max=5) == first
        with pytest.raises(PolicyExists):
            await made.apply(max=4)

    run_virtual(main())


def test_another_stage_is_not_asked_about() -> None:
    async def main() -> None:
        engine = Engine(None)
        made = await in_prod(engine, stage="staging")
        await made.apply(max=40)

        assert engine.asked == []
        assert await records(made) == []

    run_virtual(main())


def test_a_service_whose_stage_nobody_told_is_taken_for_one_of_prod() -> None:
    """It was deployed last before scaling remembered the stage."""

    async def main() -> None:
        made = await serving()
        policy = ProdPolicy(read_prod_rules(json.dumps(RULES)))
        made.app = replace(made.app, prod_policy=policy)
        await forget_stage(made)

        with pytest.raises(PolicyDenied):
            await made.apply(max=6)

    run_virtual(main())


def test_the_policy_of_a_first_rollout_is_decided_too() -> None:
    async def main() -> None:
        made = await serving()
        policy = ProdPolicy(read_prod_rules(json.dumps(RULES)))
        made.app = replace(made.app, prod_policy=policy)
        await made.app.service.clock.sleep(60)
        began = step(2)
        await made.hear(began.model_copy(update={"stage": Stage.PROD}))

        with pytest.raises(PolicyDenied):
            await made.apply(max=6)

    run_virtual(main())


@pytest.mark.parametrize("what", ["its-end", "its-step"])
def test_late_news_of_an_environment_before_make_no_other_stage_of_prod(what: str) -> None:
    """An environment that is created again has its id, and may have been a test before."""

    async def main() -> None:
        made = await in_prod()
        late = ended(1, [released(revision=1)]) if what == "its-end" else step(1)
        await made.hear(late.model_copy(update={"stage": Stage.TEST}))

        with pytest.raises(PolicyDenied):
            await made.apply(max=6)

    run_virtual(main())


def test_the_engine_is_asked_about_what_the_rules_allow_and_decides() -> None:
    async def main() -> None:
        engine = Engine(EngineAnswer(allowed=False, reasons=("no change today",)))
        made = await in_prod(engine)

        with pytest.raises(PolicyDenied, match="no change today"):
            await made.apply(max=2)
        with pytest.raises(PolicyDenied):
            await made.apply(max=6)

        assert [each.inputs["instances"]["max"] for each in engine.asked] == [2]

    run_virtual(main())


def test_without_the_answer_of_the_engine_nothing_changes() -> None:
    async def main() -> None:
        made = await in_prod(Engine(None))
        with pytest.raises(Unavailable):
            await made.apply(max=2)

        assert await records(made) == []

    run_virtual(main())


def test_what_cannot_be_followed_is_refused_before_anybody_is_asked() -> None:
    async def main() -> None:
        engine = Engine(EngineAnswer(allowed=True))
        made = await in_prod(engine)
        with pytest.raises(PolicyInvalid):
            await made.apply({"signal": "cpu", "target": 50})

        assert engine.asked == []

    run_virtual(main())


def test_pauses_and_the_end_of_a_policy_are_not_asked_about() -> None:
    async def main() -> None:
        made = await in_prod()
        await made.apply(max=5)
        engine = Engine(None)
        made.app = replace(made.app, prod_policy=ProdPolicy(read_prod_rules("{}"), engine))

        pause = {"direction": "both", "length": "PT1H"}
        await made.call("POST", f"{ONE}/pause", pause, policyId=policy_of())
        await made.call("POST", f"{ONE}/resume", {}, policyId=policy_of())
        await made.call("DELETE", ONE, policyId=policy_of())

        assert engine.asked == []

    run_virtual(main())
