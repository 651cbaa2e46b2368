"""A component as it is recorded, and as it is asked for once more: in a promotion, or an undo."""

from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.deployments.model import release_unit
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SCALING, BindingProjection, PolicyFact
from shared.contracts.components import Component
from shared.contracts.releases import ConfigurationPin, ReleasedSecret, ReleaseUnit
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.tenants import TenantBindingStatus
from shared.contracts.values import ComputeTargetKind, SecretDelivery
from shared.kernel.ids import ModuleId
from tests.deployments.driven import CART, SHOP, TEST
from tests.deployments.test_what_an_undo_asks_for import completed, component, in_force
from tests.deployments.told_secrets import BINDING, VAULT
from tests.kit.service import TENANT

LOCAL, FUNCTIONS = ComputeTargetKind.LOCAL_PROCESS, ComputeTargetKind.FUNCTIONS
CONTAINER_APPS: Final = ComputeTargetKind.CONTAINER_APPS
TARGET: Final = in_force(completed(component()))
SECRET: Final = ReleasedSecret(
    name="password",
    version="v1",
    vault_uri=VAULT,
    delivery=SecretDelivery.ENVIRONMENT_VARIABLE,
    target="PASSWORD",
    binding_id=BINDING,
)
EVERYTHING: Final = {
    "computeTarget": "LocalProcess",
    "replicas": 3,
    "command": ["serve", "--fast"],
    "port": 9090,
    "pathPrefix": "/shop",
    "environ": {"COLOUR": "red"},
    "release": {"path": "/version", "field": "version"},
    "probes": {"readiness": {"path": "/ready"}, "liveness": {"path": "/alive"}},
    "resources": {"memoryMib": 256},
    "requires": ["ownUser"],
    "dependsOn": [CART],
    "scheduled": True,
    "configurationMode": "floating",
    "configurationDelivery": ["dotenv"],
    "owner": "team-shop",
}
IMAGE: Final = {"artifactDigest": None, "image": "registry.test/shop@sha256:" + "3" * 64}


def offering(*kinds: ComputeTargetKind) -> DeploymentTarget:
    """Return an environment with these surfaces."""
    assert TARGET.environment is not None
    return replace(TARGET, environment=replace(TARGET.environment, targets=kinds))


def recorded(asked: Component, target: DeploymentTarget = TARGET) -> Any:
    return release_unit.to_released_component(asked, TENANT, target)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(EVERYTHING, id="a-server"),
        pytest.param({**EVERYTHING, **IMAGE}, id="an-image"),
        pytest.param(
            {"runsOnce": {"timeLimit": "PT1M"}, "port": None, "computeTarget": "LocalProcess"},
            id="a-job",
        ),
        pytest.param(
            {"schedule": {"cron": "0 2 * * *"}, "port": None, "computeTarget": "LocalProcess"},
            id="a-schedule",
        ),
    ],
)
def test_what_was_asked_for_is_recorded_whole_and_asked_for_again(changes: dict[str, Any]) -> None:
    asked = component(**changes)

    again = release_unit.requested_component(recorded(asked))

    assert again == asked.model_copy(update={"replicas": asked.replicas or 1})


@pytest.mark.parametrize(
    ("changes", "offered", "place"),
    [
        pytest.param({"componentType": "worker"}, [CONTAINER_APPS, FUNCTIONS], CONTAINER_APPS,
                     id="by-its-type"),
        pytest.param({"componentType": "worker", "scheduled": True}, [CONTAINER_APPS, FUNCTIONS],
                     FUNCTIONS, id="a-scheduled-one"),
        pytest.param({"schedule": {"cron": "0 2 * * *"}}, [CONTAINER_APPS, FUNCTIONS], FUNCTIONS,
                     id="one-with-a-schedule"),
        pytest.param({"computeTarget": "ContainerApps"}, [FUNCTIONS], CONTAINER_APPS,
                     id="where-it-says"),
    ],
)  # fmt: skip
def test_a_component_runs_where_it_says_else_where_its_kind_belongs(
    changes: dict[str, Any], offered: list[ComputeTargetKind], place: ComputeTargetKind
) -> None:
    asked = component(**{"port": None, "probes": {}, **IMAGE, **changes})

    assert recorded(asked, offering(*offered)).compute_target is place


def test_an_archive_runs_on_the_machine_where_one_is_offered() -> None:
    assert recorded(component(), offering(FUNCTIONS, LOCAL)).compute_target is LOCAL


def test_each_module_is_planned_with_its_own_configuration_and_secrets() -> None:
    pin = ConfigurationPin(environment=4, hash="sha256:" + "4" * 64)
    both = [component(SHOP), component(CART)]

    shop, cart = release_unit.planned(
        both, TENANT, TARGET, {ModuleId(SHOP): pin}, {ModuleId(CART): (SECRET,)}
    )

    assert (shop.configuration, cart.configuration) == (pin, ConfigurationPin())
    assert (shop.secrets, cart.secrets) == ((), (SECRET,))


def test_what_fits_nowhere_is_not_planned() -> None:
    nowhere = offering(ComputeTargetKind.APP_SERVICE)

    assert release_unit.planned([component()], TENANT, nowhere, {}, {}) == ()


# What is recorded with it.


def test_what_was_asked_for_is_recorded_apart_where_a_policy_has_the_number() -> None:
    policy = PolicyFact(SCALING, 1, 3, ModuleId(SHOP), 5)
    asked = component(replicas=2)

    plain, scaled = recorded(asked), recorded(asked, replace(TARGET, facts={"sp-1": policy}))

    assert (plain.replicas, plain.asked_replicas) == (2, None)
    assert (scaled.replicas, scaled.asked_replicas) == (5, 2)
    assert scaled.scaling_policy_revision == 3
    assert release_unit.requested_component(scaled).replicas == 2


def test_a_unit_has_the_binding_in_force_and_so_has_each_of_its_components() -> None:
    binding = BindingProjection("tb-1", 4, TenantBindingStatus.ENFORCED)
    made = recorded(component())

    unit = release_unit.recorded_unit([made], replace(TARGET, binding=binding), (ModuleId(CART),))

    assert unit.tenant_binding_revision == 4
    assert unit.components == (made.model_copy(update={"tenant_binding_revision": 4}),)
    assert unit.removed == (CART,)


def test_what_nobody_has_provided_is_named() -> None:
    bare = ReleaseUnit(components=(recorded(component()),))
    pin = ConfigurationPin(environment=4, hash="sha256:" + "4" * 64)
    given = recorded(component()).model_copy(
        update={
            "configuration": pin, "secret_versions": {"key": "v1"}, "scaling_policy_revision": 1,
        }
    )  # fmt: skip
    whole = ReleaseUnit(components=(given,), tenant_binding_revision=2)

    assert [each.code for each in release_unit.missing_parts(bare)] == [
        "ConfigurationAbsent",
        "SecretVersionsAbsent",
        "ScalingPolicyAbsent",
        "TenantBindingAbsent",
    ]
    assert release_unit.missing_parts(whole) == ()


@pytest.mark.parametrize(
    ("has_pin", "values", "is_given"),
    [
        pytest.param(True, {"a": 1}, True, id="what-is-pinned"),
        pytest.param(True, None, False, id="nothing-where-it-was-not-read"),
        pytest.param(False, {"a": 1}, False, id="nothing-where-nothing-is-pinned"),
    ],
)
def test_a_surface_is_given_the_configuration_of_a_component(
    values: dict[str, Any] | None, *, has_pin: bool, is_given: bool
) -> None:
    pin = ConfigurationPin(environment=4, hash="sha256:" + "4" * 64) if has_pin else None
    made = release_unit.to_released_component(component(), TENANT, TARGET, pin)
    assert made is not None

    spec = release_unit.to_revision_spec(made, TEST, TENANT, RolloutDefaults(), values)

    texts = spec.configuration.texts if spec.configuration else None
    assert (texts.files if texts else None) == (
        {"configuration.json": '{"a":1}\n'} if is_given else None
    )
