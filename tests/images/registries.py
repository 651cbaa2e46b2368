"""A registry on this machine that asks for credentials in each of the ways that registries have."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from shared.images.media_types import MANIFEST
from shared.images.reference import ImageReference, parse_reference
from shared.images.registries import Credential, Registries
from shared.images.registry_authorization import RegistryAuthorization
from shared.images.registry_client import RegistryClient
from shared.images.registry_connection import RegistryConnection
from shared.kernel.clock import Clock, SystemClock
from shared.probing.guard import LOOPBACK
from tests.kit.memory_images import manifest_of

REPOSITORY: Final = "team/web"
CONTENT: Final = manifest_of("an image")
INDEX_CONTENT: Final = json.dumps(
    {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "digest": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
                "size": len(CONTENT),
                "platform": {"os": "linux", "architecture": "amd64"},
            }
        ],
    }
).encode()
DIGEST: Final = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Registry:
    """One registry: its manifests by tag and digest, its blobs, and how it asks who is there.

    `challenge` is what it asks with, empty for nobody; `takes` is the `Authorization` it accepts.
    """

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    """By path: what it answers instead."""
    challenge: str = ""
    takes: str = ""
    tells_digest: bool = True
    host: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by method and path."""
    told: list[str] = field(default_factory=list)
    """Every `Authorization` it was sent, in order."""

    def put(self, tag: str, content: bytes = CONTENT, media_type: str = MANIFEST) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.manifests[tag] = self.manifests[digest] = (media_type, content)
        return digest

    def put_blob(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def reference(self, version: str = ":1") -> ImageReference:
        return parse_reference(f"{self.host}/{REPOSITORY}{version}")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked[f"{request.method} {request.path}"] += 1
        self.told += request.headers.getall("Authorization", [])
        if request.path in self.answers:
            return await self.answers[request.path](request)
        if self.challenge and request.headers.get("Authorization") != self.takes:
            return web.Response(status=401, headers={"WWW-Authenticate": self.challenge})
        kind, _, name = request.path.removeprefix(f"/v2/{REPOSITORY}/").partition("/")
        if kind == "manifests" and name in self.manifests:
            media_type, content = self.manifests[name]
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            told = {"Docker-Content-Digest": digest} if self.tells_digest else {}
            return web.Response(body=content, headers={"Content-Type": media_type, **told})
        if kind == "blobs" and name in self.blobs:
            return web.Response(body=self.blobs[name])
        return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)


@asynccontextmanager
async def serving(registry: Registry, ssl: Any = None) -> AsyncIterator[Registry]:
    """Let *registry* answer on a port of 127.0.0.1."""
    server = web.Server(registry.handle)
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl)
        await site.start()
        registry.host = f"127.0.0.1:{runner.addresses[0][1]}"
        yield registry
    finally:
        await runner.cleanup()


def client(
    credentials: Mapping[str, Credential] | None = None,
    *,
    clock: Clock | None = None,
    identity: Any = None,
    timeout_s: float = 10.0,
    ca_file: Path | None = None,
    **connection: Any,
) -> RegistryClient:
    """Return a client that may ask this machine."""
    allowed = {"plain_loopback": True, "networks": LOOPBACK, **connection}
    return RegistryClient(
        RegistryAuthorization(
            RegistryConnection(ca_file=ca_file, **allowed),
            Registries(credentials or {}),
            clock or SystemClock(),
            identity,
        ),
        timeout_s=timeout_s,
    )


def json_answer(body: object, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def status_answer(status: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, headers=named)

    return answer


def jwt(expires_at: float) -> str:
    """Return text of the form of a JSON web token, which nobody verifies."""
    body = base64.urlsafe_b64encode(json.dumps({"exp": expires_at}).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"
