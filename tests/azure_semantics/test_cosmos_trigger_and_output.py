"""The `cosmosDB` output and triggers on what it writes. Protocol page, section 2 "Cosmos DB"."""

from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from local_host.host import Host
from local_host.model import HttpAnswer
from tests.kit.hosting import ask, embedded, hosting, new_app, refusals
from tests.kit.service_bus import until
from tests.kit.virtual_time import run_virtual


def app_that_writes(make: Callable[[], Any], **output: Any) -> func.FunctionApp:
    app = new_app()

    @app.route("write")
    @app.cosmos_db_output(
        arg_name="out", connection="DB", database_name="shop", container_name="orders", **output
    )
    async def write(req: func.HttpRequest, out: func.Out[func.Document]) -> func.HttpResponse:
        out.set(make())
        return func.HttpResponse("written")

    return app


def follow(app: func.FunctionApp, seen: list[func.Document], **trigger: Any) -> None:
    @app.cosmos_db_trigger(
        arg_name="documents",
        connection="DB",
        database_name="shop",
        container_name="orders",
        **trigger,
    )
    async def on_change(documents: func.DocumentList) -> None:
        seen.extend(documents)


async def written(host: Host) -> HttpAnswer:
    return await ask(host, "GET", "/write")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: func.Document({"id": "1", "customer": "a", "n": 1}), id="document"),
        pytest.param(
            lambda: func.DocumentList([func.Document({"id": "1", "customer": "a", "n": 1})]),
            id="document-list",
        ),
        pytest.param(
            lambda: (func.Document({"id": "1", "customer": "a", "n": n}) for n in (0, 1)),
            id="iterable-with-a-later-version",
        ),
    ],
)
def test_what_an_output_upserts_reaches_a_trigger_that_waited_for_the_container(
    make: Callable[[], Any],
) -> None:
    app = app_that_writes(make, create_if_not_exists=True, partition_key="/customer")
    seen: list[func.Document] = []
    follow(app, seen)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert refusals(host) == {}
            assert (await written(host)).status == 200
            await until(lambda: bool(seen))

    run_virtual(main())
    (document,) = seen
    assert (document["id"], document["customer"], document["n"]) == ("1", "a", 1)
    assert {"_etag", "_ts"} <= set(document)


def test_an_output_to_a_container_that_does_not_exist_fails_the_invocation() -> None:
    app = app_that_writes(lambda: func.Document({"id": "1"}))

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert (await written(host)).status == 500

    run_virtual(main())


def test_an_output_refuses_plain_dicts() -> None:
    """The library's converter takes Documents only."""
    app = app_that_writes(lambda: {"id": "1"}, create_if_not_exists=True, partition_key="/id")

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert (await written(host)).status == 500

    run_virtual(main())


def test_a_trigger_sees_later_writes_without_waiting_for_the_poll() -> None:
    numbers = iter(range(10))
    app = app_that_writes(
        lambda: func.Document({"id": str(next(numbers))}),
        create_if_not_exists=True,
        partition_key="/id",
    )
    seen: list[func.Document] = []
    follow(app, seen, feed_poll_delay=60_000)

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            await written(host)
            await until(lambda: len(seen) == 1)
            await written(host)
            await until(lambda: len(seen) == 2, within_s=1)

    run_virtual(main())
    assert [document["id"] for document in seen] == ["0", "1"]
