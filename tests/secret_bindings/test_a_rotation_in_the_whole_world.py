"""A rotation through the real services: deployments brings the version, proofs come back."""

import asyncio
import json
from typing import Any

import pytest

from tests.kit.releases import deploy, ended, provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

pytestmark = pytest.mark.xdist_group("rotation-world")
NAME = "db-password"
SERVICES = ("environments", "deployments", "catalog", "health", "configurations", "secret_bindings")


async def _asked(world: World) -> tuple[str, Any]:
    """Provision, and bind a secret to the module that is deployed later."""
    environment = await provisioned(world)
    body = {
        "environmentId": environment,
        "moduleId": "module-web",
        "secretName": NAME,
        "generator": {"kind": "random"},
        "target": "DB_PASSWORD",
    }
    _, asked = await world.call("POST", "/runtime/secret-bindings", body)
    await world.clock.sleep(5)
    return environment, asked


async def _bound(world: World) -> tuple[str, Any]:
    """Provision, bind a secret to the module that is deployed, and deploy it."""
    environment, asked = await _asked(world)
    deployment = await ended(world, await deploy(world, environment, "1"))
    assert deployment["status"] == "Completed", deployment
    return environment, asked


async def _rotated(world: World, binding_id: str, **order: Any) -> Any:
    path = f"/runtime/secret-bindings/{binding_id}/rotate"
    status, rotation = await world.call("POST", path, order)
    assert status == 202, rotation

    async def is_ended() -> Any:
        where = f"/runtime/secret-rotations/{rotation['rotationId']}"
        _, shown = await world.call("GET", where)
        return shown if shown["status"] in {"Revoked", "Failed"} else None

    return await world.until(is_ended)


async def _texts(world: World) -> list[str]:
    found = [
        json.dumps(dict(document.body), default=str)
        for name in SERVICES
        for document in await world.documents(name)
    ]
    rows = world.database.read(
        lambda connection: connection.execute(
            "SELECT input, output FROM durable_instances"
        ).fetchall()
    )
    found += [str(row) for row in rows]
    for name in SERVICES:
        public = name.replace("_", "-")
        for kind in ("operations", "events", "audit"):
            answer = await world.send("GET", f"/v1/platform/{public}/{kind}")
            found.append(answer.body.decode())
    return found


def test_a_rotation_reaches_the_instances_and_no_value_leaves_the_vault() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            environment, asked = await _bound(world)
            vault = world.vaults.at(f"https://{environment[4:]}.vault.localhost")
            values = [(await vault.get(NAME)).value.reveal()]
            rotation = await _rotated(world, asked["bindingId"])
            values.append((await vault.get(NAME)).value.reveal())
            deployments = (await world.call("GET", "/runtime/deployments"))[1]["value"]
            versions = {each.version: each.enabled for each in await vault.versions(NAME)}
            return rotation, deployments, versions, values, await _texts(world)
        finally:
            await world.stop()

    rotation, deployments, versions, values, texts = run_virtual(main())

    old, new = rotation["fromVersion"], rotation["toVersion"]
    assert rotation["status"] == "Revoked", (rotation["reason"], deployments)
    assert versions == {old: False, new: True}
    (consumer,) = rotation["consumers"]
    assert (consumer["version"], consumer["releaseRevision"]) == (new, 2)
    assert sorted(each["kind"] for each in deployments) == ["release", "secret"]
    assert any(rotation["rotationId"] in text for text in texts)
    assert not any(value in text for value in values for text in texts)


def test_a_first_release_on_its_way_keeps_its_version_until_it_has_the_new_one() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            environment, asked = await _asked(world)
            vault = world.vaults.at(f"https://{environment[4:]}.vault.localhost")
            deployed = await deploy(world, environment, "1")
            await world.clock.sleep(5)
            rotating = asyncio.ensure_future(_rotated(world, asked["bindingId"], overlap="PT0S"))
            release = await ended(world, deployed)
            enabled = {each.enabled for each in await vault.versions(NAME)}
            return release, enabled, await rotating
        finally:
            await world.stop()

    release, enabled, rotation = run_virtual(main())

    (component,) = release["releaseUnit"]["components"]
    (consumer,) = rotation["consumers"]
    assert component["secretVersions"] == {NAME: rotation["fromVersion"]}
    assert enabled == {True}
    assert (rotation["status"], consumer["version"]) == ("Revoked", rotation["toVersion"])


def test_each_rotation_rolls_its_version_out_once() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            _, asked = await _bound(world)
            for _ in range(2):
                await _rotated(world, asked["bindingId"], overlap="PT0S")
            return (await world.call("GET", "/runtime/deployments"))[1]["value"]
        finally:
            await world.stop()

    kinds = [each["kind"] for each in run_virtual(main())]

    assert sorted(kinds) == ["release", "secret", "secret"]


@pytest.mark.long
def test_a_rotation_survives_messages_that_come_twice_and_out_of_order() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30, is_unruly=True)
        await world.boot()
        try:
            _, asked = await _bound(world)
            first = await _rotated(world, asked["bindingId"])
            return first, await _rotated(world, asked["bindingId"])
        finally:
            await world.stop()

    first, second = run_virtual(main())

    assert (first["status"], second["status"]) == ("Revoked", "Revoked")
    assert second["fromVersion"] == first["toVersion"]
