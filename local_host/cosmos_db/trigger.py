"""The Cosmos DB extension: triggers that follow a change feed, and the `cosmosDB` output.

It does what the real trigger does: inserts and updates only, the latest version of each document,
in order within a feed range; at least once; a batch whose function failed is *not* shown again
unless the function has a retry policy (azure-webjobs-sdk-extensions#412, #837). The continuation is
kept under the lease's name, not the function's: renaming a function loses nothing.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-cosmosdb-v2-trigger
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import azure.functions as func

from local_cloud.sqlite.rows import checked_container
from local_host.cosmos_db.change_feed_processor import ChangeFeedProcessor
from local_host.cosmos_db.leases import Leases
from local_host.cosmos_db.output import output_sink
from local_host.cosmos_db.settings import feed_settings_of
from local_host.model import (
    Extension,
    HostContext,
    IndexedFunction,
    Invocation,
    InvocationFailed,
    Invoker,
)
from shared.kernel.errors import Invalid

_log = logging.getLogger(__name__)
TRIGGER: Final = "cosmosDBTrigger"
BINDING: Final = "cosmosDB"
_SHARED_LEASE: Final = (
    "it shares its leases with {holder}, so each change would reach only one of them; "
    "give each its own lease_container_prefix"
)


def cosmos_db(context: HostContext, functions: Sequence[IndexedFunction]) -> Extension:
    """Return the extension that serves `cosmosDBTrigger`."""
    triggered = [function for function in functions if function.triggered_by(TRIGGER)]
    refusals = dict(_name_refusals(functions))
    refusals |= dict(_refusals([f for f in triggered if f.name not in refusals]))
    leases = Leases(context.database)
    processors = [
        ChangeFeedProcessor(
            function,
            settings,
            find=partial(context.cloud.cosmos.change_feed, settings.database, settings.container),
            leases=leases,
            invoker=context.invoker,
            clock=context.clock,
        )
        for function in triggered
        if function.name not in refusals
        for settings in (feed_settings_of(function),)
    ]
    listener = CosmosDbListener(processors, leases, grace_s=context.grace_s)
    return Extension(
        triggers=frozenset({TRIGGER}),
        listener=listener,
        outputs={BINDING: output_sink(context.cloud.cosmos)},
        refusals=refusals,
        manual={TRIGGER: partial(_run_with, context.invoker)},
    )


async def _run_with(invoker: Invoker, function: IndexedFunction, text: str) -> None:
    """Run *function* with the documents in *text*, a JSON list; a failure is only logged."""
    name = function.trigger.name
    invocation = Invocation(function, lambda: {name: func.DocumentList(_documents(text))})
    try:
        await invoker.invoke(invocation)
    except InvocationFailed as failed:
        _log.error("%s failed: %s", function.name, failed.text, exc_info=failed.cause)


def _documents(text: str) -> Sequence[func.Document]:
    given = json.loads(text or "[]")
    listed = given if isinstance(given, list) else [given]
    return [func.Document.from_dict(each) for each in listed]


def _name_refusals(functions: Sequence[IndexedFunction]) -> Iterator[tuple[str, str]]:
    """Yield which functions name a database or container that there cannot be, or no number."""
    for function in functions:
        for binding in function.bindings:
            if binding.type.lower() not in (TRIGGER.lower(), BINDING.lower()):
                continue
            container = binding.text("containerName") or binding.text("collectionName")
            try:
                checked_container(binding.text("databaseName"))
                checked_container(container)
                if binding is function.trigger:
                    feed_settings_of(function)
            except (Invalid, ValueError) as problem:
                yield function.name, f"its binding {binding.name!r}: {problem}"


def _refusals(functions: Sequence[IndexedFunction]) -> Iterator[tuple[str, str]]:
    """Yield why a function cannot run; in Azure both of these fail silently or later."""
    holders: dict[str, str] = {}
    for function in functions:
        if function.trigger.text("startFromTime"):
            yield function.name, "startFromTime is not served here; write start_from_beginning=True"
        holder = holders.setdefault(feed_settings_of(function).lease, function.name)
        if holder != function.name:
            yield function.name, _SHARED_LEASE.format(holder=holder)


class CosmosDbListener:
    """Follows every feed."""

    def __init__(
        self,
        processors: Sequence[ChangeFeedProcessor],
        leases: Leases,
        *,
        grace_s: float,
    ) -> None:
        self._processors = processors
        self._leases = leases
        self._grace_s = grace_s

    async def start(self) -> None:
        """Returns once the continuation of every feed is stored: what is written later is shown."""
        await self._leases.prepare()
        for processor in self._processors:
            await processor.start()

    async def stop(self) -> None:
        await asyncio.gather(*(processor.stop(self._grace_s) for processor in self._processors))
