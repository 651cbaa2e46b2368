"""A rollback brings back the recorded version of a secret if it is enabled, else the current."""

from collections.abc import Sequence
from typing import Any

import pytest

from function_apps.deployments.model.bound_secrets import restored
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.facts import SECRET, SecretFact
from shared.contracts.gates import EvaluateGate
from shared.contracts.releases import Departure, ReleasedSecret
from shared.contracts.values import SecretDelivery
from shared.kernel.ids import ModuleId
from tests.deployments.driven import SHOP, Driven, _at_once, driven
from tests.deployments.test_secrets_are_rolled_out import MAIL, prepared, versions
from tests.deployments.told_secrets import (
    BINDING,
    VAULT,
    bind,
    live_secrets,
    roll_out,
    rolled_out,
    rotate,
)
from tests.kit.virtual_time import run_virtual

RECORDED = ReleasedSecret(
    name="password",
    version="v1",
    vault_uri=VAULT,
    delivery=SecretDelivery.ENVIRONMENT_VARIABLE,
    target="PASSWORD",
    binding_id=BINDING,
)


def fact(value: str, *disabled: str) -> SecretFact:
    return SecretFact(
        SECRET,
        3,
        name="password",
        version=value,
        disabled=disabled,
        binding=BINDING,
        vault=VAULT,
        target="PASSWORD",
    )


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param([fact("v1")], ["v1"], id="it-is-current"),
        pytest.param([fact("v2")], ["v1"], id="another-is-current-and-it-is-enabled"),
        pytest.param([fact("v2", "v1")], ["v2"], id="it-is-disabled"),
        pytest.param([fact("v1", "v1")], ["v1"], id="it-is-current-again"),
        pytest.param([fact("", "v1")], [], id="its-binding-was-revoked"),
        pytest.param([], ["v1"], id="nothing-is-known-of-it"),
    ],
)
def test_the_recorded_version_is_given_if_it_is_enabled(
    facts: Sequence[SecretFact], expected: Sequence[str]
) -> None:
    assert [secret.version for secret in restored([RECORDED], facts)] == expected


async def undone(world: Driven, deployment: str) -> Deployment:
    answer = await world.rollback(deployment)
    await world.settle()
    done = await world.deployment(answer["deploymentId"])
    assert done.status == "Completed"
    return done


def departures(done: Deployment) -> Sequence[Departure]:
    assert done.proof is not None
    assert done.proof.whole
    return done.proof.instances[0].departures


def test_a_rollback_asked_for_brings_back_what_its_release_recorded() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        await rolled_out(world, "v2", 1)
        two = await world.release("two")
        await bind(world, "new", secretName="bound-later", bindingId=BINDING[:-1] + "x", target="X")

        once = await undone(world, two.deployment_id)
        twice = await undone(world, once.deployment_id)

        assert versions(two)["password"] == "v2"
        assert versions(once) == {"mail": "m1", "password": "v2"}
        assert versions(twice) == {"mail": "m1", "password": "v1"}
        assert departures(twice) == ()
        assert {each.name: each.version for each in live_secrets(world)} == versions(twice)

    run_virtual(main())


def test_a_version_that_was_disabled_is_replaced_by_the_current_one_and_the_proof_says_why() -> (
    None
):
    async def main() -> None:
        world = driven()
        await prepared(world)
        two = await world.release("two")
        await rotate(world, "v2", 1)
        await rotate(world, "v2", 1, 2, status="Revoked", revoked=["v1"])

        done = await undone(world, two.deployment_id)

        assert versions(done) == {"mail": "m1", "password": "v2"}
        (departure,) = departures(done)
        assert (departure.path, departure.recorded, departure.live) == (
            "secrets/password",
            "v1",
            "v2",
        )
        assert departure.reason.code == "SecretVersionDisabled"

    run_virtual(main())


def test_a_secret_whose_binding_was_revoked_does_not_come_back_and_the_proof_says_so() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        two = await world.release("two")
        await bind(world, "m1", 9, secretName="mail", bindingId=MAIL, status="Revoked")

        done = await undone(world, two.deployment_id)

        assert versions(done) == {"password": "v1"}
        (departure,) = departures(done)
        assert (departure.path, departure.live) == ("secrets/mail", "none")
        assert departure.reason.code == "SecretRevoked"

    run_virtual(main())


def test_what_a_roll_out_brought_is_undone_by_the_version_before() -> None:
    async def main() -> None:
        world = driven()
        await prepared(world)
        rotated = await rolled_out(world, "v2", 1)

        done = await undone(world, rotated.deployment_id)

        assert versions(done)["password"] == "v1"
        assert (await world.release("two")).released_components[0].secret_versions[
            "password"
        ] == "v2"

    run_virtual(main())


async def failed_while_disabled(world: Driven, **more: Any) -> tuple[Deployment, Deployment]:
    """Release one, then two, whose gate fails after the version that one has was disabled."""
    one = await prepared(world, **more)
    world.health.bad.add(await world.upload("two"))

    async def disable(_gate: EvaluateGate) -> None:
        world.at_gate = _at_once
        await rotate(world, "v2", 1)
        await rotate(world, "v2", 1, 2, status="Revoked", revoked=["v1"])

    world.at_gate = disable
    return one, await world.release("two", **more)


@pytest.mark.parametrize("kind", ["canary", "recreate"])
def test_what_comes_back_by_itself_has_no_version_that_was_disabled_meanwhile(kind: str) -> None:
    async def main() -> None:
        world = driven()
        one, two = await failed_while_disabled(world, strategy={"kind": kind})

        assert (two.status, two.remaining) == ("RolledBack", ())
        assert two.restored is not None
        (again,) = two.restored.components
        assert again.secret_versions == {"mail": "m1", "password": "v2"}
        assert again.digest == one.released_components[0].digest
        assert world.live() == ({3: 1}, {3: 100})
        assert {each.name: each.version for each in live_secrets(world)} == again.secret_versions
        (departure,) = departures(two)
        assert (departure.recorded, departure.live) == ("v1", "v2")
        assert departure.reason.code == "SecretVersionDisabled"
        state = (await world.target()).module(ModuleId(SHOP))
        assert (state.by, state.revision) == (one.deployment_id, 3)

    run_virtual(main())


def test_what_came_back_with_other_versions_is_what_later_ones_go_back_to() -> None:
    async def main() -> None:
        world = driven()
        one, _ = await failed_while_disabled(world)

        three = await world.release("three")
        back = await undone(world, three.deployment_id)
        rotated = await rolled_out(world, "v3", 2)

        assert three.before(SHOP) is not None
        assert three.before(SHOP).release_revision == 3  # type: ignore[union-attr]
        assert three.previous_deployment_id == one.deployment_id
        assert versions(back) == {"mail": "m1", "password": "v2"}
        assert versions(rotated) == {"mail": "m1", "password": "v3"}
        assert rotated.released_components[0].digest == one.released_components[0].digest

    run_virtual(main())


def test_what_came_back_with_other_versions_gets_another_secret_rolled_out() -> None:
    async def main() -> None:
        world = driven()
        one, _ = await failed_while_disabled(world)

        mail = await rolled_out(world, "m2", 1, secretName="mail", bindingId=MAIL)

        assert versions(mail) == {"mail": "m2", "password": "v2"}
        assert mail.released_components[0].digest == one.released_components[0].digest
        assert world.live() == ({4: 1}, {4: 100})

    run_virtual(main())


def test_a_roll_out_behind_a_rollback_is_of_what_came_back() -> None:
    async def main() -> None:
        world = driven()
        one = await prepared(world)
        two = await world.release("two")
        await world.rollback(two.deployment_id)
        asked = await roll_out(world, "v2", 1)

        await world.settle()

        done = await world.deployment(asked.value["deploymentId"])
        assert done.status == "Completed"
        assert versions(done) == {"mail": "m1", "password": "v2"}
        assert done.released_components[0].digest == one.released_components[0].digest

    run_virtual(main())
