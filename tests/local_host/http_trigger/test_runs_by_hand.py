"""`POST /admin/functions/{name}` runs any function, as Azure's host does."""

import asyncio
import json
from typing import Any

import azure.functions as func
import pytest

from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual


def answers(*asked: tuple[str, bytes]) -> tuple[list[int], list[Any]]:
    """Return the statuses of runs by hand, and what the functions have seen."""
    app, seen = new_app(), []

    @app.service_bus_queue_trigger("m", connection="S", queue_name="q")
    async def takes(m: func.ServiceBusMessage) -> None:
        seen.append(m.get_body().decode())

    @app.cosmos_db_trigger("docs", container_name="c", database_name="d", connection="C")
    async def follows(docs: func.DocumentList) -> None:
        seen.append([doc["id"] for doc in docs])

    @app.route("x")
    async def web(req: func.HttpRequest) -> str:
        return ""

    async def main() -> list[int]:
        async with hosting(embedded(app)) as host:
            found = [
                (await ask(host, "POST", f"/admin/functions/{name}", body=body)).status
                for name, body in asked
            ]
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=1)
            return found

    return run_virtual(main()), seen


def test_a_function_on_a_queue_gets_the_input_as_its_message() -> None:
    assert answers(("takes", b'{"input": "hello"}')) == ([202], ["hello"])


def test_a_function_on_a_change_feed_gets_the_input_as_its_documents() -> None:
    given = json.dumps({"input": json.dumps([{"id": "1"}])}).encode()

    assert answers(("follows", given)) == ([202], [["1"]])


def test_an_input_that_a_function_cannot_read_was_accepted_all_the_same() -> None:
    assert answers(("follows", b'{"input": "no json"}')) == ([202], [])


def test_a_function_that_only_its_trigger_runs_is_accepted() -> None:
    assert answers(("web", b"{}"))[0] == [202]


def test_a_name_that_nobody_has_is_not_found() -> None:
    assert answers(("nobody", b"{}"))[0] == [404]


@pytest.mark.parametrize("body", [b"[]", b"5", b"{", b"\xff", b'{"input": {}}', b"[" * 100_000])
def test_a_body_that_is_no_input_is_a_400(body: bytes) -> None:
    assert answers(("takes", body)) == ([400], [])
