"""Filters of lists: of whatever schema a document is, and refused where nothing can have them."""

import importlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, get_args, get_type_hints

import pytest

from function_apps.catalog.triggers import LIST as SERVICES
from function_apps.configurations.triggers import LIST as CONFIGURATIONS
from function_apps.deployments.triggers import CONTROLS as DEPLOYMENT_KINDS
from function_apps.deployments.triggers import LIST as DEPLOYMENTS
from function_apps.drift.triggers import GIT_SOURCES
from function_apps.drift.triggers import LIST as DRIFT
from function_apps.environments.triggers import CONTROLS as ENVIRONMENT_KINDS
from function_apps.environments.triggers import LIST as ENVIRONMENTS
from function_apps.health.triggers import CONTROLS as HEALTH_KINDS
from function_apps.scaling.triggers import LIST as SCALING_POLICIES
from function_apps.secret_bindings.triggers import CONTROLS as SECRET_KINDS
from function_apps.secret_bindings.triggers import LIST as SECRET_BINDINGS
from function_apps.tenants.triggers import LIST as TENANT_BINDINGS
from shared.kernel.ids import ProjectId, environment_id, environment_key
from shared.persistence.store import Create, partition_of
from shared.web.collection import Collection
from shared.web.operation_routes import LIST as OPERATIONS
from tests.kit.costs import SERVICES as SERVICE_NAMES
from tests.kit.golden_documents import FOLDER
from tests.kit.releases import provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import TENANT, World

SHOP: Final = environment_id(environment_key(TENANT, ProjectId("proj-web"), "shop"))
APPS: Final = [name.replace("_", "-") for name in SERVICE_NAMES]
LISTS: Final[Mapping[str, Collection[Any]]] = {
    "/v1/runtime/environments": ENVIRONMENTS,
    "/v1/runtime/deployments": DEPLOYMENTS,
    "/v1/runtime/services": SERVICES,
    "/v1/runtime/configurations": CONFIGURATIONS,
    "/v1/runtime/secret-bindings": SECRET_BINDINGS,
    "/v1/runtime/tenant-bindings": TENANT_BINDINGS,
    "/v1/runtime/scaling-policies": SCALING_POLICIES,
    f"/v1/runtime/drift/{SHOP}": DRIFT,
    "/v1/runtime/git-sources": GIT_SOURCES,
    **{f"/v1/platform/{app}/operations": OPERATIONS for app in APPS},
}
KINDS: Final = {
    "environments": ENVIRONMENT_KINDS, "deployments": DEPLOYMENT_KINDS, "health": HEALTH_KINDS,
    "secret-bindings": SECRET_KINDS,
}  # fmt: skip
"""Catalog, configurations, tenants, scaling and drift have no operations."""


def _refusals() -> list[tuple[str, str, list[str]]]:
    """Return path, filter and allowed words of each list and each filter that takes no others."""
    chosen = [
        (path, name, [str(word) for word in words])
        for path, shown in LISTS.items()
        for name, words in shown.choices.items()
    ]
    kinds = [
        (f"/v1/platform/{app}/operations", "kind", list(table)) for app, table in KINDS.items()
    ]
    parked = [(f"/v1/platform/{app}/parked", "unreadable", ["true", "false"]) for app in APPS]
    return [*chosen, *kinds, *parked]


def test_a_word_that_nothing_in_a_list_can_have_is_refused_with_those_that_it_can() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        try:
            assert await provisioned(world) == SHOP
            await world.clock.sleep(5)
            for path, name, words in _refusals():
                status, body = await world.call("GET", f"{path}?{name}=moon")
                known = [(await world.call("GET", f"{path}?{name}={word}"))[0] for word in words]

                assert status == 400, (path, name)
                assert body["error"]["target"] == name
                assert all(word in body["error"]["message"] for word in words), body
                assert known == [200] * len(words)
        finally:
            await world.stop()

    run_virtual(main())


@pytest.mark.parametrize("path", LISTS)
def test_a_filter_of_a_field_with_fixed_words_takes_no_others(path: str) -> None:
    shown = LISTS[path]
    hints = get_type_hints(shown.codec.type)

    fixed = {
        name
        for name, stored in shown.filters.items()
        for kind in (hints.get(stored), *get_args(hints.get(stored)))
        if isinstance(kind, type) and issubclass(kind, StrEnum)
    }

    assert fixed <= set(shown.choices)


def test_every_list_of_a_service_is_tested_here() -> None:
    modules = [importlib.import_module(f"function_apps.{name}.triggers") for name in SERVICE_NAMES]
    known = {id(shown) for shown in LISTS.values()}

    lists = [each for each in map(vars, modules) for each in each.values()]
    assert {id(each) for each in lists if isinstance(each, Collection)} <= known


SCHEMA_1: Final[Mapping[str, dict[str, Any]]] = json.loads(
    (FOLDER / "operations_of_each_status.schema1.json").read_text()
)
STATUS_OF: Final = {
    "notstarted": "NotStarted", "running": "Running", "waiting": "Running",
    "succeeded": "Succeeded", "failed": "Failed", "canceled": "Canceled",
}  # fmt: skip


async def _keep_schema_1(world: World) -> dict[str, str]:
    """Store an operation of schema 1 in each status; return the status that each has today."""
    status_of = {}
    for number, (name, body) in enumerate(SCHEMA_1.items()):
        identity = f"op-deployments-abcdefghijkl-{number:016d}"
        kept = {**body, "operation_id": identity, "kind": "Deploy"}
        kept.pop("dueAt", None)
        partition = partition_of(TENANT, identity)
        store = world.services["deployments"].store
        await store.batch(partition, [Create(f"operation/{identity}", kept)])
        status_of[identity] = STATUS_OF[name]
    return status_of


def test_operations_that_an_earlier_version_stored_are_filtered_by_the_status_they_show() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        try:
            status_of = await _keep_schema_1(world)
            path = "/v1/platform/deployments/operations?kind=Deploy&status="
            for status in dict.fromkeys(status_of.values()):
                _, body = await world.call("GET", f"{path}{status}")
                listed = {each["operationId"]: each["status"] for each in body["value"]}

                assert listed == {key: word for key, word in status_of.items() if word == status}
        finally:
            await world.stop()

    run_virtual(main())


def test_pages_of_documents_of_several_schemas_are_together_everything() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        try:
            status_of = await _keep_schema_1(world)
            listed, path = [], "/v1/platform/deployments/operations?status=Running&top=1"
            while path:
                _, body = await world.call("GET", path)
                listed += [each["operationId"] for each in body["value"]]
                path = body["nextLink"]
        finally:
            await world.stop()

        assert sorted(listed) == [key for key, word in status_of.items() if word == "Running"]

    run_virtual(main())
