"""What the platform itself is doing is never reported, however late its events come."""

from dataclasses import replace

import pytest

from function_apps.drift.errors import DriftNotFound
from function_apps.drift.repository import SCANS
from shared.contracts.drift import RemediationPolicy
from shared.contracts.scaling import ScalingPolicyApplied
from shared.surfaces.scaling import Measure, ScalingRules, UtilizationRule
from tests.drift.compared import (
    OWN_WORK_S,
    Drift,
    cancelled,
    component_with,
    drift,
    failed,
    released_and_settled,
    requested,
    scaled,
    step,
    virtual,
)
from tests.drift.test_what_others_say_of_a_service import health
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, component_of, ended


@virtual
async def test_a_deployment_that_is_changing_a_module_hides_its_differences() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(step(2, WEB))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)
    report = await made.report()

    assert report["value"] == []
    (workload,) = [each for each in report["coverage"] if each["plane"] == "workload"]
    assert (workload["complete"], workload["unknown"]) == (False, 1)
    assert workload["reason"]["code"] == "OwnWork"


@virtual
async def test_other_modules_are_judged_meanwhile() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(step(2, "module-other"))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)

    assert (await made.only())["path"] == "environ/MODE"


@virtual
async def test_a_newer_fence_on_the_surface_is_own_work_although_no_event_has_come() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.apply(component_with(revision=2, environ={"MODE": "slow"}))

    await made.scan(300)

    assert await made.findings() == []


@virtual
async def test_a_fence_counts_for_two_minutes_and_then_what_it_left_is_drift() -> None:
    made = await released_and_settled()
    await made.apply(component_with(revision=2))
    await made.scan(300)

    await made.scan(OWN_WORK_S)

    paths = [each["path"] for each in await made.findings()]
    assert paths == ["revision/2", "weight"]


@virtual
async def test_what_a_deployment_left_is_no_drift_before_its_service_has_heard_of_it() -> None:
    """The end of the deployment is known, and the command with the release is on its way."""
    made = await released_and_settled()
    component = component_with(revision=2)
    await made.apply(component)
    await made.remove_older(WEB, 2)
    await made.hear_alone(ended(2, [component], at=made.app.service.clock.now()))

    await made.scan(2 * OWN_WORK_S)
    meanwhile = await made.findings()
    await made.hear_itself()
    made.tamper(revision=2, environ={"MODE": "slow"})
    await made.settled()

    assert meanwhile == []
    assert (await made.only())["path"] == "environ/MODE"


@virtual
async def test_a_release_whose_command_is_lost_hides_nothing_for_good() -> None:
    made = await released_and_settled()
    await made.hear_alone(ended(2, [component_with(revision=2)], at=made.app.service.clock.now()))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)
    hidden = await made.findings()
    await made.scan(24 * 3600)

    assert hidden == []
    assert (await made.only())["path"] == "environ/MODE"


@virtual
async def test_what_a_failed_deployment_left_is_told_with_its_name() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(step(2, WEB), failed(2, WEB))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)

    finding = await made.only()
    assert finding["cause"].startswith("dep-")
    assert "failed" in finding["cause"]


@virtual
async def test_a_step_that_comes_after_the_end_of_its_deployment_changes_nothing() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(failed(2, WEB), step(2, WEB))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)

    assert (await made.only())["path"] == "environ/MODE"


@virtual
async def test_a_step_that_comes_when_nobody_remembers_its_deployment_hides_nothing_for_good() -> (
    None
):
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(failed(2, WEB), *(failed(number, WEB) for number in range(3, 103)))
    await made.hear(step(2, WEB))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)
    hidden = await made.findings()
    await made.scan(24 * 3600)

    assert hidden == []
    assert (await made.only())["path"] == "environ/MODE"


WEEKEND_S = 64 * 3600


@virtual
async def test_a_step_that_is_silent_for_days_is_own_work_until_its_deployment_ends() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(requested(2, WEB), step(2, WEB))
    made.tamper(environ={"MODE": "slow"})
    await made.scan(WEEKEND_S)
    meanwhile = await made.findings()

    await made.hear(failed(2, WEB))
    await made.scan(300)

    assert meanwhile == []
    assert (await made.only())["path"] == "environ/MODE"


@virtual
async def test_a_deployment_that_waited_and_was_cancelled_ends_no_other() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(requested(2, WEB), step(2, WEB))
    await made.app.service.clock.sleep(60)
    await made.hear(requested(3, WEB), cancelled(3, WEB))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(WEEKEND_S)

    assert await made.findings() == []


@virtual
async def test_another_deployment_that_began_there_later_stands_for_an_end_that_was_lost() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(requested(2, WEB), step(2, WEB))
    await made.app.service.clock.sleep(60)
    await made.hear(requested(3, WEB), step(3, WEB), failed(3, WEB))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(WEEKEND_S)

    assert (await made.only())["path"] == "environ/MODE"


@virtual
async def test_an_end_that_comes_after_the_step_of_the_next_deployment_is_no_beginning() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(requested(2, WEB), step(2, WEB), requested(3, WEB), step(3, WEB))
    await made.app.service.clock.sleep(60)
    await made.hear(failed(2, WEB))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(WEEKEND_S)

    assert await made.findings() == []


@virtual
async def test_instances_that_the_surface_starts_again_are_no_drift() -> None:
    made = await released_and_settled()
    revision = made.world.sites[ENVIRONMENT].components[component_of(WEB)].revisions[1]
    revision.instances[:] = [replace(each, restarts=3) for each in revision.instances]

    await made.scan(300)

    assert await made.findings() == []


@virtual
async def test_the_number_of_instances_is_its_policys_while_there_is_one() -> None:
    made = await released_and_settled()
    await made.hear(scaled(1))
    made.tamper(replicas=5)
    await made.scan(300)
    while_scaled = await made.findings()

    await made.hear(scaled(2, "Superseded"))
    await made.scan(300)
    await made.scan(OWN_WORK_S)

    assert while_scaled == []
    assert (await made.only())["path"] == "replicas"


def over(status: str = "Superseded") -> ScalingPolicyApplied:
    """Return that the policy has ended, or was refused, and leaves five of the first release."""
    left = {"replicas": 5, "releaseRevision": 1}
    return scaled(2, status, desired=1, actual=5, leftReplicas=left)


@pytest.mark.parametrize("status", ["Superseded", "Rejected"])
@virtual
async def test_the_number_that_a_policy_left_is_compared_until_the_next_release(
    status: str,
) -> None:
    made = await released_and_settled()
    await made.hear(scaled(1))
    made.tamper(replicas=5)
    await made.hear(over(status))
    await made.scan(300)
    await made.scan(OWN_WORK_S)
    left = await made.findings()

    made.tamper(replicas=4)
    await made.scan(300)
    await made.scan(OWN_WORK_S)

    assert left == []
    assert ((await made.only())["desired"], (await made.only())["actual"]) == ("5", "4")


@virtual
async def test_a_release_ends_what_a_policy_left() -> None:
    made = await released_and_settled()
    await made.hear(scaled(1), over())
    await made.app.service.clock.sleep(60)
    await made.release(2)
    await made.settled()

    assert await made.findings() == []


@virtual
async def test_a_release_that_was_begun_under_the_policy_keeps_what_that_left() -> None:
    made = await released_and_settled()
    await made.hear(scaled(1), over())
    await made.app.service.clock.sleep(60)
    await made.release(2, scalingPolicyRevision=1)
    made.tamper(revision=2, replicas=5)
    await made.settled()

    assert await made.findings() == []


@virtual
async def test_a_number_whose_event_comes_after_a_scan_is_never_told() -> None:
    made = await released_and_settled()
    made.tamper(replicas=5)  # scaling writes with the token that it read
    await made.scan(300)

    await made.hear(scaled(1))
    await made.scan(OWN_WORK_S)

    assert made.open_paths() == []


@virtual
async def test_a_number_that_a_deployment_left_is_told_a_while_after_it() -> None:
    made = await released_and_settled()
    await made.hear(step(2, WEB))
    made.tamper(replicas=5)
    for _ in range(3):
        await made.scan(300)
    await made.hear(failed(2, WEB))

    await made.scan(300)
    after_one = made.open_paths()
    await made.scan(OWN_WORK_S)

    assert (after_one, made.open_paths()) == ([], ["replicas"])


async def with_another_number(policy: RemediationPolicy = RemediationPolicy.ASK) -> Drift:
    """Return the service with one finding: its number of instances."""
    made = await released_and_settled(policy=policy)
    made.tamper(replicas=5)
    await made.scan(300)
    await made.scan(OWN_WORK_S)
    return made


@virtual
async def test_what_was_decided_of_a_number_outlasts_the_work_of_a_deployment() -> None:
    made = await with_another_number()
    await made.decide(await made.only(), "suppress", {"length": "P1D", "reason": "a test"})
    await made.hear(step(2, WEB))
    await made.scan(300)
    await made.hear(failed(2, WEB))

    for _ in range(3):
        await made.scan(OWN_WORK_S)

    finding = await made.only()
    assert (finding["path"], finding["status"], finding["occurrences"]) == (
        "replicas", "Suppressed", 1,
    )  # fmt: skip


@virtual
async def test_a_repair_of_a_number_that_had_no_effect_is_none_that_was_undone() -> None:
    made = await with_another_number(RemediationPolicy.AUTO)
    await made.hear(step(2, WEB))
    await made.scan(300)
    await made.hear(failed(2, WEB))

    for _ in range(3):
        await made.scan(OWN_WORK_S)

    finding = await made.only()
    assert (finding["attempts"], finding["occurrences"]) == (1, 1)
    assert made.told("RuntimeDriftResolved") == []


@virtual
async def test_a_number_that_is_right_after_the_work_of_a_deployment_is_resolved() -> None:
    made = await with_another_number()
    await made.hear(step(2, WEB))
    made.tamper(replicas=2)
    await made.scan(300)
    await made.hear(failed(2, WEB))

    await made.scan(300)

    assert (await made.only())["status"] == "Resolved"


@virtual
async def test_a_scan_between_does_not_put_off_the_one_that_believes_a_number() -> None:
    made = await released_and_settled()
    made.tamper(replicas=5)
    await made.scan(300)
    await made.hear(health(1, "Degraded"))
    await made.scan(60)

    await made.scan(61)

    assert made.open_paths() == ["replicas"]


@virtual
async def test_a_number_that_is_right_again_begins_anew() -> None:
    made = await released_and_settled()
    for replicas in (5, 2, 5):
        made.tamper(replicas=replicas)
        await made.scan(300)

    assert made.open_paths() == []


@virtual
async def test_what_a_policy_gave_to_the_surface_is_compared_with_the_policy() -> None:
    made = await released_and_settled()
    revision = made.world.sites[ENVIRONMENT].components[component_of(WEB)].revisions[1]
    rules = ScalingRules(1, 9, (UtilizationRule(Measure.CPU, 70),))
    revision.scaling = rules
    await made.hear(scaled(1, actuator="native", rules=[{"signal": "cpu", "target": 70}]))
    await made.scan(300)
    await made.scan(300)
    as_given = made.open_paths()
    revision.scaling = replace(rules, maximum=50)

    await made.scan(300)
    await made.scan(OWN_WORK_S)

    assert as_given == []
    finding = await made.only()
    assert (finding["path"], finding["desired"], finding["actual"]) == ("maximum", "9", "50")


@virtual
async def test_the_same_said_again_of_a_policy_puts_nothing_off() -> None:
    made = await released_and_settled()
    revision = made.world.sites[ENVIRONMENT].components[component_of(WEB)].revisions[1]
    revision.scaling = ScalingRules(1, 50, (UtilizationRule(Measure.CPU, 70),))
    rules = [{"signal": "cpu", "target": 70}]
    await made.hear(scaled(1, actuator="native", rules=rules))
    await made.scan(300)

    await made.hear(scaled(2, actuator="native", rules=rules, desired=7))
    await made.scan(OWN_WORK_S)

    assert made.open_paths() == ["maximum"]


@virtual
async def test_rules_that_a_policy_has_not_given_yet_are_not_compared() -> None:
    made = await released_and_settled()
    await made.hear(scaled(1, "Applied", actuator="native"))

    await made.scan(300)
    await made.scan(300)

    assert made.open_paths() == []


@virtual
async def test_an_environment_of_which_only_deployments_told_takes_no_order() -> None:
    made = await drift(knows_environment=False)
    await made.hear(step(2, WEB))
    before = await made.app.service.work.find(SCANS, ENVIRONMENT, TENANT)
    await made.app.service.clock.sleep(1)

    with pytest.raises(DriftNotFound):
        await made.post("v1/runtime/drift/{environmentId}/scan")

    assert await made.app.service.work.find(SCANS, ENVIRONMENT, TENANT) == before
