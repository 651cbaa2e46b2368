"""An object counts where the platform puts it: anybody may write its labels somewhere else."""

from dataclasses import replace
from typing import Any, Final

import pytest

from shared.kernel.ids import ModuleId
from shared.kernel.observation import Present, Reading, Unknown
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import CONFIG_MAPS, DEPLOYMENTS, PODS
from shared.surfaces.aks.live_objects import grouped
from shared.surfaces.aks.names import MODULE, REVISION, TENANT, Installation
from shared.surfaces.observed_state import Inventory
from tests.kit.api_server import deployment, pod, record, stand_in_server
from tests.surfaces.harness import SHOP, TEMPLATE

INSTALLATION: Final = Installation()
IMAGE: Final = replace(TEMPLATE, image="registry.example/shop", artifact="sha256:" + "a" * 64)
ELSEWHERE: Final = "mallory"


def stolen(made: Object, **labels: Any) -> Object:
    """Return *made* as somebody puts it in a namespace of his own; None takes a label away."""
    kept = {**made["metadata"]["labels"], **labels}
    metadata = {
        **made["metadata"],
        "namespace": ELSEWHERE,
        "labels": {name: value for name, value in kept.items() if value is not None},
    }
    return {**made, "metadata": metadata}


async def inventory(*others: Object) -> Reading[Inventory]:
    """Return what is read beside the Deployment of a revision and its pod, and of what *others*."""
    async with stand_in_server() as (server, surface):
        deployments = [each for each in others if "template" in each["spec"]]
        pods = [each for each in others if "template" not in each["spec"]]
        server.objects[DEPLOYMENTS] = [deployment(IMAGE, INSTALLATION), *deployments]
        server.objects[PODS] = [pod(IMAGE, INSTALLATION), *pods]
        return await surface.inventory(SHOP.environment)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(stolen(pod(IMAGE, INSTALLATION)), id="a-pod"),
        pytest.param(stolen(pod(IMAGE, INSTALLATION), **{REVISION: "x"}), id="no-number"),
        pytest.param(stolen(pod(IMAGE, INSTALLATION), **{TENANT: None}), id="no-tenant"),
        pytest.param(stolen(pod(IMAGE, INSTALLATION), **{TENANT: "A.B"}), id="an-odd-tenant"),
        pytest.param(stolen(pod(IMAGE, INSTALLATION), **{MODULE: None}), id="no-module"),
        pytest.param(
            stolen(deployment(replace(IMAGE, revision=99), INSTALLATION)), id="a-revision"
        ),
    ],
)
async def test_what_is_elsewhere_neither_hides_nor_adds(other: Object) -> None:
    assert await inventory(other) == await inventory()


async def test_what_is_in_its_place_is_read() -> None:
    read = await inventory()

    assert isinstance(read, Present)
    assert [each.component for each in read.value.components] == [SHOP]
    assert read.value.is_complete


def test_a_damaged_record_hides_its_own_component_only() -> None:
    other = replace(SHOP, module=ModuleId("module-other"))
    name = INSTALLATION.component_record(other)
    found = {
        DEPLOYMENTS: tuple(
            deployment(replace(IMAGE, component=each), INSTALLATION) for each in (SHOP, other)
        ),
        CONFIG_MAPS: (record(INSTALLATION, name, "{}", "component"),),
    }

    objects = grouped(INSTALLATION, SHOP.environment, found, is_routed=False)

    damage = {each.component: each.damage for each in objects}
    assert damage == {
        SHOP: "",
        other: f"the ConfigMap {name} is no record of the platform",
    }


def test_a_record_counts_in_the_namespace_of_the_platform() -> None:
    name = INSTALLATION.component_record(SHOP)
    planted = record(INSTALLATION, name, "{}", "component")
    planted["metadata"]["namespace"] = ELSEWHERE
    found = {DEPLOYMENTS: (deployment(IMAGE, INSTALLATION),), CONFIG_MAPS: (planted,)}

    (objects,) = grouped(INSTALLATION, SHOP.environment, found, is_routed=False)

    assert objects.damage == ""


async def test_an_answer_of_another_shape_is_unknown() -> None:
    odd = deployment(IMAGE, INSTALLATION)
    odd["spec"]["replicas"] = None

    async with stand_in_server() as (server, surface):
        server.objects[DEPLOYMENTS] = [odd]
        read = await surface.inventory(SHOP.environment)

    assert isinstance(read, Unknown)
