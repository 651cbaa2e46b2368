"""Each route that changes something leaves one audit record, in the batch of its change."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import pytest

from function_apps.configurations import triggers as configuration_triggers
from function_apps.secret_bindings import triggers as secret_triggers
from shared.persistence.store import Store
from tests.configurations.configured import MODULE_LAYER, configurations
from tests.kit.stores import all_changes
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import CONTENT, RANDOM, secret_bindings

Call = Callable[..., Coroutine[Any, Any, Any]]
CONFIGURATIONS: Final = "v1/runtime/configurations"
BINDINGS: Final = "v1/runtime/secret-bindings"
_VERSION: Final = f"{CONFIGURATIONS}/{{configurationId}}/versions/{{version}}/publish"
_PUBLISH: Final = {"scope": MODULE_LAYER, "values": {"a": 9}, "expectedVersion": 2}


async def _of_configurations(template: str) -> tuple[Store, Call, Mapping[str, Any]]:
    """Return the service with two versions and a draft, and what *template* is asked with."""
    on = await configurations()
    await on.publish(MODULE_LAYER, {"a": 1})
    head = await on.publish(MODULE_LAYER, {"a": 2}, 1)
    await on.publish(MODULE_LAYER, {"a": 3}, 2, draft=True)
    named = {"configurationId": head["configurationId"]}
    asked: Mapping[str, Mapping[str, Any]] = {
        CONFIGURATIONS: {"body": _PUBLISH},
        _VERSION: {"body": {"expectedVersion": 2}, **named, "version": 3},
        f"{CONFIGURATIONS}/{{configurationId}}/rollback": {
            "body": {"toVersion": 1, "expectedVersion": 2},
            **named,
        },
    }
    return on.app.service.store, on.call, asked[template]


async def _of_secret_bindings(template: str) -> tuple[Store, Call, Mapping[str, Any]]:
    """Return the service with a bound secret, and what *template* is asked with."""
    on = await secret_bindings()
    bound = await on.bind(generator=RANDOM)
    named = {"bindingId": bound["bindingId"]}
    asked: Mapping[str, Mapping[str, Any]] = {
        BINDINGS: {"body": {**CONTENT, "secretName": "other", "target": "OTHER"}},
        f"{BINDINGS}/{{bindingId}}/revoke": {"body": {"reason": "not needed"}, **named},
        f"{BINDINGS}/{{bindingId}}/rotate": {"body": {}, **named},
    }
    return on.app.service.store, on.call, asked[template]


SERVICES: Final = {
    _of_configurations: configuration_triggers.ROUTES,
    _of_secret_bindings: secret_triggers.ROUTES,
}
CHANGES: Final = [
    pytest.param(service, row, id=f"{row.method} {row.template}")
    for service, rows in SERVICES.items()
    for row in rows
    if row.method != "GET"
]


async def _records(store: Store) -> set[str]:
    bodies = [each.body for each in await all_changes(store)]
    return {
        each["record"]["record_id"]
        for each in bodies
        if each["type"] == "outbox" and each["kind"] == "record"
    }


@pytest.mark.parametrize(("service", "row"), CHANGES)
def test_a_change_leaves_one_record_of_who_asked(service: Any, row: Any) -> None:
    async def main() -> None:
        store, call, asked = await service(row.template)
        before = await _records(store)

        await call(row.method, row.template, **asked)

        bodies = [each.body for each in await all_changes(store)]
        added = await _records(store) - before
        assert len(added) == 1
        (record,) = [
            each["record"]
            for each in bodies
            if each["type"] == "outbox"
            and each["kind"] == "record"
            and each["record"]["record_id"] in added
        ]
        assert record["actor"] == "user:ann"
        assert record["action"]
        assert record["target"]

    run_virtual(main())
