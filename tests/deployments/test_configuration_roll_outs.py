"""A release that floats is brought to what is published, by a deployment like any other."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.facts import FACTS_MAX, SCALING, PolicyFact
from function_apps.deployments.ports import DeploymentsRules
from function_apps.deployments.repository import DEPLOYMENTS, TARGETS
from function_apps.deployments.triggers import COMMANDS, EVENTS
from function_apps.deployments.use_cases import record_configuration
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.configuration_merge import hash_of
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.deployments import DeploymentReason
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.roll_outs import RollOutConfiguration
from shared.kernel.errors import Invalid, Unavailable
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.envelope import Envelope
from shared.messaging.unit_of_work import Decision, Json
from shared.persistence.store import Partition, Query
from tests.deployments.configured import identity, said, texts
from tests.deployments.driven import CART, SHOP, TEST, WEB, Driven, driven, environment
from tests.deployments.test_repeats import refuse
from tests.kit.messages import envelope_of, taken
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

QUEUE = "runtime-deployments-commands"
FLOATING = {"configurationMode": "floating"}


class Told:
    """The event port of a world: what it is told, and what it sends itself because of that."""

    def __init__(self, world: Driven) -> None:
        self.world = world
        service = world.app.service
        self.dispatcher = Dispatcher(
            {**EVENTS, **COMMANDS}, world.app, service.work, service.clock, service.entropy
        )
        self.heard = 0

    def message(self, payload: Any) -> Envelope:
        """Return a message with *payload* that there was not before."""
        self.heard += 1
        return envelope_of(payload, self.heard, self.world.app.service.clock.now())

    async def hear(self, payload: Any, *, times: int = 1) -> None:
        """Deliver *payload*, the same message *times*, then all that it sends itself."""
        await self.deliver(self.message(payload), times=times)

    async def deliver(self, envelope: Envelope, *, times: int = 1) -> None:
        for _ in range(times):
            await self.dispatcher.dispatch(envelope)
            await self.forward(times=times)

    async def forward(self, *, times: int = 1) -> None:
        """Deliver what it has sent itself, each *times*."""
        sent = self.world.bench.sent
        while mine := taken(sent, QUEUE):
            self.world._answered = len(sent.messages)
            for message in mine:
                for _ in range(times):
                    await self.dispatcher.dispatch(message)

    async def publish(
        self, layer: str, version: int, values: Mapping[str, Any], **more: Any
    ) -> None:
        times = more.pop("times", 1)
        await self.hear(said(layer, version, values, **more), times=times)

    async def settle(self) -> None:
        """Run all deployments, and those that they cause, to their ends."""
        for _ in range(5):
            await self.world.settle()
            await self.forward()


async def ready(mode: Mapping[str, Any] = FLOATING) -> tuple[Driven, Told]:
    """Return a world with version 1 of SHOP's layer, and a release in force that was given it."""
    # Longer than a drain, so that a look that is taken twice answers the same.
    world = driven(rules=DeploymentsRules(observe_for_s=60))
    await world.tell()
    told = Told(world)
    await told.publish("module", 1, {"a": 1})
    await world.deploy(await world.component("one", **mode))
    await world.settle()
    return world, told


async def roll_outs(world: Driven) -> list[Deployment]:
    """Return the deployments of kind configuration, oldest first."""
    rows = await world.rows(DEPLOYMENTS.type_name)
    found = [DEPLOYMENTS.decode(row.body) for row in rows]
    return sorted(
        (each for each in found if each.kind == "configuration"), key=lambda each: each.created_at
    )


def given_json(world: Driven, revision: int, module: str = SHOP) -> Any:
    found = texts(world, revision, module)
    assert found is not None
    return json.loads(found.files["configuration.json"])


@pytest.mark.parametrize("twice", [False, True], ids=["once", "every-step-twice"])
@pytest.mark.parametrize("layer", ["module", "environment", "tenant"])
def test_what_is_published_is_rolled_out_to_a_release_that_floats(
    layer: str,
    twice: bool,  # noqa: FBT001
) -> None:
    async def main() -> None:
        world, told = await ready()
        world.twice = twice
        await told.publish(layer, 2, {"a": 1, "b": 2}, times=2)
        await told.settle()

        (done,) = await roll_outs(world)
        assert (done.status, done.release_ref) == ("Completed", "r")
        assert [step.weight for step in done.steps] == [10, 50, 100]
        (component,) = done.released_components
        assert component.configuration.hash == hash_of({"a": 1, "b": 2})
        assert getattr(component.configuration, layer) == 2
        assert done.proof is not None
        assert {each.configuration_hash for each in done.proof.instances} == {
            component.configuration.hash
        }
        assert world.live() == ({2: 1}, {2: 100})
        assert given_json(world, 2) == {"a": 1, "b": 2}
        shown = await world.shown(done.deployment_id)
        assert shown.configuration_id == identity(layer)
        completed = world.bench.sent.bodies("RuntimeDeploymentCompleted")[-1]["payload"]
        assert (completed["kind"], completed["configurationId"]) == (
            "configuration",
            identity(layer),
        )

    run_virtual(main())


@pytest.mark.parametrize("mode", ["pinned", "live"])
def test_a_release_that_does_not_float_takes_it_with_its_next_deployment(mode: str) -> None:
    async def main() -> None:
        world, told = await ready({"configurationMode": mode})
        await told.publish("module", 2, {"a": 2})
        await told.settle()

        assert await roll_outs(world) == []
        assert world.live() == ({1: 1}, {1: 100})
        await world.deploy(await world.component("one", configurationMode=mode))
        await told.settle()
        assert given_json(world, 2) == {"a": 2}

    run_virtual(main())


def test_one_that_fails_its_gate_goes_back_to_the_configuration_before() -> None:
    async def main() -> None:
        world, told = await ready()
        component = await world.component("one", **FLOATING)
        world.health.bad.add(component["artifactDigest"])
        await told.publish("module", 2, {"a": 2})
        await told.settle()

        (back,) = await roll_outs(world)
        assert back.status == "RolledBack"
        assert back.proof is not None
        assert {each.configuration_hash for each in back.proof.instances} == {hash_of({"a": 1})}
        assert world.live() == ({1: 1}, {1: 100})
        world.health.bad.clear()
        await told.publish("module", 3, {"a": 3})
        await told.settle()
        assert [each.status for each in await roll_outs(world)] == ["RolledBack", "Completed"]
        assert given_json(world, 3) == {"a": 3}

    run_virtual(main())


def test_many_that_are_published_while_a_release_runs_are_one_roll_out_of_the_last() -> None:
    async def main() -> None:
        world, told = await ready()
        two = await world.deploy(await world.component("two", **FLOATING))
        for version in (2, 3, 4):
            await told.publish("module", version, {"a": version})
        assert len((await world.target()).queue) == 2
        await world.settle()
        assert world.bench.sent.bodies("RollOutConfiguration") == []
        await told.settle()

        (done,) = await roll_outs(world)
        assert await world.status(two["deploymentId"]) == "Completed"
        assert (done.status, done.released_components[0].configuration.module) == ("Completed", 4)
        assert done.released_components[0].digest == (
            (await world.deployment(two["deploymentId"])).released_components[0].digest
        )
        assert given_json(world, 3) == {"a": 4}

    run_virtual(main())


def test_a_release_that_comes_with_it_leaves_a_roll_out_nothing_to_do() -> None:
    async def main() -> None:
        world, told = await ready()
        await world.deploy(await world.component("two", **FLOATING))
        await told.publish("module", 2, {"a": 2})
        three = await world.deploy(await world.component("three", **FLOATING))
        await told.settle()

        (left,) = await roll_outs(world)
        assert (left.status, left.reason and left.reason.code) == ("Cancelled", "NothingToRollOut")
        operation = await world.operation(left.deployment_id)
        assert operation.status == "Canceled"
        assert await world.status(three["deploymentId"]) == "Completed"
        assert given_json(world, 3) == {"a": 2}
        assert world.live() == ({3: 1}, {3: 100})

    run_virtual(main())


@pytest.mark.parametrize("layer", ["module", "tenant"])
def test_what_is_published_while_the_first_release_is_on_its_way_follows_it(layer: str) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        told = Told(world)
        await world.deploy(await world.component("one", **FLOATING))
        await told.publish(layer, 1, {"a": 1})
        assert await roll_outs(world) == []
        await told.settle()

        (done,) = await roll_outs(world)
        assert (done.status, given_json(world, 2)) == ("Completed", {"a": 1})

    run_virtual(main())


def test_a_rollback_is_not_rolled_forward_until_something_is_published() -> None:
    async def main() -> None:
        world, told = await ready()
        await told.publish("module", 2, {"a": 2})
        await told.settle()
        (rolled_out,) = await roll_outs(world)

        await world.rollback(rolled_out.deployment_id)
        await told.settle()
        await told.publish("module", 2, {"a": 2})
        await told.settle()

        assert len(await roll_outs(world)) == 1
        assert given_json(world, 3) == {"a": 1}
        await told.publish("module", 3, {"a": 3})
        await told.settle()
        assert given_json(world, 4) == {"a": 3}

    run_virtual(main())


def test_the_layer_of_a_tenant_reaches_all_its_environments_that_have_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        world, told = await ready()
        for name in ("one", "two", "three"):
            await world.tell(name=name)
        full = replace(await world.target("two"), facts=FULL)
        write: Decision[Json] = Decision({}, writes=[TARGETS.put(full)])
        service = world.app.service
        await service.work.change(world.ctx, TARGETS, environment("two"), lambda _: write)
        monkeypatch.setattr(record_configuration, "PAGE_MAX", 1)

        await told.publish("tenant", 1, {"t": 1})
        await told.settle()

        layer = identity("tenant")
        recorded = [layer in (await world.target(name)).facts for name in ("one", "two", "three")]
        assert recorded == [True, False, True]
        assert given_json(world, 2) == {"a": 1, "t": 1}
        (parked,) = await parked_messages(world)
        assert parked["code"] == "FactsFull"

    run_virtual(main())


FULL = {f"sp-{n}": PolicyFact(SCALING, 1, 1, f"module-{n}") for n in range(FACTS_MAX)}


async def parked_messages(world: Driven) -> list[Any]:
    partition = Partition(TENANT, "-")
    found = await world.app.service.store.query(partition, Query())
    return [each.body for each in found.documents if each.id.startswith("parked/")]


def test_a_roll_out_that_failed_is_tried_again_with_what_is_recorded_then() -> None:
    async def main() -> None:
        world, told = await ready()
        world.interfere = refuse
        await told.publish("module", 2, {"a": 2})
        await told.settle()
        world.interfere = lambda _name: None
        (failed,) = await roll_outs(world)
        assert failed.status == "Failed"
        await told.publish("environment", 1, {"e": 1})
        await told.settle()
        assert [each.status for each in await roll_outs(world)] == ["Failed", "Completed"]

        await retry(failed.deployment_id, DeploymentReason(), world.ctx, world.app)
        await told.settle()

        assert (await world.deployment(failed.deployment_id)).status == "Cancelled"
        state = (await world.target()).module(SHOP)
        assert given_json(world, state.revision) == {"a": 2, "e": 1}

    run_virtual(main())


def test_equal_values_restart_nothing() -> None:
    async def main() -> None:
        world, told = await ready()
        await told.publish("module", 2, {"a": 1})
        await told.settle()

        assert await roll_outs(world) == []

    run_virtual(main())


def test_modules_of_several_releases_are_rolled_out_each_as_its_release_was() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        told = Told(world)
        await world.deploy(
            await world.component("shop", SHOP, **FLOATING),
            await world.component("cart", CART, **FLOATING),
        )
        await world.deploy(
            await world.component("web", WEB, **FLOATING), strategy={"kind": "recreate"}
        )
        await world.settle()
        await told.publish("environment", 1, {"a": 1}, times=3)
        await told.settle()

        found = await roll_outs(world)
        modules = {each.strategy.kind.value: {*each.modules} for each in found}
        assert modules == {"canary": {SHOP, CART}, "recreate": {WEB}}
        assert {each.status for each in found} == {"Completed"}
        for module in (SHOP, CART, WEB):
            assert given_json(world, 2, module) == {"a": 1}

    run_virtual(main())


def test_the_same_release_asked_for_again_is_in_force_with_what_was_rolled_out() -> None:
    async def main() -> None:
        world, told = await ready()
        await told.publish("module", 2, {"a": 2})
        await told.settle()
        (done,) = await roll_outs(world)

        answer = await world.deploy(await world.component("one", **FLOATING))

        assert answer["deploymentId"] == done.deployment_id

    run_virtual(main())


def command(version: int, values: Mapping[str, Any], **more: Any) -> RollOutConfiguration:
    return RollOutConfiguration.model_validate(
        {
            "environmentId": TEST,
            "configurationId": identity("module"),
            "version": version,
            "contentHash": hash_of(values),
            "modules": [SHOP],
            **more,
        }
    )


def test_a_version_that_is_not_heard_of_yet_is_waited_for_and_an_older_one_is_nothing() -> None:
    async def main() -> None:
        world, told = await ready()
        roll_out: Callable[..., Any] = COMMANDS[RollOutConfiguration]

        with pytest.raises(Unavailable, match="version 2"):
            await roll_out(command(2, {"a": 2}), world.ctx, world.app)
        with pytest.raises(Invalid, match="is sha256"):
            await roll_out(command(1, {"a": 2}), world.ctx, world.app)
        await told.hear(command(1, {"a": 1}))

        assert (await world.target()).queue == ()

    run_virtual(main())


def test_a_roll_out_that_names_the_layer_of_another_module_brings_what_is_recorded() -> None:
    async def main() -> None:
        world, told = await ready()
        await world.deploy(await world.component("cart", CART, **FLOATING))
        await world.settle()
        record: Callable[..., Any] = EVENTS[ConfigurationPublished]
        await record(said("environment", 1, {"b": 1}), world.ctx, world.app)
        world.bench.sent.messages.clear()
        await told.hear(command(1, {"a": 1}, modules=[CART]))
        await told.settle()

        (done,) = await roll_outs(world)
        assert (done.modules, done.status) == ((CART,), "Completed")
        assert given_json(world, 2, CART) == {"b": 1}

    run_virtual(main())


def test_an_environment_that_is_taken_away_is_left_alone() -> None:
    async def main() -> None:
        world, told = await ready()
        await world.tell(EnvironmentStatus.DECOMMISSIONING)
        await told.publish("module", 2, {"a": 2})

        assert await roll_outs(world) == []

    run_virtual(main())


def test_what_a_rollback_brought_back_is_rolled_out_by_the_steps_of_each_release() -> None:
    async def main() -> Any:
        world = driven()
        await world.tell()
        told = Told(world)
        await told.publish("environment", 1, {"a": 1})
        shop, cart = {**FLOATING}, {"moduleId": CART, **FLOATING}
        await world.deploy(await world.component("one", **shop), strategy={"kind": "recreate"})
        await world.deploy(await world.component("one", **cart), gate={"minSamples": 9})
        await world.settle()
        both = [await world.component("two", **each) for each in (shop, cart)]
        two = await world.deploy(*both)
        await world.settle()
        await world.rollback(two["deploymentId"])
        await world.settle()
        await told.publish("environment", 2, {"a": 2})
        await told.settle()
        target = await world.target()
        ends = [await world.deployment(str(target.module(each).by)) for each in (SHOP, CART)]
        return [(each.kind, each.strategy.kind, each.gate.min_samples) for each in ends]

    shop, cart = run_virtual(main())

    assert shop[:2] == ("configuration", "recreate")
    assert cart == ("configuration", "canary", 9)
