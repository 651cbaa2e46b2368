"""Two instances of a packaged app over one account and namespace, of which one is killed."""

import asyncio
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

from cli.client import Client
from shared.contracts.events import RUNTIME_EVENTS
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.messaging.service_bus import ServiceBusMessages
from shared.persistence.cosmos_account import CosmosAccount, string_parts
from shared.persistence.cosmos_store import CosmosStore
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.cloud_process import a_cloud
from tests.kit.host_processes import Process, started
from tests.kit.sending import message_of
from tests.kit.service import TENANT
from tests.kit.told import ended, environment, released, service_of
from tools.package import package

pytestmark = [pytest.mark.real, pytest.mark.long]
DEPLOYMENTS: Final = 16
KILLED_AFTER: Final = 8
WITHIN_S: Final = 600.0
"""What the killed one had received comes again when its lock has run out, after 60 s."""


def module(number: int) -> str:
    return f"module-m{number}"


async def send(connection: str, *payloads: BaseModel, first: int) -> None:
    sender = ServiceBusMessages(connection_string=connection)
    for number, payload in enumerate(payloads, first):
        await sender.send(RUNTIME_EVENTS, [message_of(payload, number)])
    await sender.close()


async def history(cosmos: str) -> Counter[str]:
    """Return how many releases the history of each service has, once all of them have one."""
    endpoint, key = string_parts(cosmos)
    account = CosmosAccount(endpoint, key=key)
    store = CosmosStore(account, "runtime", "catalog")
    try:
        async with asyncio.timeout(WITHIN_S):
            while len(found := await releases(store)) < DEPLOYMENTS:
                await SystemClock().sleep(0.2)
        return found
    finally:
        await account.close()


async def releases(store: CosmosStore) -> Counter[str]:
    found: Counter[str] = Counter()
    for feed_range in await store.feed_ranges():
        continuation = None
        while (page := await store.changes(feed_range, continuation)).documents:
            found.update(
                each.partition.unit
                for each in page.documents
                if each.body["type"] == "history" and each.body["kind"] == "release"
            )
            continuation = page.continuation
    return found


def test_events_sent_while_an_instance_is_killed_are_handled_once_in_effect(
    tmp_path: Path,
) -> None:
    issuer = LocalIssuer(tmp_path / "issuer", DEV_ISSUER, AUDIENCE, SystemClock(), SystemEntropy())
    token = issuer.token(TENANT, "ann", ("Runtime.Admin",))
    folder = package("catalog", tmp_path / "catalog")
    events = [ended(n, [released(module(n))]) for n in range(1, DEPLOYMENTS + 1)]
    with a_cloud(tmp_path / "cloud") as connections:
        environ = {
            **connections,
            "RUNTIME_PROFILE": "local",
            "RUNTIME_ISSUER_KEYS": str(tmp_path / "issuer" / "jwks.json"),
            "RUNTIME_AGENT_FOLDER": str(tmp_path / "agent"),
        }
        with ExitStack() as running:

            def an_instance() -> tuple[Process, str]:
                host = running.enter_context(
                    started(folder, "--join", "--port", "0", state=tmp_path / "state", **environ)
                )
                return host, host.read_until(r"functions ready on (http://127.0.0.1:\d+)")[1]

            (first, _), (second, base) = an_instance(), an_instance()
            bus = connections["ServiceBus"]
            asyncio.run(send(bus, environment(1), *events[:KILLED_AFTER], first=1))
            first.process.kill()
            asyncio.run(send(bus, *events[KILLED_AFTER:], first=KILLED_AFTER + 2))

            recorded = asyncio.run(history(connections["CosmosDB"]))
            second.read_until("this host is the primary now")
            with closing(Client(base, token)) as client:
                listed = client.get("/v1/runtime/services", {"top": "100"}).body

    assert recorded == {service_of(module(n)): 1 for n in range(1, DEPLOYMENTS + 1)}
    assert len(listed["value"]) == DEPLOYMENTS
