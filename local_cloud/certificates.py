"""A certificate authority of this machine, and the server certificate of the local cloud.

The authority signs for this machine's loopback names only: whoever trusts it, and even whoever
steals its key, gets no other name by it (RFC 5280, 4.2.1.10).
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.kernel.clock import Clock
from shared.persistence.disk_errors import reason_of
from shared.persistence.plain_files import read_plain, write_private
from shared.vault.vault_uris import LOCAL_SUFFIX

_log = logging.getLogger(__name__)
AUTHORITY_LIFE: Final = timedelta(days=3650)
SERVER_LIFE: Final = timedelta(days=90)
RENEWED_BEFORE: Final = timedelta(days=30)
"""A certificate that ends sooner is replaced."""
CHECK_EVERY_S: Final = 12 * 3600.0
_SET_BACK: Final = timedelta(hours=1)
"""Valid that long before it was made: clocks differ."""
_LOOPBACK: Final = IPv4Address("127.0.0.1")
_NAMES: Final = (
    x509.DNSName("localhost"), x509.DNSName(f"*.{LOCAL_SUFFIX}"), x509.IPAddress(_LOOPBACK),
)  # fmt: skip
"""Of the server; all lie in what the authority signs for."""


@dataclass(frozen=True)
class _Pair:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True)
class LocalCertificates:
    """Keys and certificates in *folder*, mode 0600, made and renewed when they are asked for."""

    folder: Path
    clock: Clock

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, for clients to trust; there once `server_context` ran."""
        return self.folder / "ca.pem"

    def server_context(self) -> ssl.SSLContext:
        """Return the context of a server on localhost, below vault.localhost and on 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._server_file(self.clock.now()))
        return context

    async def keep_fresh(self, context: ssl.SSLContext) -> None:
        """Renew the certificate of a server that runs for months, until cancelled."""
        while True:
            await self.clock.sleep(CHECK_EVERY_S)
            now = self.clock.now()
            try:
                context.load_cert_chain(await asyncio.to_thread(self._server_file, now))
            except OSError as problem:
                _log.warning("the server's certificate stays as it is: %s", reason_of(problem))

    def _server_file(self, now: datetime) -> Path:
        """Return the file of a key and a certificate that is valid, and not about to end."""
        authority = self._authority(now)
        path = self.folder / "server.pem"
        server = _read(path)
        if (
            server is None
            or _is_due(server, now)
            or not _is_signed_by(server, authority)
            or not _has_all_names(server)
        ):
            write_private(path, _pem(_new_server(authority, now)))
        return path

    def _authority(self, now: datetime) -> _Pair:
        path = self.folder / "authority.pem"
        known = _read(path)
        if known is None or _is_due(known, now, AUTHORITY_LIFE / 10):
            known = _new_authority(now)
            write_private(path, _pem(known))
        shown = known.certificate.public_bytes(serialization.Encoding.PEM)
        if not self.ca_file.exists() or self.ca_file.read_bytes() != shown:
            write_private(self.ca_file, shown)
        return known


def _is_due(pair: _Pair, now: datetime, before: timedelta = RENEWED_BEFORE) -> bool:
    """Return whether it ends in less than *before*, or was made by a clock that was ahead."""
    made = pair.certificate
    return now + before >= made.not_valid_after_utc or now < made.not_valid_before_utc


def _new_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Factory Runtime local cloud")
    permitted = [x509.DNSName("localhost"), x509.IPAddress(IPv4Network(f"{_LOOPBACK}/32"))]
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage(key_cert_sign=True, crl_sign=True), True),
        (x509.NameConstraints(permitted, None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    )
    builder = _builder(name, name, key, now, AUTHORITY_LIFE, extensions)
    return _Pair(key, builder.sign(key, hashes.SHA256()))


def _new_server(authority: _Pair, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName(_NAMES), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_usage(digital_signature=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (by, False),
    )
    builder = _builder(_name("localhost"), issuer, key, now, SERVER_LIFE, extensions)
    return _Pair(key, builder.sign(authority.key, hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SET_BACK)
        .not_valid_after(now + life)
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(pair: _Pair) -> bytes:
    key = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key + pair.certificate.public_bytes(serialization.Encoding.PEM)


def _read(path: Path) -> _Pair | None:
    """Return the key and certificate in *path*; None where they are absent or damaged."""
    try:
        content = read_plain(path)
        key = serialization.load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(content)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return _Pair(key, certificate) if key.public_key() == certificate.public_key() else None


def _has_all_names(server: _Pair) -> bool:
    """Return whether it has the names of now: one of an earlier version may have fewer."""
    names = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return list(names.value) == list(_NAMES)


def _is_signed_by(server: _Pair, authority: _Pair) -> bool:
    try:
        server.certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError):
        return False
    return True
