"""Serves tokens to managed identities on a loopback port, as App Service does for its apps.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference:
`IDENTITY_ENDPOINT` and `IDENTITY_HEADER` in the environ of a process make it the identity to which
that header belongs, for every azure-identity library.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from local_cloud.http_runner import HttpRunner
from local_cloud.token_endpoint.identities import Identity, LocalIdentities
from shared.kernel.errors import Unavailable
from shared.persistence.disk_errors import translated_errors

_API_VERSION: Final = "2019-08-01"
_RESOURCE: Final = re.compile(
    r"(?:https|api)://[\w.:/-]{1,240}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""A URI, or the id of an application, as that of AKS is."""


class TokenEndpoint:
    """`http://<host>:<port>/msi/token` for *served*, the names of identities."""

    def __init__(
        self,
        identities: LocalIdentities,
        served: Sequence[str],
        port: int,
        host: str = "127.0.0.1",
    ) -> None:
        """*port* 0 takes a free one."""
        self._identities = identities
        self._by_header = {identity.header: identity for identity in map(identities.get, served)}
        self._host = host
        self._port = port
        self._runner: HttpRunner | None = None

    @property
    def url(self) -> str:
        """What `IDENTITY_ENDPOINT` is; known after `start`."""
        return f"http://{self._host}:{self._port}/msi/token"

    def environ_of(self, name: str) -> Mapping[str, str]:
        """Return the variables that make a process the identity *name*."""
        header = self._identities.get(name).header
        return {"IDENTITY_ENDPOINT": self.url, "IDENTITY_HEADER": header}

    async def start(self) -> None:
        """Begin to listen; returns when ready. Raises OSError when the port is taken."""
        app = web.Application(client_max_size=0)
        app.router.add_get("/msi/token", self._answer)
        self._runner = HttpRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        # A dictionary finds a header by its hash: how long that takes tells nothing of the others.
        identity = self._by_header.get(request.headers.get("X-IDENTITY-HEADER", ""))
        if identity is None:
            return _refusal(401, "X-IDENTITY-HEADER is not that of an identity here")
        problem = _problem_of(request, identity)
        if problem is not None:
            return _refusal(400, problem)
        resource = request.query["resource"]
        try:
            with translated_errors("the key of tokens"):  # made for the first of them
                token, ends = self._identities.token(identity, resource)
        except Unavailable as away:
            return _refusal(503, away.message)
        return web.json_response(
            {
                "access_token": token,
                "expires_on": str(ends),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": identity.client_id,
            }
        )


def _problem_of(request: web.Request, identity: Identity) -> str | None:
    """Return what is wrong with *request*, in words."""
    query = request.query
    if query.get("api-version") != _API_VERSION:
        return f"api-version must be {_API_VERSION}"
    if not _RESOURCE.fullmatch(query.get("resource", "")):
        return "resource must be the URI, or the id, of what the token is for"
    for name in ("client_id", "principal_id", "object_id"):
        if query.get(name, identity.client_id) != identity.client_id:
            return f"this process has no identity with that {name}"
    return None


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
