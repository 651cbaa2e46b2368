"""The orchestration of one gate: asked once, looked at until decided, answered once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from function_apps.health.activities import ACTIVITIES
from function_apps.health.errors import GateConflict
from function_apps.health.orchestrations import evaluate_gate
from function_apps.health.ports import HealthRules
from function_apps.health.repository import EVALUATE
from function_apps.health.use_cases.abandon_operation import abandon_operation
from shared.contracts.gates import EvaluateGate
from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import durable_name
from shared.kernel.clock import isoformat
from shared.kernel.errors import Unavailable
from shared.persistence.store import Delete, Replace, partition_of
from tests.health.traffic import a_gate
from tests.health.watching import Health, health
from tests.kit.drive import DrivenContext, by_name, drive
from tests.kit.sending import send
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, KEY, WEB, component_of, run, service_of
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

GATE = f"gate-{KEY}-{service_of().rsplit('-', 1)[1]}-{'0' * 16}-1-0"


def asked(made: Health, **changes: Any) -> EvaluateGate:
    deadline_at = made.app.service.clock.now() + timedelta(minutes=10)
    return a_gate(
        **{
            "gateId": GATE, "deploymentId": f"dep-{KEY}-{'0' * 16}", "environmentId": ENVIRONMENT,
            "moduleId": WEB, "serviceId": service_of(), "baseline": None, "probesCount": True,
            "candidate": {"releaseRevision": 1, "metricsKey": "1"},
            "probes": {"readiness": {"path": "/ready", "timeout": "PT2S"}},
            "deadlineAt": isoformat(deadline_at), **changes,
        }
    )  # fmt: skip


async def begun(**changes: Any) -> Health:
    made = health()
    await run(made.world)
    await made.hear(asked(made, **changes))
    return made


async def evaluated(made: Health, **how: Any) -> Any:
    name, instance_id, argument = made.bench.starts.started.pop(0)
    assert name == durable_name(evaluate_gate) == EVALUATE.orchestration
    context = DrivenContext(
        instance_id, argument, by_name(ACTIVITIES), made.app, made.app.service.clock,
        made.bench.starts, **how,
    )  # fmt: skip
    return await drive(evaluate_gate, context)


def answers(made: Health) -> list[tuple[str, str, str]]:
    return [(each["gateId"], each["verdict"], each["status"]) for each in made.told()]


def test_a_release_that_answers_its_probes_passes_and_is_told_once() -> None:
    async def main() -> tuple[Any, list[Any], set[tuple[str, float]]]:
        made = await begun()
        return await evaluated(made), answers(made), set(made.prober.asked)

    outcome, told, probed = run_virtual(main())

    assert (outcome, told) == ("Pass", [(GATE, "Pass", "Healthy")])
    assert probed == {("http://127.0.0.1:1/ready", 2.0)}


def test_every_activity_run_twice_changes_nothing() -> None:
    async def main(*, twice: bool) -> tuple[Any, list[Any]]:
        made = await begun()
        return await evaluated(made, twice=twice), answers(made)

    assert run_virtual(main(twice=True)) == run_virtual(main(twice=False))


def test_a_gate_that_is_decided_is_not_judged_again() -> None:
    async def main() -> tuple[Any, list[Any]]:
        made = await begun()
        started = made.bench.starts.started[0]
        await evaluated(made)
        made.bench.starts.started.append(started)
        return await evaluated(made), answers(made)

    assert run_virtual(main()) == ("OperationAlreadyEnded", [(GATE, "Pass", "Healthy")])


def test_the_same_question_twice_is_one_gate_and_another_under_its_id_is_parked() -> None:
    async def main() -> tuple[int, list[str]]:
        made = health()
        await run(made.world)
        question = asked(made)
        await made.hear(question)
        await made.hear(question)
        await made.hear(asked(made, minSamples=51))
        parked = [
            document.body["code"]
            for feed_range in await made.app.service.store.feed_ranges()
            for document in (await made.app.service.store.changes(feed_range, None)).documents
            if document.body.get("type") == "parked"
        ]
        return len(made.bench.starts.started), parked

    assert run_virtual(main()) == (1, [GateConflict.code])


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        pytest.param(lambda made: made.prober.failing.add("/ready"), "Fail", id="probes-fail"),
        pytest.param(
            lambda made: setattr(made.world, "unreadable", "away"), "Inconclusive", id="unreadable"
        ),
        pytest.param(
            lambda made: setattr(made.prober, "may_ask", False), "Pass", id="its-surface-says"
        ),
        pytest.param(lambda made: made.world.sites.clear(), "Inconclusive", id="not-there"),
    ],
)
def test_what_is_seen_decides(spoil: Callable[[Health], object], verdict: str) -> None:
    async def main() -> Any:
        made = await begun()
        spoil(made)
        return await evaluated(made)

    assert run_virtual(main()) == verdict


@pytest.mark.parametrize("problem", [Unavailable("away"), ZeroDivisionError("a defect")])
def test_a_look_that_cannot_be_made_is_one_that_saw_nothing(problem: Exception) -> None:
    def interfere(name: str, _count: int) -> None:
        if name == "observe_gate":
            made_sick.append(name)

    made_sick: list[str] = []

    async def main() -> tuple[Any, str]:
        made = await begun()

        async def fails(*_: object) -> Any:
            raise problem

        sick: Any = made.app.surface
        object.__setattr__(made.app, "surface", Sick(sick, fails))
        outcome = await evaluated(made, interfere=interfere)
        reason = made.told()[0]["evidence"]["analyses"][0]["reason"]
        return outcome, reason

    outcome, reason = run_virtual(main())

    assert outcome == "Inconclusive"
    assert "could not be read" in reason
    assert made_sick


class Sick:
    """A surface whose reads break their promise and raise."""

    def __init__(self, inner: Any, observe: Any) -> None:
        self._inner, self.observe = inner, observe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_looks_are_spread_over_a_long_deadline_which_is_kept_also_when_nothing_is_seen() -> None:
    async def main() -> int:
        made = health(rules=HealthRules(observe_every=timedelta(seconds=1)))
        far = made.app.service.clock.now() + timedelta(hours=10)
        await made.hear(asked(made, deadlineAt=isoformat(far)))
        looks: list[str] = []
        await evaluated(made, interfere=lambda name, _count: looks.append(name))
        return looks.count("observe_gate")

    assert 400 <= run_virtual(main()) <= 410


@pytest.mark.parametrize("hours", [1 / 12, 1, 6, 24])
def test_a_gate_without_samples_ends_at_the_deadline_that_was_asked(hours: float) -> None:
    async def main() -> tuple[Any, timedelta]:
        made = health()
        await run(made.world)
        deadline_at = made.app.service.clock.now() + timedelta(hours=hours)
        await made.hear(asked(made, probesCount=False, deadlineAt=isoformat(deadline_at)))
        outcome = await evaluated(made)
        return outcome, made.app.service.clock.now() - deadline_at

    outcome, late = run_virtual(main())

    assert outcome == "Inconclusive"
    assert timedelta(0) <= late <= HealthRules().observe_every


def test_an_operation_whose_gate_is_gone_can_be_abandoned() -> None:
    async def main() -> bool:
        made = await begun()
        _, operation_id, _ = made.bench.starts.started[0]
        place, work = partition_of(TENANT, operation_id), made.app.service.work
        operation = await work.load(OPERATIONS, operation_id, TENANT)
        gate = f"gate/{operation.input['aggregateId']}"
        await made.app.service.store.batch(place, [Delete(gate)])
        await abandon_operation(operation, made.ctx, made.app)
        return (await work.load(OPERATIONS, operation_id, TENANT)).is_terminal

    assert run_virtual(main())


def test_a_gate_that_is_abandoned_is_answered_as_inconclusive() -> None:
    async def main() -> tuple[Any, Any, list[Any]]:
        made = await begun()
        _, operation_id, _ = made.bench.starts.started[0]
        view = await made.app.service.work.read(
            partition_of(TENANT, operation_id), OPERATIONS.document_id(operation_id)
        )
        operation = view.get(OPERATIONS, operation_id)
        outcome = await abandon_operation(operation, made.ctx, made.app)
        return outcome.value["operationId"], await evaluated(made), answers(made)

    operation_id, outcome, told = run_virtual(main())

    assert operation_id.startswith("op-health-")
    assert (outcome, told) == ("OperationAlreadyEnded", [(GATE, "Inconclusive", "Unknown")])


@pytest.mark.parametrize(
    "changed",
    [{"verdict": "Fail"}, {"operation_id": "op-health-another"}],
    ids=["decided", "of-another-operation"],
)
def test_an_operation_that_is_abandoned_leaves_a_gate_alone_that_it_does_not_decide(
    changed: dict[str, Any],
) -> None:
    async def main() -> tuple[Any, Any, list[Any]]:
        made = await begun()
        _, operation_id, _ = made.bench.starts.started[0]
        place, store = partition_of(TENANT, operation_id), made.app.service.store
        gate = await store.read(place, f"gate/{GATE}")
        assert gate is not None
        known = {**gate.body, **changed}
        await store.batch(place, [Replace(gate.id, known, gate.etag)])
        operation = await made.app.service.work.load(OPERATIONS, operation_id, TENANT)
        await abandon_operation(operation, made.ctx, made.app)
        left = await store.read(place, f"gate/{GATE}")
        return left and left.body, known, answers(made)

    left, known, told = run_virtual(main())

    assert (left, told) == (known, [])


def test_a_gate_of_another_operation_is_not_observed() -> None:
    def stop(name: str, _count: int) -> None:
        if name == "observe_gate":
            raise KeyboardInterrupt

    async def main() -> tuple[Any, int]:
        made = await begun()
        started = made.bench.starts.started[0]
        with pytest.raises(KeyboardInterrupt):
            await evaluated(made, interfere=stop)
        made.bench.starts.started.append(started)
        place, store = partition_of(TENANT, started[1]), made.app.service.store
        gate = await store.read(place, f"gate/{GATE}")
        assert gate is not None
        taken = {**gate.body, "operation_id": "op-health-another"}
        await store.batch(place, [Replace(gate.id, taken, gate.etag)])
        return await evaluated(made), len(made.prober.asked)

    outcome, probes = run_virtual(main())

    assert (outcome, probes) == ("OperationSuperseded", 0)


def test_the_operation_of_a_gate_is_not_canceled_and_the_answer_says_why() -> None:
    async def main() -> tuple[int, Any]:
        world = World()
        await world.boot()
        await run(world.surface)
        deadline_at = world.clock.now() + timedelta(hours=1)
        await send("runtime-health-commands", a_gate(
            gateId=GATE, deploymentId=f"dep-{KEY}-{'0' * 16}", environmentId=ENVIRONMENT,
            moduleId=WEB, serviceId=service_of(), deadlineAt=isoformat(deadline_at),
        ), number=1)  # fmt: skip
        await world.clock.sleep(5)
        root = "/v1/platform/health/operations"
        _, listed = await world.call("GET", root)
        operation = listed["value"][0]
        answer = await world.call("POST", f"{root}/{operation['operationId']}/cancel")
        await world.stop()
        return answer

    status, body = run_virtual(main())

    assert (status, body["error"]["code"]) == (409, "CancelNotPossible")
    assert "cancel the deployment" in body["error"]["message"]


def test_a_burst_of_requests_and_none_after_it_ends_inconclusive_at_the_deadline() -> None:
    async def main() -> tuple[Any, float, Any]:
        made = health()
        await run(made.world, port=8080)
        made.world.component(component_of(WEB)).weights[1] = 100
        await made.hear(asked(made, probesCount=False, window="PT5S"))
        began_at = made.app.service.clock.now()

        def interfere(name: str, count: int) -> None:
            if name == "observe_gate":
                # The 5 s between two observations, once: 150 requests.
                made.world.requests_per_s = 30.0 if count == 3 else 0.0

        outcome = await evaluated(made, interfere=interfere)
        took_s = (made.app.service.clock.now() - began_at).total_seconds()
        return outcome, took_s, made.told()[0]["evidence"]

    outcome, took_s, evidence = run_virtual(main())
    reasons = [each["reason"] for each in evidence["analyses"] if each["verdict"] != "Pass"]

    assert evidence["candidate"]["requests"] == 150
    assert (outcome, took_s) == ("Inconclusive", 600)
    assert reasons == [
        "0 of 150 requests failed, absolute limit; 1 good of the 2 windows in a row it takes",
        (
            "p95 of 150 requests in one window; 1 good of the 2 windows in a row it takes,"
            " each of at least 20 requests"
        ),
    ]
