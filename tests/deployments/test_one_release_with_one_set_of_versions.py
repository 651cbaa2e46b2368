"""Wholeness: at every quiet moment all instances of a module run one release with one set of
versions, whatever releases, rotations, configurations, rollbacks and crashes crossed before.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from function_apps.deployments.activities.prove_release import prove
from function_apps.deployments.model.predecessors import in_force
from function_apps.deployments.repository import DEPLOYMENTS
from shared.contracts.deployments import Deploy, RollbackDeployment
from shared.contracts.roll_outs import RollOutSecretVersion
from shared.contracts.secret_bindings import SecretRotated
from shared.durable.recovery import Recovery
from shared.kernel.errors import Refused
from shared.kernel.ids import ModuleId
from tests.deployments.driven import SHOP, TEST, Driven, driven
from tests.deployments.test_configuration_roll_outs import Told
from tests.deployments.test_secrets_are_rolled_out import MAIL
from tests.deployments.told_secrets import BINDING, KEY, NOW, VAULT, bind, live_specs
from tests.kit.properties import try_with
from tests.kit.virtual_time import run_virtual

BINDINGS: Final = {"password": BINDING, "mail": MAIL}
LOST_S: Final = 130.0
"""After so long without a heartbeat an operation is started again."""


class Crossing:
    """A module with two secrets and a layer of configuration, and what may happen to it."""

    def __init__(self, world: Driven) -> None:
        self.world = world
        self.told = Told(world)
        self.rotations = dict.fromkeys(BINDINGS, 0)
        self.published = 0
        self.times = 1
        """So often comes each message."""

    async def begin(self) -> None:
        await self.world.tell()
        await bind(self.world, "password-0")
        await bind(self.world, "mail-0", secretName="mail", bindingId=MAIL, target="MAIL")
        await self.deploy("one")
        await self.run(30)

    async def deploy(self, content: str) -> None:
        component = await self.world.component(
            content, replicas=2, configurationMode="floating", version=content
        )
        await self.hear(
            Deploy.model_validate(
                {"environmentId": TEST, "releaseRef": content, "components": [component]}
            )
        )

    async def rotate(self, name: str) -> None:
        self.rotations[name] += 1
        await self.hear(self.order(name, self.rotations[name]))

    async def rotate_late(self, name: str) -> None:
        """Bring the command of the rotation before the last one, once more."""
        if self.rotations[name] > 1:
            await self.hear(self.order(name, self.rotations[name] - 1))

    def order(self, name: str, number: int) -> RollOutSecretVersion:
        return RollOutSecretVersion.model_validate(
            {
                "environmentId": TEST,
                "moduleId": SHOP,
                "bindingId": BINDINGS[name],
                "secretName": name,
                "version": f"{name}-{number}",
                "rotationId": f"rot-{KEY}-{name:a<12}-{number}",
            }
        )

    async def end_rotation(self, name: str) -> None:
        """Tell that the last rotation has ended, and that older versions are disabled."""
        number = self.rotations[name]
        if number == 0:
            return
        identity = f"rot-{KEY}-{name:a<12}-{number}"
        event = {
            "aggregateId": identity,
            "rotationId": identity,
            "revision": 9,
            "environmentId": TEST,
            "bindingId": BINDINGS[name],
            "moduleId": SHOP,
            "secretName": name,
            "vaultUri": VAULT,
            "version": f"{name}-{number}",
            "delivery": "environmentVariable",
            "target": name.upper(),
            "status": "Revoked",
            "revoked": [f"{name}-{older}" for older in range(number)],
            "overlapUntil": NOW,
        }
        await self.hear(SecretRotated.model_validate(event))

    async def publish(self, _name: str) -> None:
        self.published += 1
        await self.told.publish(
            "module", self.published, {"number": self.published}, times=self.times
        )

    async def roll_back(self, _name: str) -> None:
        rows = [DEPLOYMENTS.decode(row.body) for row in await self.world.rows("deployment")]
        last = max(rows, key=lambda each: (each.created_at, each.deployment_id))
        await self.hear(RollbackDeployment(deployment_id=last.deployment_id))

    async def be_sick(self, _name: str) -> None:
        """Let each gate fail, until it is well again."""
        for content in ("one", "two", "three"):
            self.world.health.bad.add(await self.world.upload(content))

    async def be_well(self, _name: str) -> None:
        self.world.health.bad.clear()

    async def come_twice(self, _name: str) -> None:
        self.times = 2

    async def kill(self, _name: str) -> None:
        """Lose every orchestration, in the middle of its activities; go on from what is stored."""
        await self.world.drop_running()
        await self.world.app.service.clock.sleep(LOST_S)
        await self.recover()

    async def recover(self) -> None:
        service = self.world.app.service
        await Recovery(service.store, self.world.bench.starts, service.clock).sweep()

    async def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.world.begin()
            await self.world.app.service.clock.sleep(0.5)
            await self.world.answer_gates()
            await self.told.forward(times=self.times)

    async def hear(self, payload: Any) -> None:
        with suppress(Refused):
            await self.told.hear(payload, times=self.times)

    async def be_quiet(self) -> None:
        for _ in range(20):
            await self.told.settle()
            if not (await self.world.target()).queue:
                return
            await self.world.app.service.clock.sleep(LOST_S)
            await self.recover()
        raise AssertionError((await self.world.target()).queue)


async def _deploy_two(crossing: Crossing, _name: str) -> None:
    await crossing.deploy("two")


async def _deploy_three(crossing: Crossing, _name: str) -> None:
    await crossing.deploy("three")


Step = Callable[[Crossing, str], Awaitable[None]]
STEPS: Mapping[str, Step] = {
    "deploy-two": _deploy_two,
    "deploy-three": _deploy_three,
    "rotate": Crossing.rotate,
    "rotate-late": Crossing.rotate_late,
    "end-rotation": Crossing.end_rotation,
    "publish": Crossing.publish,
    "roll-back": Crossing.roll_back,
    "sick": Crossing.be_sick,
    "well": Crossing.be_well,
    "twice": Crossing.come_twice,
    "kill": Crossing.kill,
}
CROSSINGS = st.lists(
    st.tuples(
        st.sampled_from(sorted(STEPS)),
        st.sampled_from(sorted(BINDINGS)),
        st.sampled_from([0.0, 0.5, 2.0, 8.0, 40.0]),
    ),
    min_size=2,
    max_size=9,
)


async def _is_whole(world: Driven) -> None:
    target = await world.target()
    state = target.module(ModuleId(SHOP))
    released = {each: await world.deployment(each) for each in state.released_in}
    (component,) = in_force(target, [ModuleId(SHOP)], {**released}).components
    assert world.live() == ({state.revision: 2}, {state.revision: 100})
    (spec,) = live_specs(world).values()
    given = {secret.name: secret.version for secret in spec.secrets}
    assert given == component.secret_versions
    assert {*given} == {*BINDINGS}
    configured = spec.configuration.hash if spec.configuration else None
    assert configured == component.configuration.hash
    last = next(iter(released.values()))
    proof, mismatches = await prove(last, [component], world.app)
    assert (proof.total, mismatches) == (2, ())
    assert all(each.secret_versions == given for each in proof.instances)


def _whole_at_quiet(steps: Sequence[tuple[str, str, float]]) -> None:
    async def main() -> None:
        world = driven()
        crossing = Crossing(world)
        await crossing.begin()
        for step, name, seconds in steps:
            await STEPS[step](crossing, name)
            await crossing.run(seconds)
        await crossing.be_quiet()

        await _is_whole(world)

    run_virtual(main())


@pytest.mark.parametrize(
    "examples", [pytest.param(15, id="few"), pytest.param(400, marks=pytest.mark.long, id="many")]
)
def test_in_the_end_all_instances_run_one_release_with_one_set_of_versions(examples: int) -> None:
    try_with(examples, _whole_at_quiet, CROSSINGS)
