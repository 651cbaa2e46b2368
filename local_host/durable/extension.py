"""The Durable extension of the host: triggers, the client binding, the management endpoints.

Every app has a task hub. Apps whose hub names are equal share one, and then take each other's work
as they would on one storage account in Azure: the host says so when it starts.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

from local_host.durable.functions import TRIGGERS, DurableFunctions
from local_host.durable.management_urls import ManagementUrls
from local_host.durable.primary_endpoint import (
    PROOF,
    RPC,
    NobodyAnswers,
    PrimaryClient,
    PrimaryEndpoint,
)
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
from shared.kernel.errors import Unavailable

if TYPE_CHECKING:
    from local_host.durable.engine import Engine
    from local_host.durable.management_endpoints import ManagementEndpoints

_log = logging.getLogger(__name__)
CLIENT: Final = "durableClient"
WEBHOOKS: Final = "/runtime/webhooks/durabletask"
_TAKEOVER_S: Final = 5.0
"""How long a request waits for a host to become the primary; that takes a second."""
ASK_AGAIN_S: Final = 0.1


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
    for app in dict.fromkeys(function.app for function in mine):
        try:
            settings[app] = settings_of(context.configurations[app])
        except HubNameRefused as refused:
            refusals |= {function.name: str(refused) for function in mine if function.app == app}
    listener = DurableListener(context, settings, [f for f in mine if f.app in settings])
    return Extension(
        triggers=TRIGGERS,
        listener=listener,
        is_singleton=True,
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
            context.database(),
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
    """All task hubs of one host; they run at the primary, which the other hosts ask."""

    def __init__(
        self,
        context: HostContext,
        settings: Mapping[str, DurableSettings],
        functions: Sequence[IndexedFunction],
    ) -> None:
        self._context = context
        self._settings = settings
        self._functions = functions
        self._names = {chosen.hub.lower(): chosen.hub for chosen in settings.values()}
        self._hubs: Mapping[str, _HubEndpoints] = {}
        self._proof = context.entropy.uuid().hex
        self._primary = PrimaryClient(context.folder) if context.folder is not None else None

    async def start(self) -> None:
        self._context.database().prepare(SCHEMA)
        self._hubs = _hubs(self._context, self._functions, self._settings)
        for hub in self._hubs.values():
            await hub.engine.start()
        if self._context.folder is not None:
            self._endpoint.write(self._context.folder)

    async def stop(self) -> None:
        for hub in self._hubs.values():
            await hub.engine.stop(self._context.grace_s)
        if self._primary is not None:
            await self._primary.close()

    @property
    def _endpoint(self) -> PrimaryEndpoint:
        return PrimaryEndpoint(self._context.base_url(), self._proof)

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
        """Answer the library's client and other hosts, which know the path and have no key."""
        secret, _, behind = call.path[len(RPC) + 1 :].partition("/")
        if not self._endpoint.permits(secret):
            return HttpAnswer(404)
        hub, _, rest = behind.partition("/")
        answer = await self._answer(call, rest, unquote(hub))
        return replace(answer, headers=[*answer.headers, (PROOF, self._proof)])

    async def _answer(self, call: HttpCall, rest: str, name: str | None) -> HttpAnswer:
        hub = name.lower() if name else next(iter(self._names), "")
        if hub not in self._names:
            return HttpAnswer(404)
        try:
            if not self._hubs:
                return await self._answer_of_primary(call, rest, hub)
            return await self._hubs[hub].endpoints.handle(
                call, rest, self._urls(self._names[hub], call.origin)
            )
        except Unavailable as away:
            # The library reads each answer as JSON.
            headers = (("content-type", "application/json"), ("retry-after", "1"))
            return HttpAnswer(503, headers, json.dumps({"message": away.message}).encode())

    async def _answer_of_primary(self, call: HttpCall, rest: str, hub: str) -> HttpAnswer:
        """Ask the primary; wait for a moment where another host is about to become it.

        Raises:
            Unavailable: none answers.
        """
        assert self._primary is not None, "a host that shares its folder has one"
        clock = self._context.clock
        until_s = clock.monotonic_s() + _TAKEOVER_S
        while not self._hubs:
            try:
                return await self._primary.forward(call, hub, rest)
            except NobodyAnswers:
                if clock.monotonic_s() > until_s:
                    raise Unavailable("no host of the folder is the primary now") from None
            await clock.sleep(ASK_AGAIN_S)
        return await self._answer(call, rest, hub)

    def _urls(self, hub: str, origin: str) -> ManagementUrls:
        rpc = f"{self._context.base_url()}{self._endpoint.path(hub)}"
        key = self._context.webhook_key("durabletask")
        return ManagementUrls(hub, f"{origin}{WEBHOOKS}", rpc, key)
