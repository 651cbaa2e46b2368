"""What the cluster itself asks of its API server, over HTTP: few things, so no client library."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from local_cluster.cluster_folder import ClusterFolder
from shared.connections.bounded_body import read_bounded
from shared.kernel.errors import Unavailable

FIELD_MANAGER: Final = "local-cluster"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)
"""As long as an API server works at a request; on a busy machine its first ones take long."""
_WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=330)
_LINE_BYTES_MAX: Final = 2**22
_ANSWER_BYTES_MAX: Final = 64 * 2**20
_NOT_FOUND: Final = 404
_ERRORS: Final = 400

Document = Mapping[str, Any]


class KubernetesApi:
    """Requests as the cluster's administrator. All raise Unavailable without a good answer."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def is_ready(self) -> bool:
        try:
            await self._request("GET", "/readyz")
        except Unavailable:
            return False
        return True

    async def get(self, path: str) -> Document | None:
        """Return the object or list at *path*; None where there is none."""
        return await self._request("GET", path)

    async def items(self, path: str) -> Sequence[Document]:
        found = await self.get(path)
        return [] if found is None else list(found.get("items") or [])

    async def watch(self, path: str, version: str) -> AsyncIterator[bytes]:
        """Yield what changes at *path* after *version*, an event a line, until the server ends."""
        query = f"watch=true&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}"
        url = f"{self._server}{path}?{query}"
        try:
            async with self._session.get(url, timeout=_WATCH_TIMEOUT) as answer:
                async for line in answer.content:
                    yield line
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as broken:
            raise Unavailable(f"the watch of {path} broke: {broken!r}") from broken

    async def apply_text(self, path: str, text: bytes) -> None:
        """Make the object at *path* what the YAML *text* says (server-side apply)."""
        await self._apply(path, text)

    async def apply(self, path: str, document: Document) -> None:
        """Make the object at *path* have what *document* says (server-side apply)."""
        await self._apply(path, json.dumps(document).encode())

    async def _apply(self, path: str, text: bytes) -> None:
        query = f"fieldManager={FIELD_MANAGER}&force=true"
        content = {"Content-Type": "application/apply-patch+yaml"}
        await self._request("PATCH", f"{path}?{query}", text, content)

    async def merge(self, path: str, document: Document) -> None:
        """Change what *document* has of the object at *path*."""
        content = {"Content-Type": "application/merge-patch+json"}
        await self._request("PATCH", path, json.dumps(document).encode(), content)

    async def _request(
        self, method: str, path: str, body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document | None:  # fmt: skip
        try:
            async with self._session.request(
                method, self._server + path, data=body, headers=headers, timeout=_TIMEOUT
            ) as answer:
                content = await read_bounded(answer, at_most=_ANSWER_BYTES_MAX)
                is_json = answer.content_type == "application/json"
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            raise Unavailable(f"the API server does not answer {path}: {failed!r}") from failed
        if answer.status == _NOT_FOUND and method == "GET":
            return None
        if answer.status >= _ERRORS:
            text = content[:500].decode(errors="replace")
            raise Unavailable(f"the API server answers {answer.status} to {path}: {text}")
        try:
            return json.loads(content) if is_json else {}
        except ValueError as broken:
            raise Unavailable(f"the API server answers no JSON to {path}: {broken}") from broken


@asynccontextmanager
async def administrator(folder: ClusterFolder, server: str) -> AsyncIterator[KubernetesApi]:
    """Yield the API of *server* for the administrator of the cluster in *folder*."""
    context = await asyncio.to_thread(_client_context, folder)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(
        connector=connector, read_bufsize=_LINE_BYTES_MAX // 2
    ) as session:
        yield KubernetesApi(session, server)


def _client_context(folder: ClusterFolder) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder.certificate("ca")))
    context.load_cert_chain(folder.certificate("kubelet-client"), folder.key("kubelet-client"))
    return context
