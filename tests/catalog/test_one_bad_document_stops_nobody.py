"""A document that cannot be read concerns itself: the others are scanned, and it is shown."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from function_apps.catalog.use_cases import queries, query_history
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import isolate
from shared.persistence.store import (
    Comparison,
    Document,
    Partition,
    Prefix,
    Query,
    Replace,
    Where,
)
from tests.catalog.inventory import Catalog, catalog
from tests.kit.service import TENANT
from tests.kit.told import KEY, ended, environment, released, run, service_of, vanish
from tests.kit.virtual_time import EPOCH, run_virtual

KEYS = [letter * 12 for letter in "bcdef"]
BAD = KEYS[2]
MODULES = [f"module-m{number}" for number in range(4)]


async def damage(made: Catalog, partition: Partition, document_id: str, **fields: Any) -> None:
    document = await stored(made, partition, document_id)
    body = {**document.body, **fields}
    await made.app.service.store.batch(partition, [Replace(document_id, body, document.etag)])


async def stored(made: Catalog, partition: Partition, document_id: str) -> Document:
    document = await made.app.service.store.read(partition, document_id)
    assert document is not None, document_id
    return document


def shown(made: Catalog) -> Mapping[str, int]:
    """Return how many documents the app's health counts as undone, by sweep."""
    service = made.app.service
    return service.sweeps.failures(service.clock.now())


async def known(*keys: str) -> Catalog:
    """Return a catalog that scans the environments of *keys*."""
    made = catalog()
    for key in keys:
        fields = {"environment_id": f"env-{key}", "aggregate_id": f"env-{key}"}
        await made.hear_all(environment(1).model_copy(update=fields))
    return made


def test_the_other_environments_are_scanned_and_the_bad_one_is_postponed_and_shown() -> None:
    async def main() -> tuple[set[str], bool, Any]:
        made = await known(*KEYS)
        bad = Partition(TENANT, BAD)
        await damage(made, bad, "watch", revision="many")
        now = isoformat(made.app.service.clock.now())
        await made.sweep()
        scanned = {
            key
            for key in KEYS
            if (await stored(made, Partition(TENANT, key), "watch")).body.get("scanned_at", "")
            > now
        }
        postponed = (await stored(made, bad, "watch")).body["dueAt"] > isoformat(
            made.app.service.clock.now()
        )
        return scanned, postponed, shown(made)

    scanned, is_postponed, failures = run_virtual(main())

    assert scanned == set(KEYS) - {BAD}
    assert is_postponed
    assert failures == {"observe_due": 1}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"revision": "many"}, id="damaged"),
        pytest.param({"schema": 99}, id="of-a-later-schema"),
        pytest.param({"knowledge": {}, "schema": 1}, id="of-an-earlier-schema-and-damaged"),
    ],
)
def test_the_other_services_of_an_environment_are_observed(fields: dict[str, Any]) -> None:
    async def main() -> tuple[list[Any], Any]:
        made = catalog()
        await made.hear_all(environment(1), ended(1, [released(module) for module in MODULES]))
        for module in MODULES:
            await run(made.world, module)
        await made.sweep()
        bad, *others = MODULES
        partition = (await made.documents(bad))[0].partition
        await damage(made, partition, "service", **fields)
        vanish(made.world, *others)
        for _ in range(3):
            await made.sweep()
        statuses = [
            document.body["status"]
            for module in others
            for document in await made.documents(module)
            if document.id == "service"
        ]
        return statuses, shown(made)

    statuses, failures = run_virtual(main())

    assert statuses == ["Unavailable"] * 3
    assert failures == {"observe_due": 1}


def test_a_service_that_is_repaired_is_no_longer_shown() -> None:
    async def main() -> tuple[bool, bool]:
        made = catalog()
        await made.hear_all(environment(1), ended(1, [released(MODULES[0])]))
        await run(made.world, MODULES[0])
        partition = (await made.documents(MODULES[0]))[0].partition
        await damage(made, partition, "service", revision="many")
        await made.sweep()
        was_shown = bool(shown(made))
        await damage(made, partition, "service", revision=1)
        await made.sweep()
        return was_shown, bool(shown(made))

    assert run_virtual(main()) == (True, False)


def test_a_list_leaves_it_out() -> None:
    async def main() -> list[str]:
        made = catalog()
        await made.hear_all(ended(1, [released(module) for module in MODULES[:2]]))
        query = Query([Where("type", Comparison.EQ, "service")])
        documents = (await made.app.service.store.query(Prefix(TENANT), query)).documents
        later = replace(documents[0], body={"type": "service", "schema": 99})
        shown = await queries.to_resources([later, documents[1]], made.bench.ctx(), made.app)
        return [each.service_id for each in shown.values()]

    assert len(run_virtual(main())) == 1


API, WEB = MODULES[:2]


async def two() -> Catalog:
    """Return a catalog of two services, of which one depends on the other."""
    made = catalog()
    for module in (API, WEB):
        await run(made.world, module)
    both = [released(WEB, dependsOn=[API]), released(API)]
    await made.hear_all(environment(1), ended(1, both, at=EPOCH))
    return made


def place(module: str) -> Partition:
    return Partition(TENANT, KEY, service_of(module))


async def lacking_replicas(made: Catalog, module: str) -> None:
    rows = (await stored(made, place(module), "service")).body["rows"]
    component = {**rows["release"]["component"], "replicas": None}
    rows = {**rows, "release": {**rows["release"], "component": component}}
    await damage(made, place(module), "service", rows=rows)


def test_a_service_without_a_number_of_replicas_does_not_stop_the_scan_of_the_others() -> None:
    async def main() -> Any:
        made = await two()
        await lacking_replicas(made, API)
        vanish(made.world, WEB)
        for _ in range(3):
            await made.sweep()
        return (await stored(made, place(WEB), "service")).body["status"], shown(made)

    assert run_virtual(main()) == ("Unavailable", {"observe_due": 1})


@pytest.mark.parametrize("value", [None, 7, "", "no name", "x" * 5000])
@pytest.mark.parametrize("field", ["project_id", "module_id"])
def test_a_damaged_service_does_not_stop_the_retirement_of_the_others(
    field: str, value: object
) -> None:
    async def main() -> Any:
        made = await two()
        await damage(made, place(API), "service", **{field: value})
        await made.hear(environment(2, gone=True))
        for command in made.commands():
            await isolate(made.dispatcher.dispatch(command), "a command")
        return (await stored(made, place(WEB), "service")).body["status"]

    assert run_virtual(main()) == "Retired"


def test_a_list_leaves_a_service_out_that_lacks_what_its_resource_shows() -> None:
    async def main() -> list[str]:
        made = await two()
        await lacking_replicas(made, API)
        documents = [await stored(made, place(module), "service") for module in (API, WEB)]
        return list(await queries.to_resources(documents, made.bench.ctx(), made.app))

    assert run_virtual(main()) == [service_of(WEB)]


def test_dependencies_show_an_unreadable_service_as_unknown() -> None:
    async def main() -> Any:
        made = await two()
        await damage(made, place(API), "service", revision="many")
        return await queries.get_dependencies(service_of(WEB), made.bench.ctx(), made.app)

    (dependency,) = run_virtual(main()).depends_on
    assert (dependency.module_id, dependency.status) == (API, "Unknown")


@pytest.mark.parametrize("fields", [{"release_revision": "many"}, {"component": {}}])
def test_an_unreadable_row_leaves_the_rest_of_the_history_readable(fields: Any) -> None:
    async def main() -> Any:
        made = await two()
        await made.hear_all(ended(2, [released(WEB, 2)], at=EPOCH + timedelta(minutes=2)))
        first = next(each for each in await made.documents(WEB) if each.body["type"] == "history")
        await damage(made, first.partition, first.id, **fields)
        ctx, identity = made.bench.ctx(), service_of(WEB)
        value, _ = await query_history.get_history(
            identity, ctx, made.app, limit=100, continuation=None
        )
        now = EPOCH + timedelta(hours=1)
        past = await query_history.get_service_at(identity, now, now, ctx, made.app)
        return [row["version"] for row in value], past.version

    assert run_virtual(main()) == (["2.0"], "2.0")


@pytest.mark.parametrize("fields", [{"revision": "many"}, {"schema": 99}])
def test_a_scan_that_cannot_be_read_keeps_no_release_out_of_the_inventory(
    fields: dict[str, Any],
) -> None:
    async def main() -> Any:
        made = await two()
        await damage(made, Partition(TENANT, KEY), "watch", **fields)
        await made.hear_all(ended(2, [released(WEB, 2)], at=EPOCH + timedelta(minutes=2)))
        return (await stored(made, place(WEB), "service")).body["rows"]["release"]

    assert run_virtual(main())["release_revision"] == 2
