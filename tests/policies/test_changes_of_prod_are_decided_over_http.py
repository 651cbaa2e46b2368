"""What a caller is told of a change of prod, by HTTP, and what the audit trail keeps of it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from shared.contracts.environments import ProvisionEnvironment
from tests.kit.releases import ENVIRONMENT, a_component, provisioned, uploaded
from tests.kit.sending import send
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World
from tests.tenants.test_bound_tenants_in_the_whole_world import bound

RULES: Final = {"regions": ["local"], "sizes": {"replicas": 2}}
ENVIRONMENTS: Final = "/runtime/environments"
PROD: Final = {**ENVIRONMENT, "name": "live", "stage": "prod"}
ABROAD: Final = {**PROD, "region": "eastus"}


def policy(**rules: Any) -> Mapping[str, str]:
    return {"RUNTIME_PROD_POLICY": json.dumps(rules)}


def played(scenario: Callable[[World], Awaitable[None]], **rules: Any) -> None:
    async def main() -> None:
        world = World(app_settings=policy(**(rules or RULES)))
        await world.boot()
        try:
            await scenario(world)
        finally:
            await world.stop()

    run_virtual(main())


async def decided(world: World, app: str, *, number: int) -> list[Any]:
    """Return the last *number* audit records with a decision, once they are there."""

    async def recorded() -> list[Any]:
        _, page = await world.call("GET", f"/v1/platform/{app}/audit")
        found = [each for each in page["value"] if each["policy"] is not None]
        return found if len(found) >= number else []

    return list(await world.until(recorded, within_s=120))[-number:]


async def a_release(world: World, environment: str, **more: Any) -> dict[str, Any]:
    component = a_component(await uploaded(world, "1"), "1", **more)
    return {"environmentId": environment, "releaseRef": "v1", "components": [component]}


def test_what_is_denied_says_the_rule_what_was_asked_and_what_would_be_allowed() -> None:
    async def scenario(world: World) -> None:
        status, answer = await world.call("POST", ENVIRONMENTS, ABROAD)

        error = answer["error"]
        assert (status, error["code"]) == (403, "PolicyDenied")
        (detail,) = error["details"]
        assert detail["code"] == "RegionNotAllowed"
        assert detail["target"] == "/region"
        assert (detail["expected"], detail["received"]) == ("local", "eastus")
        _, listed = await world.call("GET", ENVIRONMENTS)
        assert listed["value"] == []

    played(scenario)


def test_both_answers_are_recorded_with_their_inputs() -> None:
    async def scenario(world: World) -> None:
        await world.call("POST", ENVIRONMENTS, ABROAD)
        await world.call("POST", ENVIRONMENTS, PROD)

        denied, allowed = await decided(world, "environments", number=2)

        assert (denied["action"], denied["outcome"]) == ("ProvisionEnvironment", "PolicyDenied")
        assert denied["policy"]["allowed"] is False
        assert denied["policy"]["rules"] == RULES
        assert denied["policy"]["inputs"]["region"] == "eastus"
        assert [each["code"] for each in denied["policy"]["findings"]] == ["RegionNotAllowed"]
        assert "eastus" in denied["reason"]
        assert (allowed["outcome"], allowed["policy"]["allowed"]) == ("Accepted", True)
        assert allowed["policy"]["inputs"]["computeTargets"][0]["kind"] == "LocalProcess"
        _, sound = await world.call("GET", "/v1/platform/environments/audit-verification")
        assert sound["status"] == "Sound"

    played(scenario)


def test_a_message_that_is_denied_is_parked_with_the_reason_and_recorded() -> None:
    async def scenario(world: World) -> None:
        await send("runtime-environments-commands", ProvisionEnvironment.model_validate(ABROAD), 1)

        (denied,) = await decided(world, "environments", number=1)
        _, parked = await world.call("GET", "/v1/platform/environments/parked")

        assert (denied["outcome"], denied["policy"]["allowed"]) == ("PolicyDenied", False)
        assert [each["code"] for each in parked["value"]] == ["PolicyDenied"]

    played(scenario)


def test_other_stages_are_not_decided_about() -> None:
    async def scenario(world: World) -> None:
        status, _ = await world.call("POST", ENVIRONMENTS, {**ABROAD, "stage": "staging"})
        assert status == 202
        await world.clock.sleep(60)
        _, page = await world.call("GET", "/v1/platform/environments/audit")
        assert {each["policy"] for each in page["value"]} == {None}

    played(scenario)


def test_a_dry_run_lists_what_would_be_denied_and_records_nothing() -> None:
    async def scenario(world: World) -> None:
        status, plan = await world.call("POST", ENVIRONMENTS, {**ABROAD, "dryRun": True})

        (refusal,) = plan["refusals"]
        assert status == 200
        assert (refusal["code"], refusal["target"]) == ("RegionNotAllowed", "/region")
        assert "expected local, got eastus" in refusal["message"]
        await world.clock.sleep(60)
        _, page = await world.call("GET", "/v1/platform/environments/audit")
        assert page["value"] == []

    played(scenario)


def test_a_repeat_is_answered_by_its_marker_though_the_rules_became_stricter() -> None:
    async def scenario(world: World) -> None:
        key = {"idempotency-key": "once"}
        first = await world.send("POST", ENVIRONMENTS, PROD, headers=key)
        await world.kill()
        world.app_settings = policy(regions=[])
        await world.boot()

        again = await world.send("POST", ENVIRONMENTS, PROD, headers=key)
        unkeyed, _ = await world.call("POST", ENVIRONMENTS, PROD)
        other, _ = await world.call("POST", ENVIRONMENTS, {**PROD, "name": "other"})

        assert (first.status, again.status, again.body) == (202, 202, first.body)
        assert (unkeyed, other) == (202, 403)

    played(scenario)


def test_a_denial_is_no_answer_to_a_repeat() -> None:
    async def scenario(world: World) -> None:
        key = {"idempotency-key": "once"}
        denied = await world.send("POST", ENVIRONMENTS, ABROAD, headers=key)
        await world.kill()
        world.app_settings = policy(regions=["eastus"])
        await world.boot()

        again = await world.send("POST", ENVIRONMENTS, ABROAD, headers=key)

        assert (denied.status, again.status) == (403, 202)

    played(scenario)


def test_an_update_of_prod_is_decided_too() -> None:
    async def scenario(world: World) -> None:
        small, larger = (
            [{"kind": "AKS", "capacity": {"memoryMib": memory}}] for memory in (1024, 4096)
        )
        on_aks = {**PROD, "computeTargets": small, "dataResources": []}
        environment = await provisioned(world, **on_aks)
        content = {"computeTargets": larger}
        path = f"{ENVIRONMENTS}/{environment}"

        status, answer = await world.call("PUT", path, content)
        planned, plan = await world.call("PUT", path, {**content, "dryRun": True})

        assert (status, answer["error"]["code"]) == (403, "PolicyDenied")
        assert answer["error"]["details"][0]["target"] == "/computeTargets/0/capacity/memoryMib"
        assert (planned, [each["code"] for each in plan["refusals"]]) == (200, ["SizeNotAllowed"])
        _, shown = await world.call("GET", path)
        assert shown["status"] == "Provisioned"

    played(scenario, regions=["local"], sizes={"computeTarget": {"memoryMib": 2048}})


def test_a_release_for_prod_is_decided_and_its_permission_stands_beside_it() -> None:
    async def scenario(world: World) -> None:
        environment = await provisioned(world, **PROD)
        await bound(world, environment)
        small = await a_release(world, environment)
        large = await a_release(world, environment, replicas=3)

        status, answer = await world.call("POST", "/runtime/deployments", large)
        _, plan = await world.call("POST", "/runtime/deployments", {**large, "dryRun": True})
        accepted, deployment = await world.call("POST", "/runtime/deployments", small)
        denied, allowed = await decided(world, "deployments", number=2)

        assert (status, answer["error"]["code"]) == (403, "PolicyDenied")
        assert answer["error"]["details"][0]["target"] == "/components/0/replicas"
        assert [each["code"] for each in plan["refusals"]] == ["SizeNotAllowed"]
        assert accepted == 202, deployment
        assert (denied["target"], denied["outcome"]) == (environment, "PolicyDenied")
        assert allowed["target"] == deployment["deploymentId"]
        assert allowed["policy"]["inputs"]["components"][0]["replicas"] == 2

    played(scenario)
