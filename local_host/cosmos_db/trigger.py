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

from local_cloud.sqlite.container_names import checked_container
from local_host.apps.configuration import ConfigurationRefused
from local_host.apps.connection_addresses import place_of
from local_host.cosmos_db.change_feed_processor import ChangeFeedProcessor
from local_host.cosmos_db.connections import CosmosConnections, CosmosSource
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
_ELSEWHERE: Final = (
    "its output {binding!r} is connected to an account, and outputs go to the host's own cloud"
    " only: call azure-cosmos in the function instead"
)
_NOWHERE: Final = (
    "outputs such as its {binding!r} go to the host's own cloud, and a host that runs with --join"
    " has none: call azure-cosmos in the function instead"
)
_SHARED_LEASE: Final = (
    "it shares its leases with {holder}, so each change would reach only one of them; "
    "give each its own lease_container_prefix"
)


def cosmos_db(context: HostContext, functions: Sequence[IndexedFunction]) -> Extension:
    """Return the extension that serves `cosmosDBTrigger`."""
    triggered = [function for function in functions if function.triggered_by(TRIGGER)]
    refusals = dict(_name_refusals(functions))
    refusals |= dict(_refusals([f for f in triggered if f.name not in refusals]))
    connections, processors = CosmosConnections(context), []
    cloud = context.cloud
    refusals |= dict(_output_refusals(functions, connections, has_cloud=cloud is not None))
    for function in triggered:
        if function.name in refusals:
            continue
        try:
            processors.append(_processor(function, connections, context))
        except ConfigurationRefused as problem:
            refusals[function.name] = str(problem)
    listener = CosmosDbListener(processors, connections.sources(), grace_s=context.grace_s)
    return Extension(
        triggers=frozenset({TRIGGER}),
        listener=listener,
        outputs={} if cloud is None else {BINDING: output_sink(cloud.cosmos)},
        refusals=refusals,
        manual={TRIGGER: partial(_run_with, context.invoker)},
    )


def _processor(
    function: IndexedFunction, connections: CosmosConnections, context: HostContext
) -> ChangeFeedProcessor:
    """Raises ConfigurationRefused for a connection that cannot be used."""
    settings = feed_settings_of(function)
    feeds = connections.of(function, "connection")
    leases = connections.of(function, "leaseConnection", "connection")
    return ChangeFeedProcessor(
        function,
        settings,
        find=partial(feeds.find_feed, settings.database, settings.container),
        leases=leases.leases,
        place=place_of(function.trigger, context.configurations[function.app]),
        invoker=context.invoker,
        clock=context.clock,
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


def _output_refusals(
    functions: Sequence[IndexedFunction], connections: CosmosConnections, *, has_cloud: bool
) -> Iterator[tuple[str, str]]:
    """Yield which functions write by an output to elsewhere than the host's own cloud."""
    for function in functions:
        for binding in function.bindings:
            is_output = binding.type.lower() == BINDING.lower()
            if is_output and not connections.is_own(function, binding):
                yield function.name, _ELSEWHERE.format(binding=binding.name)
            elif is_output and not has_cloud:
                yield function.name, _NOWHERE.format(binding=binding.name)


class CosmosDbListener:
    """Follows every feed."""

    def __init__(
        self,
        processors: Sequence[ChangeFeedProcessor],
        sources: Sequence[CosmosSource],
        *,
        grace_s: float,
    ) -> None:
        self._processors = processors
        self._sources = sources
        self._grace_s = grace_s

    async def start(self) -> None:
        """Returns once the continuation of every feed is stored: what is written later is shown."""
        for source in self._sources:
            await source.leases.prepare()
        for processor in self._processors:
            await processor.start()

    async def stop(self) -> None:
        await asyncio.gather(*(processor.stop(self._grace_s) for processor in self._processors))
        for source in self._sources:
            if source.account is not None:
                await source.account.close()
