"""Policies as callers see them: applied, changed, paused, deleted, refused."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.scaling.errors import PolicyExists, PolicyInvalid, PolicyNotFound
from function_apps.scaling.repository import sample_partition
from shared.contracts.values import ComputeTargetKind
from shared.kernel.errors import Invalid, Stale, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.transitions import TransitionRefused
from shared.surfaces.capabilities import Feature
from shared.surfaces.scaling import ScalingRules
from shared.surfaces.spec import SurfaceComponent
from tests.kit.memory_surface import MemorySurface
from tests.kit.told import component_of, service_of
from tests.kit.virtual_time import run_virtual
from tests.scaling.scaled import (
    ONE,
    QUEUED,
    ROOT,
    RULE,
    Scaling,
    policy_of,
    serving,
    shown,
    without,
    working,
)


async def paused(made: Scaling, **how: Any) -> Any:
    return shown(await made.call("POST", f"{ONE}/pause", {"length": "PT1H", **how},
                                 policyId=policy_of()))  # fmt: skip


def test_a_service_has_one_policy_and_the_same_again_changes_nothing() -> None:
    async def main() -> None:
        made = await serving()
        first = await made.call("POST", ROOT, {"serviceId": service_of(), "min": 1, "max": 5})
        again = await made.call("POST", ROOT, {"serviceId": service_of(), "min": 1, "max": 5})
        with pytest.raises(PolicyExists):
            await made.call("POST", ROOT, {"serviceId": service_of(), "min": 1, "max": 6})

        assert (first.status, again.status) == (201, 201)
        assert first.headers["Location"] == f"/{ROOT}/{policy_of()}"
        assert again.headers["Repeatability-Result"] == "accepted"
        assert len(made.told()) == 1

    run_virtual(main())


def test_the_same_content_again_says_that_it_is_a_repeat() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        content = {"min": 2, "max": 4, "rules": [RULE]}
        first = await made.call("PUT", ONE, content, policyId=policy_of())
        again = await made.call("PUT", ONE, content, policyId=policy_of())

        assert "Repeatability-Result" not in first.headers
        assert (again.status, again.headers["Repeatability-Result"]) == (200, "accepted")

    run_virtual(main())


def test_a_change_makes_the_next_policy_revision() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        content = {"min": 2, "max": 4, "rules": [RULE]}
        changed = shown(await made.call("PUT", ONE, content, policyId=policy_of()))
        await made.call("PUT", ONE, content, policyId=policy_of())

        assert (changed["policyRevision"], changed["min"]) == (2, 2)
        assert (await made.policy())["policyRevision"] == 2
        assert [each["policyRevision"] for each in made.told()] == [1, 2]

    run_virtual(main())


def test_if_match_of_a_read_fits_while_only_the_number_changed() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        read = (await made.call("GET", ONE, policyId=policy_of())).headers["ETag"]
        made.world.requests_per_s = 60
        await made.evaluate(3)
        content = {"min": 2, "max": 4, "rules": [RULE]}

        changed = await made.call("PUT", ONE, content, if_match=read, policyId=policy_of())

        assert (changed.status, made.replicas()) == (200, 6)
        with pytest.raises(Stale):
            await made.call("PUT", ONE, {**content, "max": 5}, if_match=read, policyId=policy_of())

    run_virtual(main())


def test_if_match_of_a_read_fits_no_more_once_another_has_paused() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        read = (await made.call("GET", ONE, policyId=policy_of())).headers["ETag"]
        await paused(made)

        with pytest.raises(Stale):
            await made.call("POST", f"{ONE}/resume", {}, if_match=read, policyId=policy_of())

    run_virtual(main())


def test_if_match_of_a_read_fits_after_a_pause_that_ended_by_itself() -> None:
    async def main() -> int:
        made = await serving()
        await made.apply()
        await paused(made)
        read = (await made.call("GET", ONE, policyId=policy_of())).headers["ETag"]
        await made.app.service.clock.sleep(3 * 3600)
        await made.evaluate(2)
        content = {"min": 2, "max": 4, "rules": [RULE]}

        changed = await made.call("PUT", ONE, content, if_match=read, policyId=policy_of())
        return changed.status

    assert run_virtual(main()) == 200


def test_a_pause_holds_the_number_until_its_end() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        await made.evaluate()
        held = await paused(made, direction="up", reason="an incident")
        made.world.requests_per_s = 60
        await made.evaluate(3)
        during, status = made.replicas(), (await made.policy())["status"]
        await made.app.service.clock.sleep(3600)
        await made.evaluate(2)

        assert (held["status"], held["paused"]) == ("Paused", "up")
        assert held["reason"] == {"code": "Paused", "message": "an incident"}
        assert (during, status) == (2, "Paused")
        assert (await made.decisions())[-1]["reason"] != "Paused"
        assert (made.replicas(), (await made.policy())["status"]) == (6, "Enforced")

    run_virtual(main())


def test_a_person_ends_a_pause_earlier() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        await paused(made)
        resumed = shown(await made.call("POST", f"{ONE}/resume", {}, policyId=policy_of()))
        with pytest.raises(TransitionRefused):
            await made.call("POST", f"{ONE}/resume", {}, policyId=policy_of())

        assert (resumed["status"], resumed["paused"]) == ("Enforced", None)
        assert resumed["reason"]["code"] != "Paused"

    run_virtual(main())


def test_a_pause_is_at_most_a_day() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        with pytest.raises(Invalid):
            await paused(made, length="PT25H")

    run_virtual(main())


def test_a_changed_policy_stays_paused() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        await paused(made)
        await made.call("PUT", ONE, {"min": 2, "max": 4}, policyId=policy_of())

        assert (await made.policy())["status"] == "Paused"

    run_virtual(main())


def test_a_deleted_policy_leaves_the_number_and_may_come_again() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        made.world.requests_per_s = 60
        await made.evaluate(3)
        deleted = shown(await made.call("DELETE", ONE, policyId=policy_of()))
        with pytest.raises(PolicyNotFound):
            await made.policy()
        left, decided = made.replicas(), await made.decisions()
        again = await made.apply()

        assert left == 6
        assert decided[0]["desired"] == 6
        assert deleted["reason"]["message"] == (
            "the number stays 6 until the next release, which brings as many as it asks for: the"
            " one in force asks for 2"
        )
        assert made.told()[-2]["status"] == "Superseded"
        assert again["policyRevision"] == 2

    run_virtual(main())


RESOURCE = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/shop"
    "/providers/Microsoft.ServiceBus/namespaces/jobs"
)


def _of_azure(**settings: str) -> dict[str, Any]:
    """Return a rule by a queue of Azure."""
    namespace, query = "Microsoft.ServiceBus/namespaces", "ActiveMessages | Average"
    given = {"source": "azureMonitor", "query": query, "resource": RESOURCE, "namespace": namespace}
    return {"signal": "queueLength", "target": 5, "settings": {**given, **settings}}


REFUSED: list[Any] = [
    pytest.param({"rules": [RULE | {"settings": {"pod": "x"}}]}, "/rules/0/settings", id="setting"),
    pytest.param(
        {"rules": [RULE | {"settings": {"source": "kubernetes"}}]},
        "/rules/0/settings/source",
        id="a-source-that-does-not-measure-it",
    ),
    pytest.param(
        {"rules": [RULE | {"settings": {"source": "prometheus"}}]},
        "/rules/0/settings/query",
        id="no-query",
    ),
    pytest.param(
        {"rules": [{"signal": "schedule", "target": 4, "settings": {"start": "8", "end": "x"}}]},
        "/rules/0/settings/start",
        id="no-cron",
    ),
    pytest.param(
        {
            "rules": [
                {
                    "signal": "schedule",
                    "target": 4,
                    "settings": {"start": "0 8 * * *", "end": "0 9 * * *", "timeZone": "Mars/X"},
                }
            ]
        },
        "/rules/0/settings/timeZone",
        id="no-time-zone",
    ),
    pytest.param({"rules": [{"signal": "cpu", "target": 60}]}, "/rules/0/signal", id="no-limit"),
    pytest.param({"min": 0}, "/min", id="http-to-none"),
    pytest.param({"max": 1000}, "/max", id="more-than-the-surface-has"),
    pytest.param(
        {"costCeiling": {"amount": 5, "prices": {"cpu": 1}}},
        "/costCeiling/prices",
        id="an-instance-that-costs-nothing",
    ),
    pytest.param({"actuator": "native"}, "/rules/0/signal", id="not-of-a-surface"),
    pytest.param(
        {"rules": [_of_azure(resource=f"{RESOURCE}/../../../../others")]},
        "/rules/0/settings/resource",
        id="an-id-that-leads-to-another-resource",
    ),
    pytest.param(
        {"rules": [_of_azure(namespace="")]}, "/rules/0/settings/namespace", id="no-namespace"
    ),
]


@pytest.mark.parametrize(("change", "target"), REFUSED)
def test_what_cannot_be_followed_is_refused_by_its_place(
    change: dict[str, Any], target: str
) -> None:
    async def main() -> None:
        made = await serving()
        with pytest.raises(PolicyInvalid) as refusal:
            await made.apply(**{"rules": [RULE], **change})

        assert refusal.value.details[0].target == target
        assert made.told() == []

    run_virtual(main())


def test_a_worker_may_have_no_instance_where_the_surface_can_that() -> None:
    async def main() -> None:
        made = await working()
        with pytest.raises(PolicyInvalid):
            await without(made, Feature.SCALE_TO_ZERO).apply(QUEUED, min=0)

        assert (await made.apply(QUEUED, min=0))["min"] == 0

    run_virtual(main())


def test_rules_of_the_surface_own_the_number() -> None:
    async def main() -> None:
        made = await serving(resources={"cpu": 0.5})
        await made.apply({"signal": "cpu", "target": 60}, actuator="native", min=2, max=7)
        await made.evaluate()
        revision = made.world.component(component_of()).revisions[1]
        assert revision.scaling is not None
        native = (revision.scaling.minimum, revision.scaling.maximum)
        await made.call("PUT", ONE, {"min": 1, "max": 9, "rules": [RULE]}, policyId=policy_of())
        await made.evaluate()

        assert native == (2, 7)
        assert revision.scaling is None

    run_virtual(main())


def test_a_policy_is_taken_for_no_surface_that_the_installation_has_not() -> None:
    async def main() -> None:
        made = await serving()
        made.app = replace(made.app, surfaces={})

        with pytest.raises(Unavailable, match="no LocalProcess is configured"):
            await made.apply()

    run_virtual(main())


class OvertakenSurface(MemorySurface):
    """A surface on which a deployment is always first with rules of scaling."""

    async def set_scaling(
        self,
        component: SurfaceComponent,
        revision: int,
        rules: ScalingRules | None,
        fence: Fence,
    ) -> None:
        overtaken = replace(fence, token=0)
        await super().set_scaling(component, revision, rules, overtaken)


def test_rules_that_the_surface_was_not_given_are_not_in_force() -> None:
    async def main() -> None:
        made = await serving(resources={"cpu": 0.5})
        surface, kind = made.surface, ComputeTargetKind.LOCAL_PROCESS
        made.app = replace(made.app, surfaces={kind: OvertakenSurface(made.world)})
        await made.apply(*NATIVE["rules"], actuator="native", min=2, max=7)
        await made.evaluate()
        overtaken, decisions = await made.policy(), await made.decisions()
        made.app = replace(made.app, surfaces={kind: surface})
        await made.evaluate()

        assert (overtaken["status"], decisions) == ("Applied", [])
        assert (await made.policy())["status"] == "Enforced"

    run_virtual(main())


NATIVE = {"min": 2, "max": 7, "rules": [{"signal": "cpu", "target": 60}], "actuator": "native"}


async def given_to_the_surface() -> Scaling:
    """Return a service whose number rules of the surface have."""
    made = await serving(resources={"cpu": 0.5})
    await made.apply(*NATIVE["rules"], actuator="native", min=2, max=7)
    await made.evaluate()
    assert made.world.component(component_of()).revisions[1].scaling is not None
    return made


def test_with_its_policy_the_rules_of_the_surface_end() -> None:
    async def main() -> None:
        made = await given_to_the_surface()
        revision = made.world.component(component_of()).revisions[1]
        await made.call("DELETE", ONE, policyId=policy_of())
        made.world.unreadable = "its API is away"
        await made.evaluate()
        kept = revision.scaling
        made.world.unreadable = ""
        await made.evaluate()

        assert kept is not None
        assert revision.scaling is None
        assert await made.evaluate() == 0

    run_virtual(main())


def test_a_policy_that_comes_again_keeps_the_rules_of_the_surface() -> None:
    async def main() -> None:
        made = await given_to_the_surface()
        for _ in range(2):
            await made.call("DELETE", ONE, policyId=policy_of())
            await made.evaluate()
            await made.apply(*NATIVE["rules"], actuator="native", min=2, max=7)
            await made.evaluate()

        assert made.world.component(component_of()).revisions[1].scaling is not None

    run_virtual(main())


def test_what_the_surface_decides_is_not_paused() -> None:
    async def main() -> None:
        made = await given_to_the_surface()
        with pytest.raises(PolicyInvalid) as refusal:
            await made.call("POST", f"{ONE}/pause", {"length": "PT1H"}, policyId=policy_of())

        assert refusal.value.details[0].target == "/actuator"
        assert (await made.policy())["status"] == "Enforced"

    run_virtual(main())


def test_what_is_paused_is_not_given_to_the_surface() -> None:
    async def main() -> None:
        made = await serving(resources={"cpu": 0.5})
        await made.apply()
        await made.call("POST", f"{ONE}/pause", {"length": "PT1H"}, policyId=policy_of())
        with pytest.raises(PolicyInvalid):
            await made.call("PUT", ONE, NATIVE, policyId=policy_of())

        assert (await made.policy())["actuator"] == "platform"

    run_virtual(main())


def test_what_was_paused_is_given_to_the_surface_as_soon_as_the_pause_has_ended() -> None:
    async def main() -> None:
        made = await serving(resources={"cpu": 0.5})
        await made.apply()
        await made.call("POST", f"{ONE}/pause", {"length": "PT1H"}, policyId=policy_of())
        await made.app.service.clock.sleep(3600)
        await made.call("PUT", ONE, NATIVE, policyId=policy_of())
        await made.evaluate()
        (revision,) = made.world.component(component_of()).revisions.values()

        assert revision.scaling is not None
        assert (await made.policy())["status"] == "Enforced"

    run_virtual(main())


def test_a_surface_without_rules_of_its_own_refuses_them() -> None:
    async def main() -> None:
        made = without(await serving(resources={"cpu": 0.5}), Feature.NATIVE_SCALING)
        with pytest.raises(PolicyInvalid) as refusal:
            await made.apply({"signal": "cpu", "target": 60}, actuator="native")

        assert refusal.value.details[0].target == "/actuator"

    run_virtual(main())


def test_decisions_are_listed_without_one_that_nobody_can_read() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        await made.evaluate(3)
        rows = await made.app.samples.scan(sample_partition("acme", policy_of()))
        await made.app.samples.upsert([replace(rows[1], values={**rows[1].values, "inputs": "["})])

        assert [each["at"] for each in await made.decisions()] == [
            rows[2].row_key, rows[0].row_key,
        ]  # fmt: skip

    run_virtual(main())


def test_a_full_last_page_of_decisions_has_no_link_to_a_next_one() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        await made.evaluate(4)
        path = f"{ONE}/decisions"

        first = shown(await made.call("GET", path, query={"top": "2"}, policyId=policy_of()))
        last = shown(
            await made.call(
                "GET",
                path,
                query={"top": "2", "continuation": first["value"][-1]["at"]},
                policyId=policy_of(),
            )
        )

        assert first["nextLink"] is not None
        assert (len(last["value"]), last["nextLink"]) == (2, None)
        assert [*first["value"], *last["value"]] == await made.decisions()

    run_virtual(main())
