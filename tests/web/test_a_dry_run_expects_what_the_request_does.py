"""A dry run answers what the request would, its `If-Match` included."""

from collections.abc import Mapping
from typing import Any, Final

from tests.kit.releases import ENVIRONMENT, a_component, deploy, ended, provisioned, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

STALE: Final = {"if-match": '"stale"'}
CHANGE: Final = {"computeTargets": ENVIRONMENT["computeTargets"], "tags": {"team": "shop"}}

Call = tuple[str, str, dict[str, Any]]


async def _calls(world: World, environment: str) -> Mapping[str, Call]:
    """Return each command that has a dry run, as method, path and body."""
    released = await deploy(world, environment, "1")
    await ended(world, released)
    staging = await provisioned(world, name="staging", stage="staging")
    release = {
        "environmentId": environment,
        "releaseRef": "v2",
        "components": [a_component(await uploaded(world, "2"), "2")],
    }
    return {
        "provision": ("POST", "/runtime/environments", ENVIRONMENT | {"name": "other"}),
        "update": ("PUT", f"/runtime/environments/{environment}", CHANGE),
        "deploy": ("POST", "/runtime/deployments", release),
        "promote": (
            "POST", f"/runtime/deployments/{released}/promote", {"toEnvironmentId": staging},
        ),
    }  # fmt: skip


def test_a_dry_run_refuses_an_etag_that_the_request_would_refuse() -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            calls = await _calls(world, await provisioned(world))
            codes = {}
            for name, (method, path, body) in calls.items():
                for is_dry in (False, True):
                    asked = {**body, "dryRun": is_dry}
                    status, answer = await world.call(method, path, asked, headers=STALE)
                    codes[name, is_dry] = (status, answer.get("error", {}).get("code"))
        finally:
            await world.stop()

        assert codes == dict.fromkeys(
            [(name, is_dry) for name in calls for is_dry in (False, True)], (412, "Stale")
        )

    run_virtual(main())


def test_a_plan_of_an_environment_is_of_the_one_that_the_caller_has_seen() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        try:
            path = f"/runtime/environments/{await provisioned(world)}"
            shown = await world.send("GET", path)
            etag = {name.lower(): value for name, value in shown.headers}["etag"]
            stale, _ = await world.call("POST", f"{path}/plan", headers=STALE)
            plan, _ = await world.call("POST", f"{path}/plan", headers={"if-match": etag})
            change = {**CHANGE, "dryRun": True}
            dry_run, _ = await world.call("PUT", path, change, headers={"if-match": etag})
        finally:
            await world.stop()

        assert (stale, plan, dry_run) == (412, 200, 200)

    run_virtual(main())
