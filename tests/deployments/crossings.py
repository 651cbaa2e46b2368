"""Releases, roll-outs of configuration, rotations and rollbacks of one module that cross.

On whichever surface the module runs. Messages come in order and once, or several times and out of
it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from function_apps.deployments.activities.prove_release import prove
from function_apps.deployments.model.predecessors import in_force
from function_apps.deployments.repository import DEPLOYMENTS, DeploymentSet
from shared.contracts.deployments import Deploy, RollbackDeployment
from shared.contracts.releases import ReleasedComponent
from shared.contracts.roll_outs import RollOutSecretVersion
from shared.durable.recovery import Recovery
from shared.kernel.entropy import Entropy
from shared.kernel.ids import ModuleId
from shared.kernel.observation import Present
from shared.messaging.envelope import Envelope
from shared.messaging.parked_messages import parked_partition
from shared.persistence.store import Comparison, Query, Where
from tests.deployments.configured import said
from tests.deployments.driven import SHOP, TEST
from tests.deployments.places import SECRETS, Given, Place
from tests.deployments.standstill import standstill
from tests.deployments.test_configuration_roll_outs import Told
from tests.deployments.told_secrets import (
    bind,
    roll_out_command,
    rotated,
)

T = TypeVar("T")
LOST_S: Final = 130.0
"""After so long without a heartbeat an operation is started again."""
REPLICAS: Final = 2


class Crossing:
    """A module with two secrets and a layer of configuration, and what may happen to it.

    `times` is how often each message comes. With *disorder* those of one action come in any order,
    and each time an older one once more.
    """

    def __init__(
        self,
        place: Place,
        *,
        disorder: Entropy | None = None,
        strategy: str = "canary",
        mode: str = "floating",
    ) -> None:
        self.place, self.world, self.told = place, place.world, Told(place.world)
        self.disorder = disorder
        self.mode = mode
        self.strategy = STRATEGIES[strategy]
        self.versions: dict[str, list[str]] = {name: [] for name in SECRETS}
        self.ended: dict[str, int] = dict.fromkeys(SECRETS, 0)
        """The last rotation of each that has ended: versions before that are disabled."""
        self.published = 0
        self.released = 0
        self.times = 1 if disorder is None else 2
        self._heard: list[Envelope] = []

    async def begin(self) -> None:
        """Release the first program with its first configuration and secrets."""
        await self.renew_secrets()
        await self.publish()
        await self.release()
        await self.be_quiet()

    # What may happen.

    async def renew_secrets(self) -> None:
        """Tell of a new version of each secret, which nobody rolls out."""
        for name, versions in self.versions.items():
            versions.append(await self.place.add_version(name))
            await bind(self.world, versions[-1], len(versions), **self._facts(name))

    async def release(self) -> None:
        """Deploy a program that there was not before."""
        self.released += 1
        await self.deploy(f"program-{self.released}")

    async def deploy(self, content: str) -> None:
        component = await self.place.component(
            content, replicas=REPLICAS, configurationMode=self.mode
        )
        command = {"environmentId": TEST, "releaseRef": content, "components": [component]}
        await self.hear(Deploy.model_validate(command | self.strategy))

    async def publish(self) -> None:
        """Publish two versions of the module's layer, one right after the other."""
        self.published += 2
        numbers = (self.published - 1, self.published)
        await self.hear(*(said("module", each, {"number": each}) for each in numbers))

    async def rotate(self, name: str = "password") -> None:
        self.versions[name].append(await self.place.add_version(name))
        await self.hear(self.order(name, len(self.versions[name]) - 1))

    async def rotate_late(self, name: str) -> None:
        """Bring the command of the rotation before the last one, once more."""
        if len(self.versions[name]) > 2:
            await self.hear(self.order(name, len(self.versions[name]) - 2))

    def order(self, name: str, number: int) -> RollOutSecretVersion:
        facts = {"secretName": name, "bindingId": SECRETS[name].binding}
        return roll_out_command(self.versions[name][number], number, **facts)

    async def end_rotation(self, name: str) -> None:
        """Disable all versions but the newest, and tell that the last rotation has ended."""
        *older, newest = self.versions[name]
        if not older:
            return
        self.ended[name] = len(older)
        for each in older:
            await self.place.disable(name, each)
        number, facts = len(older), self._facts(name)
        await self.hear(
            rotated(newest, number, 8, **facts),
            rotated(newest, number, 9, status="Revoked", revoked=older, **facts),
        )

    def _facts(self, name: str) -> Mapping[str, str]:
        bound = SECRETS[name]
        return {
            "secretName": name,
            "bindingId": bound.binding,
            "target": bound.target,
            "delivery": bound.delivery,
            "vaultUri": self.place.vault,
        }

    async def roll_back(self) -> None:
        """Undo the deployment that was asked for last."""
        rows = [DEPLOYMENTS.decode(row.body) for row in await self.world.rows("deployment")]
        last = max(rows, key=lambda each: (each.created_at, each.deployment_id))
        await self.hear(RollbackDeployment(deployment_id=last.deployment_id))

    async def roll_back_what_runs(self) -> None:
        """Undo the deployment that is in force, whatever was asked for since."""
        by = (await self.world.target()).module(ModuleId(SHOP)).by
        assert by is not None
        await self.hear(RollbackDeployment(deployment_id=by))

    # How messages come.

    async def hear(self, *payloads: BaseModel) -> None:
        messages = [self.told.message(each) for each in payloads]
        if self.disorder is not None:
            messages = shuffled(messages, self.disorder)
            if self._heard:
                messages.append(self._heard[int(self.disorder.fraction() * len(self._heard))])
        for each in messages:
            await self.told.deliver(each, times=self.times)
        self._heard += messages

    async def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.world.begin()
            await self.world.app.service.clock.sleep(0.5)
            await self.world.answer_gates()
            await self.told.forward(times=self.times)

    async def be_quiet(self) -> None:
        clock = self.world.app.service.clock
        give_up_at_s = clock.monotonic_s() + self.world.patience_s
        while True:
            await self.told.settle()
            if not (await self.world.target()).queue:
                return
            assert clock.monotonic_s() < give_up_at_s, await standstill(self.world)
            await clock.sleep(LOST_S)
            await self.recover()

    async def recover(self) -> None:
        service = self.world.app.service
        await Recovery(service.store, self.world.bench.starts, service.clock).sweep()

    # What holds when it is quiet.

    async def be_whole(self) -> ReleasedComponent:
        """Wait until nothing happens, end the rotations that arrived, and hold all to the proof.

        No instance has a version that is disabled then.
        """
        await self.be_quiet()
        component = await self.assert_whole()
        for name, versions in self.versions.items():
            is_new = self.ended[name] < len(versions) - 1
            if is_new and component.secret_versions[name] == versions[-1]:
                await self.end_rotation(name)
        await self.be_quiet()
        component = await self.assert_whole()
        for name, versions in self.versions.items():
            assert component.secret_versions[name] in versions[self.ended[name] :]
        return component

    async def assert_whole(self) -> ReleasedComponent:
        """Hold what instances say, and what the platform's proof says, to what is in force."""
        target = await self.world.target()
        state = target.module(ModuleId(SHOP))
        released = {each: await self.world.deployment(each) for each in state.released_in}
        (component,) = in_force(target, [ModuleId(SHOP)], {**released}).components
        wanted = Given(
            state.revision,
            component.digest,
            component.configuration.hash,
            component.secret_versions,
        )
        assert [*await self.place.given()] == [wanted] * REPLICAS
        assert {*wanted.secrets} == {*SECRETS}
        (surface,) = self.world.app.surfaces.values()
        live = await surface.observe(self.world.surface_component(SHOP))
        assert isinstance(live, Present)
        assert live.value.weights == {state.revision: 100}
        assert [each.revision for each in live.value.revisions] == [state.revision]
        known = DeploymentSet(target, next(iter(released.values())))
        proof, mismatches = await prove(known, [component], self.world.app)
        assert (proof.total, mismatches) == (REPLICAS, ())
        for each in proof.instances:
            said_of_it = (each.release_revision, each.digest, each.configuration_hash)
            assert said_of_it == (wanted.revision, wanted.program, wanted.configuration)
            assert each.secret_versions == wanted.secrets
        return component

    async def refusals(self) -> set[str]:
        """Return the codes of all messages that were refused."""
        query = Query([Where("type", Comparison.EQ, "parked")])
        place = parked_partition(self.world.ctx.scope)
        found = await self.world.app.service.store.query(place, query)
        return {row.body["code"] for row in found.documents}


STRATEGIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "canary": {},
    "at-once": {"strategy": {"kind": "canary", "steps": [{"weight": 100}]}},
}
"""`at-once` has one step: where time is real, each takes some."""


def shuffled(things: Iterable[T], entropy: Entropy) -> list[T]:
    """Return *things* in an order that *entropy* draws."""
    return sorted(things, key=lambda _: entropy.fraction())
