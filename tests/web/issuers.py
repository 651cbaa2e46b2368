"""Issuers on this machine: discovery and key sets over real TLS, by a certificate authority."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.probing.guard import LOOPBACK
from shared.web.discovery import DiscoveredKeys

NAMES: Final = (
    "login.test", "other.test", "sts.windows.net", "login.windows.net", "login.microsoftonline.com",
)  # fmt: skip
DIRECTORY: Final = "6f1b3c1e-1f0a-4f4e-9a55-2f9a1c3d7e01"
OTHER_DIRECTORY: Final = "9d2c7a40-77aa-4f0b-8a3f-0c1d2e3f4a5b"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Authority:
    """A certificate authority, and the folder with its certificate in `ca.pem`."""

    folder: Path
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: x509.Name = field(
        default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's CA")])
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = self._builder(self.name, self.key).add_extension(basic, critical=True)
        certificate = builder.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def server_context(self, names: Sequence[str] = NAMES) -> ssl.SSLContext:
        """Return the context of a server with *names*, and 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuers of a test")])
        alternatives = [*map(x509.DNSName, names), x509.IPAddress(ip_address("127.0.0.1"))]
        issued = (
            self._builder(subject, key)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file = self.folder / "server.pem"
        file.write_bytes(issued.public_bytes(serialization.Encoding.PEM) + pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
        now = datetime.now(UTC)  # noqa: TID251  the library of TLS reads the machine's clock
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(authority, critical=False)
        )


@dataclass
class Issuers:
    """What a server answers below each path, and how often it was asked for each."""

    authority: Authority
    scheme: str = "https"
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the answers that hang."""
    port: int = 0

    def url(self, path: str, host: str = "login.test") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def add(
        self, issuer: str, keys: list[dict[str, Any]], *, key_url: str = "", **headers: str
    ) -> None:
        """Serve discovery and key set of *issuer*; *keys* may be changed afterwards."""
        path = "/" + issuer.split("/", 3)[3].rstrip("/")
        url = key_url or self.url(f"{path}/keys", urlsplit(issuer).hostname or "")
        found = {"issuer": issuer, "jwks_uri": url, "token_endpoint": f"{issuer}/token"}
        self.answers[f"{path}/.well-known/openid-configuration"] = a_json(found)
        self.answers["/" + url.split("/", 3)[3]] = a_json({"keys": keys}, **headers)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        answer = self.answers.get(request.path)
        return web.Response(status=404) if answer is None else await answer(request)

    @property
    def asked_for_keys(self) -> int:
        return sum(count for path, count in self.asked.items() if "well-known" not in path)

    def source(self, **changes: Any) -> DiscoveredKeys:
        """Return keys that trust the authority, and find all names on this machine."""
        how = {"networks": LOOPBACK, "ca_file": self.authority.file, "resolve": resolve_here}
        return DiscoveredKeys(**(how | changes))


def a_json(document: Any, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(document, headers=sent)

    return answer


async def resolve_here(host: str) -> Sequence[str]:
    return ["127.0.0.1"] if host in NAMES else []


@asynccontextmanager
async def issuers(folder: Path, *, scheme: str = "https") -> AsyncIterator[Issuers]:
    """Serve on a free port of this machine."""
    served = Issuers(Authority(folder), scheme)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        context = served.authority.server_context() if scheme == "https" else None
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        served.port = runner.addresses[0][1]
        yield served
    finally:
        served.released.set()
        await runner.cleanup()
