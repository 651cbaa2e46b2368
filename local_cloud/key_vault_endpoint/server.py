"""Serves embedded vaults on a https port, to SDKs that speak Key Vault's REST protocol.

What clients send was taken from the official SDKs for Python (azure-keyvault-secrets 4.12) and
JavaScript (@azure/keyvault-secrets 4.11) and the public REST reference,
https://learn.microsoft.com/rest/api/keyvault/secrets/. Backup, restore, keys and certificates are
not served.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from local_cloud.http_runner import HttpRunner
from local_cloud.key_vault_endpoint.authorization import VaultAuthorization
from local_cloud.key_vault_endpoint.bodies import (
    BODY_MAX_BYTES,
    changes_of,
    item,
    json_body,
    list_body,
    page_of,
    value_of,
)
from local_cloud.key_vault_endpoint.errors import (
    ErrorAnswer,
    VaultRefused,
    answer_to,
    bad_parameter,
)
from local_cloud.key_vault_endpoint.faults import Fault, FaultMoment, Faults
from local_cloud.roles import ENVIRONMENT_VAULTS, KEY_VAULT
from local_cloud.vault.local_vaults import LocalVaults
from local_cloud.vault.rows import StoredVersion
from local_cloud.vault.vault import LocalVault
from shared.kernel.errors import Refused, Unavailable
from shared.vault.port import SecretValue
from shared.vault.vault_uris import LOCAL_SUFFIX

_API_VERSION: Final = re.compile(r"\d+\.\d+(?:-preview\.\d+)?|20\d\d-\d\d-\d\d(?:-preview)?")
_HOST: Final = re.compile(
    rf"(?:([a-z0-9-]{{1,63}})\.{re.escape(LOCAL_SUFFIX)}|localhost|127\.0\.0\.1)(?::\d{{1,5}})?"
)
_VAULT: Final = web.RequestKey("vault", LocalVault)
"""Of a request: the vault that its host names."""
Segments = tuple[str, ...]
"""The parts of a path."""


class KeyVaultEndpoint:
    """The vault on `https://localhost:<port>`, others on `https://<name>.vault.localhost:<port>`.

    `faults` are those that a test injects.
    """

    def __init__(
        self,
        vault: LocalVault,
        authorization: VaultAuthorization,
        port: int,
        tls: ssl.SSLContext,
        *,
        others: LocalVaults,
    ) -> None:
        """*port* 0 takes a free one. *vault* and *others* stay their owner's to close."""
        self.faults = Faults()
        self._own = vault
        self._others = others
        self._authorization = authorization
        self._port = port
        self._tls = tls
        self._runner: HttpRunner | None = None

    @property
    def url(self) -> str:
        """Where clients connect; known after `start`."""
        return f"https://localhost:{self._port}"

    async def start(self) -> None:
        """Begin to listen; returns when ready. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=BODY_MAX_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = HttpRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and let what runs finish for a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._authorized(request)
        except VaultRefused as refused:
            return _error(refused.answer)
        except (Refused, Unavailable) as error:
            return _error(answer_to(error))
        except _ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _authorized(self, request: web.Request) -> web.Response:
        """Check who asks, before anything of the request is read, and answer."""
        segments = tuple(request.path.strip("/").split("/"))
        shape, handler = self._route(request.method, segments)
        await self._authorization.check(
            request.headers.get("Authorization"),
            ENVIRONMENT_VAULTS if _name_of(request) else KEY_VAULT,
            writes=request.method != "GET",
            shows_value=shape in {"secrets/*", "secrets/*/*"},
        )
        if handler is None:
            raise VaultRefused(ErrorAnswer(405, "MethodNotAllowed", "this is not served here"))
        if not _API_VERSION.fullmatch(request.query.get("api-version", "")):
            raise bad_parameter("api-version must be specified")
        request[_VAULT] = await self._vault_of(request)
        fault = self.faults.next_fault()
        if fault is not None and fault.moment is FaultMoment.BEFORE:
            return _error(fault.answer)
        if fault is not None and fault.moment is FaultMoment.STALLED:
            await asyncio.get_running_loop().create_future()
        _cut(fault, FaultMoment.CUT_BEFORE)
        response = await handler(request, segments)
        _cut(fault, FaultMoment.CUT_AFTER)
        if fault is not None and fault.moment is FaultMoment.TRUNCATED:
            text = response.text or ""
            return web.json_response(text=text[: len(text) // 2])
        return response

    async def _vault_of(self, request: web.Request) -> LocalVault:
        if not _HOST.fullmatch(request.host.lower()):
            raise bad_parameter("Host is not that of a vault of this machine")
        name = _name_of(request)
        return await self._others.opened(name) if name else self._own

    def _route(self, method: str, segments: Segments) -> tuple[str, "Handler | None"]:
        handlers: Mapping[tuple[str, str], Handler] = {
            ("GET", "secrets"): self._list,
            ("PUT", "secrets/*"): self._set,
            ("GET", "secrets/*"): self._get,
            ("GET", "secrets/*/*"): self._get,
            ("PATCH", "secrets/*"): self._update,
            ("PATCH", "secrets/*/*"): self._update,
            ("DELETE", "secrets/*"): self._delete,
            ("GET", "secrets/*/versions"): self._list_versions,
            ("GET", "deletedsecrets"): self._list_deleted,
            ("GET", "deletedsecrets/*"): self._get_deleted,
            ("DELETE", "deletedsecrets/*"): self._purge,
            ("POST", "deletedsecrets/*/recover"): self._recover,
        }
        shape = "/".join((segments[0], *("*" for _ in segments[1:])))
        if segments[2:] in {("versions",), ("recover",)}:
            shape = f"{segments[0]}/*/{segments[2]}"
        return shape, handlers.get((method, shape))

    async def _set(self, request: web.Request, segments: Segments) -> web.Response:
        body = await json_body(request)
        value, attributes = SecretValue(value_of(body)), changes_of(body)
        return self._bundle(request, await request[_VAULT].add(segments[1], value, attributes))

    async def _get(self, request: web.Request, segments: Segments) -> web.Response:
        version = await request[_VAULT].readable(segments[1], _version(segments))
        return self._bundle(request, version)

    def _bundle(self, request: web.Request, version: StoredVersion) -> web.Response:
        """Answer with *version* and its value."""
        value = request[_VAULT].value_of(version).reveal()
        return web.json_response({"value": value, **self._item(request, version)})

    async def _update(self, request: web.Request, segments: Segments) -> web.Response:
        changes = changes_of(await json_body(request))
        changed = await request[_VAULT].update(segments[1], _version(segments), changes)
        return web.json_response(self._item(request, changed))

    async def _delete(self, request: web.Request, segments: Segments) -> web.Response:
        await request[_VAULT].delete(segments[1])
        return await self._get_deleted(request, segments)

    async def _get_deleted(self, request: web.Request, segments: Segments) -> web.Response:
        return web.json_response(self._item(request, await request[_VAULT].deleted(segments[1])))

    async def _recover(self, request: web.Request, segments: Segments) -> web.Response:
        known = await request[_VAULT].deleted(segments[1])
        await request[_VAULT].recover(segments[1])
        recovered = replace(known, deleted_at=None, purge_at=None)
        return web.json_response(self._item(request, recovered))

    async def _purge(self, request: web.Request, segments: Segments) -> web.Response:
        await request[_VAULT].purge(segments[1])
        return web.Response(status=204)

    async def _list(self, request: web.Request, _segments: Segments) -> web.Response:
        page = page_of(request)
        secrets = await request[_VAULT].page(page.after, page.size + 1)
        return self._page(request, secrets, page.size, named=False)

    async def _list_deleted(self, request: web.Request, _segments: Segments) -> web.Response:
        page = page_of(request)
        secrets = await request[_VAULT].deleted_page(page.after, page.size + 1)
        return self._page(request, secrets, page.size, named=False)

    async def _list_versions(self, request: web.Request, segments: Segments) -> web.Response:
        page = page_of(request)
        versions = await request[_VAULT].version_page(segments[1], page.after, page.size + 1)
        return self._page(request, versions, page.size, named=True)

    def _page(
        self, request: web.Request, versions: Sequence[StoredVersion], size: int, *, named: bool
    ) -> web.Response:
        """Answer with the first *size* of *versions*, and where the rest begins."""
        shown = versions[:size]
        end = (shown[-1].version if named else shown[-1].name) if len(versions) > size else None
        items = [self._item(request, version, named=named) for version in shown]
        return web.json_response(list_body(_base(request), request, items, end))

    def _item(
        self, request: web.Request, version: StoredVersion, *, named: bool = True
    ) -> dict[str, Any]:
        return item(_base(request), version, request[_VAULT].recoverable.days, named=named)


class _ConnectionCut(Exception):
    """An injected fault cuts the connection here."""


Handler = Callable[[web.Request, Segments], Awaitable[web.Response]]


def _name_of(request: web.Request) -> str | None:
    """Return the name of the vault that *request* is for; None for the platform's own."""
    host = _HOST.fullmatch(request.host.lower())
    return host[1] if host else None


def _cut(fault: Fault | None, moment: FaultMoment) -> None:
    """Break the connection when *fault* says so: the client gets no answer."""
    if fault is not None and fault.moment is moment:
        raise _ConnectionCut


def _version(segments: Segments) -> str | None:
    """Return the version that a path names; without one the last is meant."""
    return segments[2] if len(segments) > 2 else None  # noqa: PLR2004  secrets, name, version


def _base(request: web.Request) -> str:
    """Return the vault's address by the name that the client has for it."""
    return f"https://{request.host}"


def _error(answer: ErrorAnswer) -> web.Response:
    return web.json_response(answer.body(), status=answer.status, headers=answer.headers)
