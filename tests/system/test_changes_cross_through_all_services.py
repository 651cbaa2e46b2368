"""Release, roll-out, rotation and rollback cross in the whole platform, in memory.

Here secret_bindings rotates, and configurations publishes: nobody plays them. Whatever the order,
when it is quiet all instances have one release, with versions of secrets that are enabled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.deployments.crossing_cases import PACES, REFUSED, SEED, Case, cases_of_a_run
from tests.kit.releases import (
    a_component,
    deploy,
    ended,
    provisioned,
    publish,
    until_status,
    uploaded,
)
from tests.kit.sweep import settled
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

WEB: Final = "module-web"
SECRET: Final = "db-password"
ROTATED: Final = frozenset({"Revoked", "Failed"})


@dataclass
class Web:
    """A module with a secret and a layer of configuration, and what its users do."""

    world: World
    environment: str
    binding: str = ""
    released: int = 0
    published: int = 0
    rotation: str = ""

    async def begin(self) -> None:
        await self.publish()
        body = {
            "environmentId": self.environment,
            "moduleId": WEB,
            "secretName": SECRET,
            "generator": {"kind": "random"},
            "target": "DB_PASSWORD",
        }
        _, bound = await self.world.call("POST", "/runtime/secret-bindings", body)
        self.binding = bound["bindingId"]
        await settled(self.world)
        first = await ended(self.world, await self.release())
        assert first["status"] == "Completed", first["reason"]
        await settled(self.world)

    async def act(self, action: str, pace: str) -> None:
        match action:
            case "release":
                await self.release()
            case "publish":
                await self.publish()
            case "rotate":
                await self.rotate()
            case _:
                await self.roll_back(of_what_runs=pace == PACES[-1])

    async def release(self) -> str:
        self.released += 1
        version = str(self.released)
        digest = await uploaded(self.world, version)
        component = a_component(digest, version, WEB, configurationMode="floating")
        return await deploy(self.world, self.environment, version, components=[component])

    async def publish(self) -> None:
        self.published += 1
        await publish(self.world, self.environment, self.published, WEB)

    async def rotate(self) -> None:
        path = f"/runtime/secret-bindings/{self.binding}/rotate"
        status, answer = await self.world.call("POST", path, {"overlap": "PT30S"})
        assert status == 202, answer
        self.rotation = f"/runtime/secret-rotations/{answer['rotationId']}"

    async def roll_back(self, *, of_what_runs: bool) -> None:
        last = next(
            each
            for each in await self.deployments()
            if each["status"] == "Completed" or not of_what_runs
        )
        path = f"/runtime/deployments/{last['deploymentId']}/rollback"
        status, answer = await self.world.call("POST", path, {})
        assert status == 202 or answer["error"]["code"] in REFUSED, answer

    async def deployments(self) -> list[Mapping[str, Any]]:
        """Return all of them, the newest first."""
        path = f"/runtime/deployments?environmentId={self.environment}"
        _, listed = await self.world.call("GET", path)
        found: list[Mapping[str, Any]] = listed["value"]
        return found

    async def assert_whole(self) -> None:
        """Hold what runs to the platform's last proof of it, and to the vault."""
        (component,) = [
            component
            for site in self.world.surface.sites.values()
            for component in site.components.values()
        ]
        ((revision, live),) = component.revisions.items()
        assert component.weights == {revision: 100}
        assert len(live.instances) == live.spec.replicas
        for proof in await self.last_proof(revision):
            assert proof["digest"] == live.spec.artifact
            assert proof["configurationHash"] == live.spec.unit["configurationHash"]
            assert proof["secretVersions"] == {
                secret.name: secret.version for secret in live.spec.secrets
            }
        (secret,) = live.spec.secrets
        vault = self.world.vaults.at(f"https://{self.environment[4:]}.vault.localhost")
        assert secret.version in {
            each.version for each in await vault.versions(SECRET) if each.enabled
        }

    async def last_proof(self, revision: int) -> list[Mapping[str, Any]]:
        for each in await self.deployments():
            _, shown = await self.world.call("GET", f"/runtime/deployments/{each['deploymentId']}")
            proof = shown["proof"]
            if proof and {one["releaseRevision"] for one in proof["instances"]} == {revision}:
                assert proof["whole"]
                return list(proof["instances"])
        raise AssertionError(f"nothing proves revision {revision}")

    async def be_whole(self) -> None:
        """Wait until nothing happens and the rotation has ended, and hold what runs to it."""
        await settled(self.world)
        if self.rotation:
            await until_status(self.world, self.rotation, ROTATED, within_s=7200)
            await settled(self.world)
        await self.assert_whole()


async def cross(case: Case) -> None:
    world = World(requests_per_s=30, is_unruly=case.is_disordered)
    await world.boot()
    try:
        web = Web(world, await provisioned(world))
        await web.begin()
        for action in case.order:
            await web.act(action, case.pace)
            if case.pace == PACES[0]:
                await web.be_whole()
        await web.be_whole()
    finally:
        await world.stop()


@pytest.mark.long(minutes=1)
def test_what_crosses_in_many_orders_ends_whole() -> None:
    for case in cases_of_a_run(2):
        with case.named(SEED):
            run_virtual(cross(case))
