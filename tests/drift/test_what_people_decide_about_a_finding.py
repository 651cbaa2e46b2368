"""Findings are acknowledged, let be for a time, taken for desired, or repaired by their owner."""

from dataclasses import replace

import pytest

from function_apps.drift.errors import (
    FindingNotFound,
    NotRepairable,
    RepairHeld,
    SuppressionTooLong,
)
from function_apps.drift.model.environment_scan import ADOPTED_MAX
from function_apps.drift.use_cases.decisions import remediate
from shared.contracts.drift import FindingReason, RemediationPolicy
from shared.kernel.transitions import TransitionRefused
from tests.drift.compared import Drift, released_and_settled, virtual
from tests.kit.interleavings import Turns, in_every_order
from tests.kit.told import WEB, run

FAST, SLOW = {"MODE": "fast"}, {"MODE": "slow"}


async def found(policy: RemediationPolicy = RemediationPolicy.ASK) -> Drift:
    """Return the service with one finding, of MODE."""
    made = await released_and_settled(environ=FAST, policy=policy)
    made.tamper(environ=SLOW)
    await made.scan(300)
    return made


@virtual
async def test_an_acknowledged_finding_stays_so_while_it_is_there() -> None:
    made = await found()

    answered = await made.decide(await made.only(), "acknowledge", {"reason": "known"})
    await made.scan(300)

    assert (answered["status"], answered["reason"]) == ("Acknowledged", "known")
    assert (await made.only())["status"] == "Acknowledged"


@virtual
async def test_a_repeat_of_a_decision_says_that_it_is_one() -> None:
    made = await found()
    path, identity = "v1/runtime/drift-findings/{findingId}/adopt", (await made.only())["findingId"]

    first = await made.call("POST", path, findingId=identity)
    again = await made.call("POST", path, findingId=identity)

    assert "Repeatability-Result" not in first.headers
    assert (again.status, again.headers["Repeatability-Result"]) == (200, "accepted")


@virtual
async def test_a_repeat_of_a_decision_gets_the_same_answer_and_changes_nothing() -> None:
    made = await found()
    first = await made.decide(await made.only(), "acknowledge")

    again = await made.decide(await made.only(), "acknowledge")

    assert again == first


@pytest.mark.parametrize("verb", ["acknowledge", "adopt"])
@virtual
async def test_who_decides_the_same_again_with_another_reason_gives_that(verb: str) -> None:
    made = await found()
    first = await made.decide(await made.only(), verb, {"reason": "for the sale"})

    again = await made.decide(await made.only(), verb, {"reason": "until the new version"})
    without = await made.decide(await made.only(), verb)

    assert (again["status"], again["reason"]) == (first["status"], "until the new version")
    assert without == again == await made.only()


@virtual
async def test_a_repair_under_way_keeps_the_reason_that_it_was_asked_with() -> None:
    made = await found()
    first = await made.decide(await made.only(), "remediate", {"reason": "it is wrong"})

    again = await made.decide(await made.only(), "remediate", {"reason": "it is odd"})

    assert again == first


@virtual
async def test_a_suppressed_finding_opens_again_when_its_time_is_over() -> None:
    made = await found()
    await made.decide(await made.only(), "suppress", {"length": "PT1H", "reason": "a test"})

    await made.scan(300)
    during = await made.only()
    await made.scan(3600)
    after = await made.only()

    assert (during["status"], after["status"]) == ("Suppressed", "Open")
    assert after["occurrences"] == 2


@pytest.mark.parametrize(
    ("again_after_s", "status"),
    [
        pytest.param(1800.0, "Suppressed", id="before-its-end"),
        pytest.param(3650.0, "Suppressed", id="after-its-end-before-a-scan"),
    ],
)
@virtual
async def test_who_suppresses_again_gives_another_end(again_after_s: float, status: str) -> None:
    made = await found()
    await made.decide(await made.only(), "suppress", {"length": "PT1H", "reason": "a test"})
    await made.app.service.clock.sleep(again_after_s)
    finding = await made.only()

    answered = await made.decide(finding, "suppress", {"length": "P1D", "reason": "a longer one"})
    await made.scan(3 * 3600)

    assert answered["suppressedUntil"] > finding["suppressedUntil"]
    assert (await made.only())["status"] == status


@virtual
async def test_what_was_found_of_a_release_is_not_adopted_for_the_next_one() -> None:
    made = await found()
    stale = await made.only()
    await made.release(2, environ=FAST)

    with pytest.raises(NotRepairable, match="of release 1, and 2 is in force"):
        await made.decide(stale, "adopt")


@virtual
async def test_a_value_that_is_too_long_to_be_kept_is_not_adopted() -> None:
    made = await released_and_settled()
    made.tamper(data=tuple(f"folder-{number:04}" for number in range(300)))
    await made.scan(300)

    with pytest.raises(NotRepairable, match="too long"):
        await made.decide(await made.only(), "adopt")


@virtual
async def test_no_more_is_adopted_of_a_service_than_its_document_keeps() -> None:
    made = await found()
    others = {f"workload/environ/OTHER_{number}": "x" for number in range(ADOPTED_MAX)}
    await made.store(adopted=others)

    with pytest.raises(NotRepairable, match=f"{ADOPTED_MAX} properties of the service"):
        await made.decide(await made.only(), "adopt")


@virtual
async def test_what_is_adopted_already_has_room_with_another_value() -> None:
    made = await found()
    others = {f"workload/environ/OTHER_{number}": "x" for number in range(ADOPTED_MAX - 1)}
    await made.store(adopted={**others, "workload/environ/MODE": "odd"})

    assert (await made.decide(await made.only(), "adopt"))["status"] == "Adopted"


@pytest.mark.parametrize("length", ["P366D", "PT0S"])
def test_a_suppression_has_an_end_within_a_year(length: str) -> None:
    @virtual
    async def main() -> None:
        made = await found()
        with pytest.raises(SuppressionTooLong):
            await made.decide(await made.only(), "suppress", {"length": length, "reason": ""})

    main()


@virtual
async def test_what_is_adopted_is_desired_until_the_next_release() -> None:
    made = await found()
    await made.decide(await made.only(), "adopt", {"reason": "it is better so"})
    await made.scan(300)
    adopted = await made.only()

    await made.release(2, environ=FAST)
    await made.scan()
    await made.settled()

    assert adopted["status"] == "Adopted"
    assert (await made.only())["status"] == "Resolved"


@virtual
async def test_another_value_than_the_adopted_one_is_drift_again() -> None:
    made = await found()
    slow = await made.only()
    await made.decide(slow, "adopt")
    made.tamper(environ={"MODE": "odd"})

    await made.scan(300)

    finding = await made.only()
    assert finding["status"] == "Open"
    assert finding["desired"] == slow["actual"] != finding["actual"]


@virtual
async def test_a_repair_is_asked_of_deployments_and_ends_with_what_it_did() -> None:
    made = await found()

    answered = await made.decide(await made.only(), "remediate", {"reason": "please"})
    (command,) = made.told("RemediateDrift")
    made.tamper(environ=FAST)
    await made.scan(300)

    assert answered["status"] == "Remediating"
    assert (command["moduleId"], command["path"], command["recordedRevision"]) == (
        WEB, "workload/environ/MODE", 1,
    )  # fmt: skip
    assert (await made.only())["status"] == "Resolved"


@virtual
async def test_no_repair_writes_what_is_suppressed() -> None:
    made = await found()
    made.tamper(environ={**SLOW, "OTHER": "1"})
    await made.scan(300)
    mode, other = await made.findings()
    await made.decide(mode, "suppress", {"length": "P1D", "reason": "wait"})

    with pytest.raises(RepairHeld):
        await made.decide(other, "remediate")


@virtual
async def test_a_repeat_of_a_repair_is_answered_also_when_something_else_was_let_be() -> None:
    made = await found()
    made.tamper(environ={**SLOW, "OTHER": "1"})
    await made.scan(300)
    mode, other = await made.findings()
    ctx = made.bench.ctx(marker="idem-1")
    asked = FindingReason.model_validate({})
    first = await remediate(other["findingId"], asked, ctx, made.app)
    await made.decide(mode, "suppress", {"length": "P1D", "reason": "wait"})

    again = await remediate(other["findingId"], asked, ctx, made.app)

    assert (again.value, again.is_repeat) == (first.value, True)


async def decided_at_once(turns: Turns) -> list[str]:
    """Return what was committed, in its order, of a repair and of letting another finding be."""
    made = await found()
    made.tamper(environ={**SLOW, "OTHER": "1"})
    await made.scan(300)
    mode, other = await made.findings()
    service, before = made.app.service, len(made.told("RuntimeDriftDetected"))
    store = turns.held(service.store)
    held = replace(service, store=store, work=replace(service.work, store=store))
    made.app = replace(made.app, service=held)
    await turns.run(
        {
            "repair": made.decide(other, "remediate"),
            "suppress": made.decide(mode, "suppress", {"length": "P1D", "reason": "wait"}),
        }
    )
    return [each["status"] for each in made.told("RuntimeDriftDetected")[before:]]


def test_no_repair_begins_after_something_else_was_let_be_whoever_overtakes_whom() -> None:
    ends = {tuple(end) for _, end in in_every_order(decided_at_once, changes_max=1)}

    assert ends == {("Suppressed",), ("Remediating", "Suppressed")}


@virtual
async def test_nothing_is_repaired_by_itself_beside_what_is_suppressed() -> None:
    made = await found()
    await made.decide(await made.only(), "suppress", {"length": "P1D", "reason": "wait"})
    object.__setattr__(made.app, "remediation", RemediationPolicy.AUTO)
    made.tamper(environ={**SLOW, "OTHER": "1"})

    await made.scan(300)

    assert made.told("RemediateDrift") == []


@virtual
async def test_what_nobody_released_is_repaired_by_nobody() -> None:
    made = await released_and_settled()
    await run(made.world, "module-mine")
    await made.scan(300)
    await made.settled()
    await made.scan(300)

    for verb in ("remediate", "adopt"):
        with pytest.raises(NotRepairable):
            await made.decide(await made.only(), verb)


@virtual
async def test_a_resolved_finding_takes_no_decision() -> None:
    made = await found()
    made.tamper(environ=FAST)
    await made.scan(300)

    with pytest.raises(TransitionRefused, match="Resolved"):
        await made.decide(await made.only(), "acknowledge")


@virtual
async def test_a_finding_that_is_not_there_is_not_found() -> None:
    made = await found()
    finding = dict(await made.only())
    finding["findingId"] = (
        f"{finding['findingId'][:-1]}{'a' if finding['findingId'][-1] != 'a' else 'b'}"
    )

    with pytest.raises(FindingNotFound):
        await made.decide(finding, "acknowledge")
