"""An environment through the real host, over HTTP, on virtual time."""

from typing import Any

from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

REQUEST = {
    "name": "shop",
    "projectId": "proj-web",
    "stage": "test",
    "region": "local",
    "computeTargets": [{"kind": "LocalProcess"}],
    "dataResources": [{"kind": "LocalFolder", "name": "files"}],
}


async def provisioned(world: World) -> str:
    status, environment = await world.call("POST", "/runtime/environments", REQUEST)
    assert status == 202, environment
    identity: str = environment["environmentId"]
    await world.until(lambda: _has_status(world, identity, "Provisioned"))
    return identity


async def _has_status(world: World, identity: str, status: str) -> bool:
    _, environment = await world.call("GET", f"/runtime/environments/{identity}")
    return bool(environment["status"] == status)


def test_a_request_is_accepted_watched_and_ends_provisioned() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        answer = await world.send("POST", "/runtime/environments", REQUEST)
        location = dict(answer.headers)["operation-location"]

        async def operation() -> Any:
            _, body = await world.call("GET", location)
            return body if body["status"] == "Succeeded" else None

        ended = await world.until(operation)

        assert ended["percent"] == 100
        assert [step["name"] for step in ended["steps"]][:2] == ["plan", "apply"]
        await world.stop()

    run_virtual(main())


def test_another_tenant_sees_nothing_of_it() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        identity = await provisioned(world)
        status, body = await world.call("GET", f"/runtime/environments/{identity}", tenant="globex")
        _, listed = await world.call("GET", "/runtime/environments", tenant="globex")

        assert status == 404
        assert body["error"]["code"] == "EnvironmentNotFound"
        assert listed["value"] == []
        await world.stop()

    run_virtual(main())


def test_an_update_that_leaves_data_out_is_refused_until_it_names_it() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        path = f"/runtime/environments/{await provisioned(world)}"
        content: dict[str, Any] = {"computeTargets": REQUEST["computeTargets"]}
        refused, body = await world.call("PUT", path, content)
        accepted, _ = await world.call("PUT", path, {**content, "deleteData": ["files"]})

        assert (refused, body["error"]["code"]) == (409, "DataWouldBeDeleted")
        assert accepted == 202
        await world.stop()

    run_virtual(main())
