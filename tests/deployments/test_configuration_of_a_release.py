"""A release pins the configuration that is recorded when it is asked for, and goes back with it."""

import json
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest

from function_apps.deployments.errors import CannotBePlanned, ConfigurationRemoved
from function_apps.deployments.model.artifact_retention import KEPT_FOR
from function_apps.deployments.use_cases.configuration_content import CONTENTS, content_blob
from function_apps.deployments.use_cases.deploy import plan_deployment
from function_apps.deployments.use_cases.record_configuration import record_configuration
from function_apps.deployments.use_cases.remove_artifacts import remove_unneeded_artifacts
from function_apps.deployments.use_cases.retry import retry
from shared.contracts.configuration_merge import hash_of
from shared.contracts.deployments import DeploymentReason
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.values import Stage
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.ids import configuration_id, parse_id
from tests.deployments.configured import LAYERS, identity, publish, said, texts
from tests.deployments.driven import CART, SHOP, Driven, driven
from tests.deployments.test_promotion import SOAK, STAGING, promote_after
from tests.deployments.test_repeats import refuse
from tests.kit.service import TENANT
from tests.kit.stores import all_changes
from tests.kit.virtual_time import run_virtual


async def ready() -> Driven:
    world = driven()
    await world.tell()
    return world


def given_json(world: Driven, revision: int, module: str = SHOP) -> Any:
    found = texts(world, revision, module)
    assert found is not None
    return json.loads(found.files["configuration.json"])


def test_a_release_pins_three_layers_and_its_instances_get_their_merge() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "tenant", 3, {"a": "tenant", "b": "tenant", "c": "tenant"})
        await publish(world, "environment", 5, {"b": "environment", "c": "environment"})
        await publish(world, "module", 7, {"c": {"deep": [1, True]}})
        answer = await world.deploy(
            await world.component("shop", SHOP), await world.component("cart", CART)
        )
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        shop, cart = done.candidate(SHOP), done.candidate(CART)
        assert shop is not None
        assert cart is not None
        merge = {"a": "tenant", "b": "environment", "c": {"deep": [1, True]}}
        pin = shop.configuration
        assert (pin.tenant, pin.environment, pin.module, pin.hash) == (3, 5, 7, hash_of(merge))
        assert cart.configuration.module == 0
        assert given_json(world, 1) == merge
        assert given_json(world, 1, CART)["c"] == "environment"
        assert done.proof is not None
        hashes = {each.module_id: each.configuration_hash for each in done.proof.instances}
        assert hashes == {SHOP: pin.hash, CART: cart.configuration.hash}
        assert "ConfigurationAbsent" not in {each.code for each in done.absent}
        shown = await world.shown(answer["deploymentId"])
        assert shown.configuration == pin

    run_virtual(main())


VALUES: Mapping[str, Any] = {
    "db.host-name:x": "it's 1$",
    "size": 3,
    "list": [1, "ä"],
    "on": {"flag": {"type": "boolean", "default": False, "rules": []}},
    "key": {"secret": "payment"},
    "path": "/plain",
    "text": 'say "hi"',
}


def test_texts_stand_as_they_are_and_other_values_as_json_without_what_a_binding_delivers() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, VALUES)
        delivery = ["variables", "json", "dotenv"]
        await world.deploy(await world.component("one", configurationDelivery=delivery))
        await world.settle()

        found = texts(world, 1)
        assert found is not None
        flag = '{"flag":{"default":false,"rules":[],"type":"boolean"}}'
        assert found.variables == {
            "db_host_name_x": "it's 1$",
            "size": "3",
            "list": '[1,"ä"]',
            "on": flag,
            "path": "/plain",
            "text": 'say "hi"',
        }
        assert json.loads(found.files["configuration.json"]) == VALUES
        assert found.files["configuration.env"].splitlines() == [
            'db_host_name_x="it\'s 1\\$"',
            "list='[1,\"ä\"]'",
            f"on='{flag}'",
            "path=/plain",
            "size=3",
            "text='say \"hi\"'",
        ]

    run_virtual(main())


def test_without_a_published_configuration_an_instance_is_given_none() -> None:
    async def main() -> None:
        world = await ready()

        done = await world.release("one")

        assert texts(world, 1) is None
        assert "ConfigurationAbsent" in {each.code for each in done.absent}

    run_virtual(main())


@pytest.mark.parametrize(
    ("values", "environ", "message"),
    [
        pytest.param({"a.b": 1, "a-b": 2}, {}, "a.b and a-b .* the variable a_b", id="two-keys"),
        pytest.param({"a.b": 1}, {"a_b": "x"}, "a_b, which environ has too", id="environ"),
        pytest.param({"PORT": 1}, {}, "PORT", id="the-platforms"),
        pytest.param({"a": "\0"}, {}, "NUL", id="nul"),
        pytest.param({"a": "x" * 130_100}, {}, "130048 bytes", id="too-long"),
    ],
)
def test_a_key_that_can_be_no_variable_of_its_own_is_refused_by_name(
    values: Mapping[str, Any], environ: Mapping[str, str], message: str
) -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, values)
        component = await world.component(
            "one", configurationDelivery=["variables"], environ=environ
        )

        with pytest.raises(CannotBePlanned, match=message) as refused:
            await world.deploy(component)

        (violation,) = refused.value.details
        assert violation.target == "/components/0/configurationDelivery"
        as_file = await world.deploy({**component, "configurationDelivery": ["json"]})
        assert as_file["status"] == "Requested"

    run_virtual(main())


def test_the_same_release_is_another_one_once_it_would_be_given_other_values() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        one = await world.release("one")
        component = await world.component("one")

        repeated = await world.deploy(component)
        await publish(world, "module", 2, {"a": 2})
        other = await world.deploy(component)
        again = await world.deploy(component)
        await world.settle()

        assert repeated["deploymentId"] == one.deployment_id
        assert other["deploymentId"] != one.deployment_id
        assert again["deploymentId"] == other["deploymentId"]
        assert given_json(world, 2) == {"a": 2}
        last = await world.deploy(component)
        assert last["deploymentId"] == other["deploymentId"]

    run_virtual(main())


def test_a_version_that_is_named_is_pinned_instead() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "tenant", 1, {"t": 1})
        for version in (1, 2, 3):
            await publish(world, "module", version, {"a": version})

        answer = await world.deploy(
            await world.component("one"), configuration={"module": 2, "tenant": 0}
        )
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        assert done.released_components[0].configuration.module == 2
        assert given_json(world, 1) == {"a": 2}

    run_virtual(main())


def test_a_version_that_is_not_recorded_is_refused_with_those_that_are() -> None:
    async def main() -> None:
        world = await ready()
        for version in range(1, 8):
            await publish(world, "module", version, {"a": version})
        component = await world.component("one")
        wanted = {"module": 2, "tenant": 4, "configurationId": identity("module", CART)}

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(component, configuration=wanted)
        command = await world.command(component, configuration=wanted)
        plan = await plan_deployment(command, world.ctx, world.app)

        found = {each.target: each.message for each in refused.value.details}
        assert found.keys() == {
            "/configuration/tenant",
            "/configuration/module",
            "/configuration/configurationId",
        }
        assert f"version 2 of the configuration of {SHOP}" in found["/configuration/module"]
        assert "3, 4, 5, 6, 7" in found["/configuration/module"]
        assert "none yet" in found["/configuration/tenant"]
        assert len(plan.refusals) == 3

    run_virtual(main())


def test_in_any_order_and_however_often_the_newest_is_in_force_and_all_can_be_named() -> None:
    async def main() -> None:
        found = []
        for order in permutations((1, 2, 3)):
            world = await ready()
            for version in (*order, *order):
                for layer in ("tenant", "module"):
                    await publish(world, layer, version, {"a": version})
            answer = await world.deploy(await world.component("one"))
            deployment = await world.deployment(answer["deploymentId"])
            target = await world.target()
            found.append((target.facts, deployment.pins))

        assert all(each == found[0] for each in found)
        (facts, pins) = found[0]
        assert facts[identity("module")].versions.keys() == {"1", "2", "3"}
        assert (pins[SHOP].tenant, pins[SHOP].module) == (3, 3)

    run_virtual(main())


def test_values_that_are_not_those_of_their_hash_are_malformed_and_change_nothing() -> None:
    async def main() -> None:
        world = await ready()
        known = await world.target()

        event = said("module", 1, {"a": 1}, contentHash=hash_of({"a": 2}))

        with pytest.raises(Invalid, match="are not those of"):
            await record_configuration(event, world.ctx, world.app)

        assert await world.target() == known
        assert not await world.app.blobs.list_stored(CONTENTS)

    run_virtual(main())


def test_a_dry_run_keeps_nothing() -> None:
    async def main() -> None:
        world = await ready()
        for layer in LAYERS:
            await publish(world, layer, 1, {layer: 1})
        command = await world.command(await world.component("one"), dryRun=True)
        before = await _stored(world)

        plan = await plan_deployment(command, world.ctx, world.app)

        assert plan.components[0].configuration.hash == hash_of(dict.fromkeys(LAYERS, 1))
        assert await _stored(world) == before

    run_virtual(main())


async def _stored(world: Driven) -> Any:
    blobs = [each.name for each in await world.app.blobs.list_stored("")]
    return blobs, [each.id for each in await all_changes(world.app.service.store)]


def test_what_is_published_while_a_release_waits_is_of_the_next_one() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        await world.deploy(await world.component("one"))
        waiting = await world.deploy(await world.component("two"))

        await publish(world, "module", 2, {"a": 2})
        await world.settle()

        done = await world.deployment(waiting["deploymentId"])
        assert (done.status, done.released_components[0].configuration.module) == ("Completed", 1)
        assert given_json(world, 2) == {"a": 1}

    run_virtual(main())


@pytest.mark.parametrize("strategy", ["canary", "recreate"])
def test_a_release_that_fails_goes_back_with_its_configuration(strategy: str) -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        one = await world.release("one")
        await publish(world, "module", 2, {"a": 2})
        bad = await world.component("bad")
        world.health.bad.add(bad["artifactDigest"])

        answer = await world.deploy(bad, strategy={"kind": strategy})
        await world.settle()

        back = await world.deployment(answer["deploymentId"])
        old = one.released_components[0].configuration
        assert back.status == "RolledBack"
        assert back.restored is not None
        assert back.restored.components[0].configuration == old
        assert back.proof is not None
        assert {each.configuration_hash for each in back.proof.instances} == {old.hash}
        assert given_json(world, 1) == {"a": 1}
        same_image = await world.deploy(await world.component("one"))
        await world.settle()
        assert await world.status(same_image["deploymentId"]) == "Completed"

    run_virtual(main())


def test_a_rollback_that_is_asked_for_brings_back_the_configuration_of_then() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        await world.release("one")
        await publish(world, "module", 2, {"a": 2})
        two = await world.release("one")
        await publish(world, "module", 3, {"a": 3})

        rollback = await world.rollback(two.deployment_id)
        await world.settle()

        done = await world.deployment(rollback["deploymentId"])
        assert (done.status, done.released_components[0].configuration.module) == ("Completed", 1)
        assert given_json(world, 3) == {"a": 1}
        assert done.proof is not None
        assert {each.configuration_hash for each in done.proof.instances} == {hash_of({"a": 1})}

    run_virtual(main())


def test_a_rollback_whose_configuration_is_gone_is_refused() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        await world.release("one")
        await publish(world, "module", 2, {"a": 2})
        two = await world.release("two")
        await world.app.blobs.delete(content_blob(hash_of({"a": 1}), TENANT))

        with pytest.raises(ConfigurationRemoved, match="not stored any more"):
            await world.rollback(two.deployment_id)

    run_virtual(main())


def test_a_retry_pins_what_is_recorded_then() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        world.interfere = refuse
        failed = await world.deploy(await world.component("one"))
        await world.settle()
        world.interfere = lambda _name: None
        await publish(world, "module", 2, {"a": 2})

        await retry(failed["deploymentId"], DeploymentReason(), world.ctx, world.app)
        await world.settle()

        done = await world.deployment(failed["deploymentId"])
        assert (done.status, done.released_components[0].configuration.module) == ("Completed", 2)
        assert given_json(world, done.released_components[0].release_revision) == {"a": 2}

    run_virtual(main())


def test_a_promotion_takes_the_configuration_of_where_it_goes_in_the_way_that_it_asked_for() -> (
    None
):
    async def main() -> None:
        world = await ready()
        await publish(world, "tenant", 1, {"t": 1, "a": 0})
        await publish(world, "environment", 1, {"a": 1})
        answer = await world.deploy(await world.component("one", configurationDelivery=["dotenv"]))
        await world.settle()
        await world.tell(stage=Stage.STAGING, name="staging")
        key = parse_id(STAGING, "env").environment
        there = configuration_id(key, "environment")
        more = {"environmentId": STAGING, "configurationId": there, "aggregateId": there}
        await publish(world, "environment", 4, {"a": 4}, **more)

        promoted = await promote_after(world, answer["deploymentId"], after=SOAK)
        await world.settle()

        done = await world.deployment(promoted)
        (component,) = done.released_components
        assert component.configuration_delivery == ("dotenv",)
        pin = component.configuration
        assert (pin.tenant, pin.environment, pin.hash) == (1, 4, hash_of({"t": 1, "a": 4}))

    run_virtual(main())


@pytest.mark.parametrize("left", [None, b"{}"], ids=["lost", "damaged"])
def test_content_that_is_not_there_is_waited_for_until_it_is_told_again(
    left: bytes | None,
) -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        name = content_blob(hash_of({"a": 1}), TENANT)
        await world.app.blobs.delete(name)
        if left is not None:
            await world.app.blobs.put(name, _chunks(left))
        component = await world.component("one")

        with pytest.raises(Unavailable):
            await world.deploy(component)
        await publish(world, "module", 1, {"a": 1})

        assert (await world.deploy(component))["status"] == "Requested"

    run_virtual(main())


async def _chunks(content: bytes) -> Any:
    yield content


def test_a_configuration_stays_as_long_as_a_release_or_a_layer_may_need_it() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "tenant", 1, {"t": 1})
        await publish(world, "module", 1, {"a": 1})
        await world.release("one")
        for version in range(2, 9):
            await publish(world, "module", version, {"a": version})
        await publish(world, "tenant", 2, {"t": 2})

        clock = world.app.service.clock
        await clock.sleep(KEPT_FOR.total_seconds() + 3600)
        await remove_unneeded_artifacts(world.app)

        kept = {each.name for each in await world.app.blobs.list_stored(CONTENTS)}
        layers = [{"t": 1}, {"t": 2}, *({"a": version} for version in range(4, 9))]
        merges = [{"t": 1, "a": 1}]
        assert kept == {content_blob(hash_of(each), TENANT) for each in (*layers, *merges)}

    run_virtual(main())


def test_a_layer_that_was_empty_for_long_keeps_the_versions_of_before() -> None:
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        await publish(world, "module", 2, {})
        await world.app.service.clock.sleep(40 * DAY_S)
        await publish(world, "module", 3, {"a": 3})
        await world.release("one", configuration={"module": 1})

        assert given_json(world, 1) == {"a": 1}

    run_virtual(main())


GONE, AGAIN = EnvironmentStatus.DECOMMISSIONED, {"generation": 2}
DAY_S = 86_400


async def kept_contents(world: Driven) -> set[str]:
    """Return the names of the contents that are kept long after somebody needed them."""
    await world.app.service.clock.sleep(KEPT_FOR.total_seconds() + 3600)
    await remove_unneeded_artifacts(world.app)
    return {each.name for each in await world.app.blobs.list_stored(CONTENTS)}


@pytest.mark.parametrize("end_is_first", [False, True])
def test_of_a_layer_that_ended_with_its_environment_no_value_is_kept(end_is_first: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        world = await ready()
        await publish(world, "module", 1, {"a": 1})
        if end_is_first:
            await world.tell(GONE)
        await publish(world, "module", 2, {})
        if not end_is_first:
            await world.tell(GONE)

        assert await kept_contents(world) == {content_blob(hash_of({}), TENANT)}

    run_virtual(main())


@pytest.mark.parametrize(("days", "given"), [(29, {}), (31, {"a": "anew"})])
def test_a_layer_that_ended_is_begun_anew_once_no_message_about_it_can_come(
    days: int, given: Mapping[str, Any]
) -> None:
    """A removed layer numbers anew; what it said before could be on its way for 30 days."""

    async def main() -> None:
        world = await ready()
        await publish(world, "module", 7, {"a": 7})
        await publish(world, "module", 8, {})
        await world.tell(GONE)
        await world.app.service.clock.sleep(days * DAY_S)
        await world.tell(**AGAIN)

        await publish(world, "module", 1, {"a": "anew"})
        await world.release("one")

        assert given_json(world, 1) == given

    run_virtual(main())
