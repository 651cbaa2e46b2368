"""The Durable extension of the host: triggers, the client binding, the management endpoints.

Every app has a task hub. Apps whose hub names are equal share one, and then take each other's work
as they would on one storage account in Azure: the host says so when it starts.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from local_host.durable.functions import TRIGGERS, DurableFunctions
from local_host.durable.management_urls import ManagementUrls
from local_host.durable.records import SCHEMA
from local_host.durable.settings import DurableSettings, HubNameRefused, settings_of
from local_host.model import (
    Binding,
    Extension,
    HostContext,
    HttpAnswer,
    HttpCall,
    IndexedFunction,
)

if TYPE_CHECKING:
    from local_host.durable.engine import Engine
    from local_host.durable.management_endpoints import ManagementEndpoints

_log = logging.getLogger(__name__)
CLIENT: Final = "durableClient"
WEBHOOKS: Final = "/runtime/webhooks/durabletask"
RPC: Final = "/admin/durabletask"
"""Where the library's client calls: the host's own port, below a path that only it is told. In
Azure this is a loopback port without a key."""


@dataclass(frozen=True)
class _HubEndpoints:
    engine: "Engine"
    endpoints: "ManagementEndpoints"


def durable(context: HostContext, functions: Sequence[IndexedFunction]) -> Extension:
    """Return the extension for *functions*, idle when none of them is durable."""
    mine = [f for f in functions if f.triggered_by(*TRIGGERS) or f.of_type(CLIENT)]
    if not mine:
        return Extension(triggers=TRIGGERS)
    settings: dict[str, DurableSettings] = {}
    refusals: dict[str, str] = {}
    for function in mine:
        try:
            settings[function.app] = settings_of(context.configurations[function.app])
        except HubNameRefused as refused:
            refusals[function.name] = str(refused)
    context.database.prepare(SCHEMA)
    hubs = _hubs(context, [f for f in mine if f.app in settings], settings)
    listener = DurableListener(context, settings, hubs)
    return Extension(
        triggers=TRIGGERS,
        listener=listener,
        inputs={CLIENT: listener.client_value},
        mounts={WEBHOOKS: listener.webhook, RPC: listener.rpc},
        refusals=refusals,
    )


def _hubs(
    context: HostContext,
    functions: Sequence[IndexedFunction],
    settings: Mapping[str, DurableSettings],
) -> dict[str, _HubEndpoints]:
    # The library costs a tenth of a second: only hosts with durable functions pay it.
    from local_host.durable.client import DurableClient  # noqa: PLC0415
    from local_host.durable.engine import Engine  # noqa: PLC0415
    from local_host.durable.management_endpoints import ManagementEndpoints  # noqa: PLC0415

    apps: dict[str, list[str]] = {}
    for app, chosen in settings.items():
        apps.setdefault(chosen.hub.lower(), []).append(app)
    hubs = {}
    for hub, sharing in apps.items():
        if len(sharing) > 1:
            _log.warning(
                "%s share the task hub %r and take each other's work: give each app its own "
                "extensions.durableTask.hubName in host.json",
                " and ".join(sharing),
                settings[sharing[0]].hub,
            )
        engine = Engine(
            context.database,
            [DurableFunctions(f for f in functions if f.app == app) for app in sharing],
            context.invoker,
            settings[sharing[0]],
            clock=context.clock,
            entropy=context.entropy,
        )
        endpoints = ManagementEndpoints(DurableClient(engine), context.clock)
        hubs[hub] = _HubEndpoints(engine, endpoints)
    return hubs


class DurableListener:
    """All task hubs of one host."""

    def __init__(
        self,
        context: HostContext,
        settings: Mapping[str, DurableSettings],
        hubs: Mapping[str, _HubEndpoints],
    ) -> None:
        self._context = context
        self._settings = settings
        self._hubs = hubs
        self._secret = context.entropy.uuid().hex

    async def start(self) -> None:
        for hub in self._hubs.values():
            await hub.engine.start()

    async def stop(self) -> None:
        for hub in self._hubs.values():
            await hub.engine.stop(self._context.grace_s)

    async def client_value(self, binding: Binding, function: IndexedFunction) -> str:
        """Return the durable client's JSON text for one invocation."""
        hub = binding.text("taskHub") or self._settings[function.app].hub
        urls = self._urls(hub, self._context.base_url())
        return urls.binding_value(binding.text("connectionName") or None)

    async def webhook(self, call: HttpCall) -> HttpAnswer:
        """Answer for whoever has the system key; the host has checked it."""
        query = {name.lower(): value for name, value in parse_qsl(call.query)}
        return await self._answer(call, call.path[len(WEBHOOKS) :], query.get("taskhub"))

    async def rpc(self, call: HttpCall) -> HttpAnswer:
        """Answer the library's client, which knows the path and has no key."""
        secret, _, behind = call.path[len(RPC) + 1 :].partition("/")
        if secret != self._secret:
            return HttpAnswer(404)
        hub, _, rest = behind.partition("/")
        return await self._answer(call, rest, hub)

    async def _answer(self, call: HttpCall, rest: str, name: str | None) -> HttpAnswer:
        hub = self._hubs.get(name.lower()) if name else next(iter(self._hubs.values()))
        if hub is None:
            return HttpAnswer(404)
        urls = self._urls(hub.engine.settings.hub, call.origin)
        return await hub.endpoints.handle(call, rest, urls)

    def _urls(self, hub: str, origin: str) -> ManagementUrls:
        rpc = f"{self._context.base_url()}{RPC}/{self._secret}/{hub}/"
        key = self._context.webhook_key("durabletask")
        return ManagementUrls(hub, f"{origin}{WEBHOOKS}", rpc, key)
