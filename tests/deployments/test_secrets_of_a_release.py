"""A component is given the secrets that are bound to it, in the versions that its unit records."""

from collections.abc import Mapping
from typing import Any

import pytest

from function_apps.deployments.activities.prove_release import prove
from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.holds import unit_key
from function_apps.deployments.model.release_unit import to_revision_spec
from function_apps.deployments.repository import TARGETS, DeploymentSet
from shared.contracts.releases import ReleasedComponent
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import Stage
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.secret_classes import class_spec
from shared.surfaces.secret_references import SecretReference
from tests.deployments.driven import CART, SHOP, TEST, driven
from tests.deployments.test_promotion import SOAK, STAGING, promote_after
from tests.deployments.told_secrets import BINDING, VAULT, bind, live_secrets, live_specs, rotate
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

FILE: Mapping[str, Any] = {"delivery": "file", "target": "db-password"}


def test_a_unit_records_what_is_bound_and_its_instances_are_given_that() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")

        answer = await world.deploy(
            await world.component("shop"), await world.component("cart", CART)
        )
        await world.settle()

        done = await world.deployment(answer["deploymentId"])
        shop, cart = done.released_components
        assert shop.model_dump(by_alias=True)["secrets"] == (
            {
                "name": "password",
                "version": "v1",
                "vaultUri": VAULT,
                "delivery": "environmentVariable",
                "target": "PASSWORD",
                "bindingId": BINDING,
            },
        )
        assert shop.secret_versions == {"password": "v1"}
        assert cart.secrets == ()
        assert live_secrets(world) == (
            SecretReference("password", "v1", VAULT, variable="PASSWORD"),
        )
        assert live_secrets(world, CART) == ()

    run_virtual(main())


def test_a_secret_is_a_file_where_its_binding_says_so() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1", **FILE)

        await world.release("shop")

        assert live_secrets(world) == (
            SecretReference("password", "v1", VAULT, file="db-password"),
        )

    run_virtual(main())


def test_what_a_workload_reads_by_itself_is_recorded_and_not_given() -> None:
    async def main() -> None:
        world = driven(has_vault=False)
        await world.tell()
        await bind(world, "v1", delivery="reference", target="any words")

        done = await world.release("shop")

        assert done.status == "Completed"
        assert done.released_components[0].secret_versions == {"password": "v1"}
        assert live_secrets(world) == ()
        assert live_specs(world)[1].unit["secret.password"] == "v1"

    run_virtual(main())


def test_the_next_unit_has_the_version_of_the_last_rotation_and_none_that_is_revoked() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await world.release("one")

        await rotate(world, "v2", 1)
        two = await world.release("two")
        await bind(world, "v2", 9, status="Revoked")
        three = await world.release("three")

        assert two.released_components[0].secrets[0].version == "v2"
        assert three.released_components[0].secrets == ()
        assert three.released_components[0].secret_versions == {}
        assert live_secrets(world) == ()

    run_virtual(main())


def test_one_rotation_tells_of_each_of_its_consumers_once_all_have_its_version() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await bind(world, "v1", moduleId=CART, bindingId=BINDING[:-1] + "c")
        consumers = [
            {"bindingId": BINDING, "moduleId": module, "version": "v2"} for module in (SHOP, CART)
        ]

        await rotate(world, "v2", 1, consumers=consumers, status="Rolling")
        rolling = [fact.version for fact in (await world.target()).facts.values()]
        await rotate(world, "v2", 1, consumers=consumers)
        await rotate(world, "v2", 1, 2, consumers=consumers, status="Revoked", revoked=["v1"])

        facts = (await world.target()).facts.values()
        assert rolling == ["v1", "v1"]
        assert [(fact.module, fact.version, fact.disabled) for fact in facts] == [
            (SHOP, "v2", ("v1",)),
            (CART, "v2", ("v1",)),
        ]
        assert len({fact.binding for fact in facts}) == 2

    run_virtual(main())


def test_a_surface_without_a_vault_refuses_by_component_feature_and_surface() -> None:
    async def main() -> None:
        world = driven(has_vault=False)
        await world.tell()
        await bind(world, "v1")

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(await world.component("shop"))

        (violation,) = refused.value.details
        assert violation.target == "/components/0/secrets/0"
        assert violation.message == (
            f"Memory cannot honour secretReferences for {SHOP}: it has no vault"
        )

    run_virtual(main())


@pytest.mark.parametrize(
    ("binding", "component", "message"),
    [
        pytest.param({"target": "a/b", "delivery": "file"}, {}, "file of a secret", id="a-path"),
        pytest.param({"target": "PORT"}, {}, "PORT", id="a-variable-of-the-platform"),
        pytest.param({}, {"environ": {"PASSWORD": "x"}}, "PASSWORD", id="a-variable-of-environ"),
    ],
)
def test_a_place_where_no_workload_finds_it_is_refused_by_the_plan(
    binding: Mapping[str, Any], component: Mapping[str, Any], message: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1", **binding)

        with pytest.raises(CannotBePlanned, match=SHOP) as refused:
            await world.deploy(await world.component("shop", **component))

        assert message in refused.value.details[0].message
        assert refused.value.details[0].target.startswith("/components/0/")

    run_virtual(main())


def test_two_secrets_in_one_place_are_refused_by_the_plan() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        await bind(world, "v1", secretName="mail", bindingId=BINDING[:-1] + "m")

        with pytest.raises(CannotBePlanned, match="a place of its own each"):
            await world.deploy(await world.component("shop"))

    run_virtual(main())


def test_a_proof_has_the_version_of_each_instance_and_says_where_it_is_another() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bind(world, "v1")
        done = await world.release("shop")
        (shop,) = done.released_components
        assert done.proof is not None
        assert [each.secret_versions for each in done.proof.instances] == [{"password": "v1"}]

        recorded = shop.model_copy(update={"secret_versions": {"password": "v0", "mail": "v7"}})
        again, _ = await prove(DeploymentSet(await world.target(), done), [recorded], world.app)

        (instance,) = again.instances
        assert instance.secret_versions == {"password": "v1"}
        assert [(each.path, each.recorded, each.live) for each in instance.departures] == [
            ("secrets/mail", "v7", "none"),
            ("secrets/password", "v0", "v1"),
        ]

    run_virtual(main())


def test_a_promotion_takes_the_versions_of_where_it_goes() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.tell(stage=Stage.STAGING, name="staging")
        await bind(world, "v1")
        other = f"sec-{STAGING.removeprefix('env-')}-abcdefghijkl"
        await bind(world, "s5", environmentId=STAGING, bindingId=other, target="DB_PASSWORD")
        one = await world.release("one")

        promoted = await promote_after(world, one.deployment_id, after=SOAK)
        await world.settle()

        (secret,) = (await world.deployment(promoted)).released_components[0].secrets
        assert (secret.version, secret.target, secret.binding_id) == ("s5", "DB_PASSWORD", other)

    run_virtual(main())


@pytest.fixture
def plain() -> ReleasedComponent:
    """Return a component as it was recorded before secrets were."""
    return ReleasedComponent.model_validate(
        {
            "moduleId": SHOP,
            "serviceId": f"svc-{TEST.removeprefix('env-')}-abcdefghij",
            "releaseRevision": 3,
            "componentType": "microservice",
            "version": "1.0",
            "digest": "sha256:" + "a" * 64,
            "computeTarget": "AKS",
            "command": ["python", "server.py"],
            "replicas": 1,
            "secretVersions": {"password": "v1"},
        }
    )


def test_a_component_without_secrets_is_stored_and_held_as_before(
    plain: ReleasedComponent,
) -> None:
    assert "secrets" not in plain.model_dump(mode="json", by_alias=True)
    assert unit_key(plain) == "4a8aba13f60536eb"


def test_a_revision_on_a_cluster_has_a_class_with_the_recorded_version(
    plain: ReleasedComponent,
) -> None:
    given = {
        "name": "password",
        "vaultUri": VAULT,
        "delivery": "file",
        "target": "db-password",
        "bindingId": BINDING,
    }
    for version in ("v1", "v2"):
        changed = {"secretVersions": {"password": version}}
        component = ReleasedComponent.model_validate(
            {
                **plain.model_dump(by_alias=True),
                **changed,
                "secrets": [given | {"version": version}],
            }
        )
        spec = to_revision_spec(component, TEST, TENANT, RolloutDefaults())

        written = class_spec(spec, Installation(), "identity", "directory")

        assert written is not None
        assert f'objectVersion: "{version}"' in written["parameters"]["objects"]


def test_a_target_of_before_there_was_more_than_a_version_is_read() -> None:
    fact = {"kind": "secret", "revision": 1, "module": SHOP, "name": "password", "value": "v1"}
    stored = {
        **TARGETS.encode(DeploymentTarget(TEST)),
        "facts": {f"secret/{SHOP}/password": fact},
    }

    target = TARGETS.decode(stored)

    assert TARGETS.encode(target) == stored
