"""The management endpoints, which serve the webhooks and the library's client alike.

Statuses and bodies are those of the Durable extension's HttpApiHandler 2.13;
https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-http-api.
Query names ignore case.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from local_host.durable import management_requests as requests
from local_host.durable import records
from local_host.durable.client import CommandRefused, DurableClient, input_text
from local_host.durable.management_urls import ManagementUrls
from local_host.durable.records import AlreadyExists, Instance
from local_host.durable.status import status_json
from local_host.model import HttpAnswer, HttpCall
from shared.kernel.clock import Clock

PAGE_MAX: Final = 100
_POLL_S: Final = 1.0
_NOT_FOUND: Final = HttpAnswer(404)
_ACCEPTED: Final = HttpAnswer(202)


@dataclass(frozen=True)
class _ParsedRequest:
    """One request behind the base path."""

    call: HttpCall
    path: tuple[str, ...]
    query: Mapping[str, str]
    url: str
    urls: ManagementUrls

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.query.get(name.lower(), "")
        return value.lower() == "true" if value else default


class ManagementEndpoints:
    """The endpoints of one task hub."""

    def __init__(self, client: DurableClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._routes: dict[
            tuple[str, str, int], Callable[[_ParsedRequest], Awaitable[HttpAnswer]]
        ] = {
            ("POST", "orchestrators", 2): self._start,
            ("POST", "orchestrators", 3): self._start,
            ("GET", "instances", 1): self._list,
            ("GET", "instances", 2): self._status,
            ("DELETE", "instances", 1): self._purge_selected,
            ("DELETE", "instances", 2): self._purge,
            ("POST", "instances", 3): self._command,
            ("POST", "instances", 4): self._raise_event,
            ("GET", "entities", 1): self._entities,
            ("GET", "entities", 2): self._entities,
            ("GET", "entities", 3): self._entity,
            ("POST", "entities", 3): self._signal,
            ("DELETE", "entities", 3): self._delete_entity,
        }

    async def handle(self, call: HttpCall, rest: str, urls: ManagementUrls) -> HttpAnswer:
        """Answer *call*, whose path behind the base is *rest* (percent-encoded)."""
        path = tuple(unquote(part) for part in rest.split("/") if part)
        if not path:
            return _NOT_FOUND
        route = self._routes.get((call.method.upper(), path[0].lower(), len(path)))
        if route is None:
            return _NOT_FOUND
        pairs = parse_qsl(call.query, keep_blank_values=True)
        query = {name.lower(): value for name, value in pairs}
        url = f"{call.origin}{call.path}" + (f"?{call.query}" if call.query else "")
        try:
            return await route(_ParsedRequest(call, path, query, url, urls))
        except CommandRefused as refused:
            if refused.status == 400:  # noqa: PLR2004
                return _error(400, refused.text, refused.kind)
            return HttpAnswer(refused.status)
        except AlreadyExists as problem:
            return _error(500, str(problem), "System.InvalidOperationException")

    # -- orchestrations ----------------------------------------------------------------------

    async def _start(self, request: _ParsedRequest) -> HttpAnswer:
        instance_id = request.path[2] if len(request.path) > 2 else None  # noqa: PLR2004
        given = requests.json_text(request.call.body)
        version = request.query.get("version")
        timeout_s = requests.seconds(request.query, "timeout")
        interval_s = requests.seconds(request.query, "pollingInterval") or _POLL_S
        started = await self._client.start(request.path[1], instance_id, given, version)
        if timeout_s is not None:
            finished = await self._wait(started, timeout_s, interval_s)
            if finished is not None:
                return _ending(finished)
        return _started(started, request.urls)

    async def _wait(self, instance_id: str, timeout_s: float, interval_s: float) -> Instance | None:
        until = self._clock.monotonic_s() + timeout_s
        while True:
            instance = self._client.status(instance_id)
            if instance is not None and instance.is_finished:
                return instance
            left_s = until - self._clock.monotonic_s()
            if left_s <= 0:
                return None
            await self._clock.sleep(min(interval_s, left_s))

    async def _status(self, request: _ParsedRequest) -> HttpAnswer:
        instance = self._client.status(request.path[1])
        if instance is None:
            return _NOT_FOUND
        shows_history = request.flag("showHistory", default=False)
        shown = status_json(
            instance,
            self._client.events(instance.id) if shows_history else None,
            show_input=request.flag("showInput", default=True),
            show_history_output=request.flag("showHistoryOutput", default=False),
        )
        if not instance.is_finished:
            return _json(202, shown, ("location", request.url), ("retry-after", "5"))
        fails = request.flag("returnInternalServerErrorOnFailure", default=False)
        return _json(500 if fails and instance.status == records.FAILED else 200, shown)

    async def _list(self, request: _ParsedRequest) -> HttpAnswer:
        size = requests.count(request.query, "top") or PAGE_MAX
        instances = self._client.select(
            statuses=requests.statuses(request.query),
            created_from=requests.instant(request.query, "createdTimeFrom"),
            created_to=requests.instant(request.query, "createdTimeTo"),
            prefix=request.query.get("instanceidprefix", ""),
            after=requests.after(request.call.header(requests.CONTINUATION)),
            limit=size + 1,
        )
        shows_input = request.flag("showInput", default=True)
        page = [status_json(i, show_input=shows_input) for i in instances[:size]]
        if len(instances) <= size:
            return _json(200, page)
        following = base64.urlsafe_b64encode(instances[size - 1].id.encode()).decode()
        return _json(200, page, (requests.CONTINUATION, following))

    async def _purge(self, request: _ParsedRequest) -> HttpAnswer:
        deleted = await self._client.purge(request.path[1])
        return _json(200, {"instancesDeleted": deleted}) if deleted else _NOT_FOUND

    async def _purge_selected(self, request: _ParsedRequest) -> HttpAnswer:
        created_from = requests.instant(request.query, "createdTimeFrom")
        if not created_from:
            raise CommandRefused(400, "createdTimeFrom is required, got none")
        deleted = await self._client.purge_selected(
            created_from,
            requests.instant(request.query, "createdTimeTo"),
            requests.statuses(request.query),
        )
        return _json(200 if deleted else 404, {"instancesDeleted": deleted})

    async def _command(self, request: _ParsedRequest) -> HttpAnswer:
        instance_id, reason = request.path[1], request.query.get("reason", "")
        match request.path[2].lower():
            case "terminate":
                await self._client.terminate(instance_id, reason)
            case "suspend":
                await self._client.suspend(instance_id, reason)
            case "resume":
                await self._client.resume(instance_id, reason)
            case "rewind":
                await self._client.rewind(instance_id, reason)
            case "restart":
                with_new_id = request.flag("restartWithNewInstanceId", default=True)
                again = await self._client.restart(instance_id, with_new_id=with_new_id)
                return _started(again, request.urls)
            case _:
                return _NOT_FOUND
        return _ACCEPTED

    async def _raise_event(self, request: _ParsedRequest) -> HttpAnswer:
        if request.path[2].lower() != "raiseevent":
            return _NOT_FOUND
        content_type = request.call.header("content-type") or ""
        if not content_type.lower().startswith("application/json"):
            raise CommandRefused(
                400, f"Only application/json request content is supported, got {content_type!r}"
            )
        given = requests.json_text(request.call.body) or "null"
        await self._client.raise_event(request.path[1], request.path[3], given)
        return _ACCEPTED

    # -- entities ----------------------------------------------------------------------------

    async def _entity(self, request: _ParsedRequest) -> HttpAnswer:
        state = self._client.entity_state(request.path[1], request.path[2])
        if state is None:
            return _NOT_FOUND
        return HttpAnswer(200, (("content-type", "application/json"),), state.encode())

    async def _entities(self, request: _ParsedRequest) -> HttpAnswer:
        entities = self._client.entities(request.path[1] if len(request.path) > 1 else None)
        shows_state = request.flag("fetchState", default=False)
        listed = [
            {
                "entityId": {"name": name, "key": key},
                "lastOperationTime": updated_at,
                **({"state": json.loads(state)} if shows_state else {}),
            }
            for name, key, state, updated_at in entities
        ]
        return _json(200, listed)

    async def _signal(self, request: _ParsedRequest) -> HttpAnswer:
        operation = request.query.get("op", "")
        content_type = request.call.header("content-type") or "application/json"
        if content_type.partition(";")[0].strip().lower() == "application/json":
            given = requests.json_text(request.call.body)
        else:
            text = requests.text(request.call.body)
            given = input_text(text) if text else None
        await self._client.signal_entity(request.path[1], request.path[2], operation, given)
        return _ACCEPTED

    async def _delete_entity(self, request: _ParsedRequest) -> HttpAnswer:
        await self._client.signal_entity(request.path[1], request.path[2], "delete", None)
        return _ACCEPTED


def _started(instance_id: str, urls: ManagementUrls) -> HttpAnswer:
    addresses = urls.management(instance_id, with_rewind=False)
    return _json(
        202, addresses, ("location", addresses["statusQueryGetUri"]), ("retry-after", "10")
    )


def _ending(instance: Instance) -> HttpAnswer:
    if instance.status == records.COMPLETED:
        text = instance.output or "null"
        return HttpAnswer(200, (("content-type", "application/json"),), text.encode())
    return _json(500 if instance.status == records.FAILED else 200, status_json(instance))


def _json(status: int, content: Any, *headers: tuple[str, str]) -> HttpAnswer:
    body = json.dumps(content).encode()
    return HttpAnswer(status, (("content-type", "application/json"), *headers), body)


def _error(status: int, text: str, kind: str) -> HttpAnswer:
    content = {
        "Message": "Something went wrong while processing your request",
        "ExceptionMessage": text,
        "ExceptionType": kind,
        "StackTrace": "",
    }
    return _json(status, content)
