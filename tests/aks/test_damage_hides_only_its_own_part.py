"""A changed label, annotation or record is a part that is unread, and says what it is."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.kernel.ids import ModuleId
from shared.kernel.observation import Present
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import CONFIG_MAPS, DEPLOYMENTS, PODS, ROUTES, Kind
from shared.surfaces.aks.live_objects import grouped
from shared.surfaces.aks.names import MODULE, REVISION, SPEC, TENANT, Installation
from shared.surfaces.aks.observation import ComponentObjects, live_component
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.revisions import deployment
from tests.kit import api_server
from tests.kit.api_server import pod, stand_in_server
from tests.surfaces.harness import ENVIRONMENT, SHOP, TEMPLATE

INSTALLATION = Installation()
CART = replace(SHOP, module=ModuleId("module-cart"))
NOW = datetime(2026, 11, 28, tzinfo=UTC)
Found = dict[Kind, list[Object]]


def cluster() -> Found:
    """Return what a cluster has of two components, with one pod each."""
    found: Found = {DEPLOYMENTS: [], PODS: [], CONFIG_MAPS: [], ROUTES: []}
    for component in (SHOP, CART):
        spec = replace(TEMPLATE, component=component, image="registry.example/shop")
        made = deepcopy(deployment(spec, INSTALLATION))
        metadata = {
            **deepcopy(made["spec"]["template"]["metadata"]),
            "name": f"{made['metadata']['name']}-x",
            "namespace": made["metadata"]["namespace"],
            "creationTimestamp": "2026-11-28T00:00:00Z",
        }
        record = {
            "name": INSTALLATION.component_record(component), "namespace": INSTALLATION.name,
        }  # fmt: skip
        text = json.dumps({"component": asdict(component), "token": 7})
        found[DEPLOYMENTS].append(made)
        found[PODS].append({"metadata": metadata, "status": {}})
        found[CONFIG_MAPS].append({"metadata": record, "data": {"record.json": text}})
    return found


def read(edit: Callable[[Found], Any]) -> list[ComponentObjects]:
    found = cluster()
    edit(found)
    parts = {kind: tuple(of_kind) for kind, of_kind in found.items()}
    return grouped(INSTALLATION, ENVIRONMENT, parts, is_routed=False)


def names(found: list[ComponentObjects]) -> list[str]:
    """Return the modules that can be read, with the number of their instances."""
    read = []
    for objects in found:
        try:
            live = live_component(objects, "", NOW)
        except Unreadable:
            continue
        if live is None:
            continue
        assert live.fence == 7
        read.append(f"{live.component.module} {len(live.revisions[0].instances)}")
    return read


def strays(found: list[ComponentObjects]) -> list[tuple[ModuleId, str]]:
    return [(objects.component.module, stray) for objects in found for stray in objects.strays]


def problem(found: list[ComponentObjects]) -> str:
    (objects,) = (each for each in found if each.component == SHOP)
    with pytest.raises(Unreadable) as raised:
        live_component(objects, "", NOW)
    return str(raised.value)


def test_what_nobody_touched_is_read() -> None:
    found = read(lambda _: None)

    assert (names(found), strays(found)) == (["module-cart 1", "module-shop 1"], [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda labels: labels.pop(REVISION),
        lambda labels: labels.update({REVISION: "sick"}),
    ],
)
def test_a_pod_that_was_taken_out_is_of_no_revision_and_is_named(
    damage: Callable[[dict[str, str]], Any],
) -> None:
    found = read(lambda there: damage(there[PODS][0]["metadata"]["labels"]))

    assert names(found) == ["module-cart 1", "module-shop 0"]
    assert strays(found) == [(SHOP.module, "Pod module-shop-r1-x")]


@pytest.mark.parametrize("kind", [DEPLOYMENTS, PODS])
@pytest.mark.parametrize("label", [TENANT, MODULE])
def test_what_lost_its_labels_is_a_part_of_its_component_that_is_unread(
    kind: Kind, label: str
) -> None:
    found = read(lambda there: there[kind][0]["metadata"]["labels"].pop(label))

    assert "module-cart 1" in names(found)
    name = {DEPLOYMENTS: "module-shop-r1", PODS: "module-shop-r1-x"}[kind]
    assert strays(found) == [(SHOP.module, f"{kind.name} {name}")]


def test_a_deployment_is_known_without_its_revision_label() -> None:
    found = read(lambda there: there[DEPLOYMENTS][0]["metadata"]["labels"].pop(REVISION))

    assert (names(found), strays(found)) == (["module-cart 1", "module-shop 1"], [])


@pytest.mark.parametrize("text", ["", "{}", '{"component": {"environment": "", "tenant": "/"}}'])
def test_a_damaged_record_is_of_its_component_only(text: str) -> None:
    found = read(lambda there: there[CONFIG_MAPS][0]["data"].update({"record.json": text}))

    assert names(found) == ["module-cart 1"]
    assert INSTALLATION.component_record(SHOP) in problem(found)


def test_a_record_that_nothing_is_there_of_does_not_matter() -> None:
    lost = {"metadata": {"name": "component-0", "namespace": INSTALLATION.name}}

    found = read(lambda there: there[CONFIG_MAPS].append(lost))

    assert (names(found), strays(found)) == (["module-cart 1", "module-shop 1"], [])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "{}",
        lambda text: text.replace('"revision": 1', '"revision": 0'),
        lambda text: text.replace('"revision": 1', '"revision": 2'),
        lambda text: text.replace("sha256:", "md5:"),
        lambda text: text.replace('"tenant": "acme"', '"tenant": "/"'),
    ],
)
def test_a_damaged_spec_is_of_its_component_only(change: Callable[[str], str]) -> None:
    def damage(there: Found) -> None:
        annotations = there[DEPLOYMENTS][0]["spec"]["template"]["metadata"]["annotations"]
        before = annotations[SPEC]
        annotations[SPEC] = change(before)
        assert annotations[SPEC] != before

    found = read(damage)

    assert names(found) == ["module-cart 1"]
    assert "workload module-shop-r1" in problem(found)


def test_a_pod_with_the_label_of_another_revision_is_none_of_it() -> None:
    found = read(lambda there: there[PODS][0]["metadata"]["labels"].update({REVISION: "9"}))

    assert names(found) == ["module-cart 1"]
    assert "module-shop-r1-x has the label of revision 9" in problem(found)


async def test_an_inventory_names_the_pod_that_was_taken_out() -> None:
    spec = replace(TEMPLATE, image="registry.example/shop")
    taken = pod(spec, INSTALLATION)
    del taken["metadata"]["labels"][REVISION]

    async with stand_in_server() as (server, surface):
        server.objects[DEPLOYMENTS] = [api_server.deployment(spec, INSTALLATION)]
        server.objects[PODS] = [taken]
        inventory = await surface.inventory(ENVIRONMENT)

    assert isinstance(inventory, Present)
    assert [each.component for each in inventory.value.components] == [SHOP]
    (part,) = inventory.value.unread
    assert part.service == SHOP.service
    assert taken["metadata"]["name"] in part.reason
