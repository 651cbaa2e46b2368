"""The certificates of one machine: of loopback names only, kept, renewed before they end."""

import asyncio
import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from local_cloud.certificates import (
    AUTHORITY_LIFE,
    RENEWED_BEFORE,
    SERVER_LIFE,
    LocalCertificates,
    _Pair,
    _read,
)
from tests.kit.stores import HandClock
from tests.kit.virtual_time import LoopClock, run_virtual


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def certificates(tmp_path: Path, clock: HandClock) -> LocalCertificates:
    return LocalCertificates(tmp_path / "certificates", clock)


def pair(certificates: LocalCertificates, name: str) -> _Pair:
    found = _read(certificates.folder / f"{name}.pem")
    assert found is not None
    return found


def content(certificates: LocalCertificates) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in certificates.folder.iterdir()}


def verify(certificates: LocalCertificates, subject: x509.GeneralName) -> None:
    """Raises VerificationError where the server's certificate is not good for *subject*."""
    assert isinstance(subject, x509.DNSName | x509.IPAddress)
    authority = x509.load_pem_x509_certificate(certificates.ca_file.read_bytes())
    policy = PolicyBuilder().store(Store([authority])).time(certificates.clock.now())
    verifier = policy.build_server_verifier(subject)
    verifier.verify(pair(certificates, "server").certificate, [])


def test_a_server_is_trusted_by_its_loopback_names(certificates: LocalCertificates) -> None:
    certificates.server_context()

    server = pair(certificates, "server").certificate
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "*.vault.localhost"]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["127.0.0.1"]
    verify(certificates, x509.DNSName("localhost"))
    with pytest.raises(VerificationError):
        verify(certificates, x509.DNSName("example.com"))


def test_the_authority_can_vouch_for_no_other_name(certificates: LocalCertificates) -> None:
    certificates.server_context()

    authority = pair(certificates, "authority").certificate
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)

    assert constraints.critical
    assert constraints.value.permitted_subtrees is not None
    assert [str(name.value) for name in constraints.value.permitted_subtrees] == [
        "localhost",
        "127.0.0.1/32",
    ]


def test_keys_are_only_their_owners(certificates: LocalCertificates) -> None:
    certificates.server_context()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in certificates.folder.iterdir()}

    assert modes == {"authority.pem": 0o600, "server.pem": 0o600, "ca.pem": 0o600}
    assert b"PRIVATE" not in certificates.ca_file.read_bytes()


def test_what_was_made_is_kept(certificates: LocalCertificates, clock: HandClock) -> None:
    certificates.server_context()
    made = content(certificates)

    clock.pass_by((SERVER_LIFE - RENEWED_BEFORE).total_seconds() - 1)
    certificates.server_context()

    assert content(certificates) == made


def test_a_certificate_is_renewed_before_it_ends_and_the_authority_stays(
    certificates: LocalCertificates, clock: HandClock
) -> None:
    certificates.server_context()
    made = content(certificates)

    clock.pass_by((SERVER_LIFE - RENEWED_BEFORE).total_seconds())
    certificates.server_context()

    kept = {name for name, bytes_ in content(certificates).items() if bytes_ == made[name]}
    assert kept == {"authority.pem", "ca.pem"}
    assert pair(certificates, "server").certificate.not_valid_after_utc == clock.now() + SERVER_LIFE
    verify(certificates, x509.DNSName("localhost"))


def test_the_authority_is_renewed_before_it_ends(
    certificates: LocalCertificates, clock: HandClock
) -> None:
    certificates.server_context()
    made = content(certificates)

    clock.pass_by((AUTHORITY_LIFE * 0.9).total_seconds())
    certificates.server_context()

    assert all(bytes_ != made[name] for name, bytes_ in content(certificates).items())
    verify(certificates, x509.DNSName("localhost"))


def test_what_a_clock_that_was_ahead_made_is_made_anew(
    certificates: LocalCertificates, clock: HandClock
) -> None:
    clock.pass_by(5 * 3600)
    certificates.server_context()

    clock.pass_by(-5 * 3600)
    certificates.server_context()

    for name in ("authority", "server"):
        assert pair(certificates, name).certificate.not_valid_before_utc <= clock.now()
    verify(certificates, x509.DNSName("localhost"))


@pytest.mark.parametrize("damage", [b"", b"no certificate", None])
@pytest.mark.parametrize("name", ["authority.pem", "server.pem", "ca.pem"])
def test_a_damaged_or_lost_file_is_made_anew(
    certificates: LocalCertificates, name: str, damage: bytes | None
) -> None:
    certificates.server_context()
    if damage is None:
        (certificates.folder / name).unlink()
    else:
        (certificates.folder / name).write_bytes(damage)

    certificates.server_context()

    verify(certificates, x509.DNSName("localhost"))


def test_a_key_of_another_certificate_counts_as_damaged(certificates: LocalCertificates) -> None:
    certificates.server_context()
    authority, server = (certificates.folder / name for name in ("authority.pem", "server.pem"))
    authority.write_bytes(
        server.read_bytes().split(b"-----BEGIN CERT")[0] + certificates.ca_file.read_bytes()
    )

    certificates.server_context()

    verify(certificates, x509.DNSName("localhost"))
    assert isinstance(pair(certificates, "authority").key, ec.EllipticCurvePrivateKey)


def test_a_server_that_runs_for_months_shows_the_new_certificate(tmp_path: Path) -> None:
    async def shown_after(life: timedelta) -> tuple[bytes | None, bytes | None]:
        certificates = LocalCertificates(tmp_path / "certificates", LoopClock())
        context = certificates.server_context()
        first = shown_by(context)
        task = asyncio.create_task(certificates.keep_fresh(context))
        await certificates.clock.sleep(life.total_seconds())
        task.cancel()
        return first, shown_by(context)

    first, last = run_virtual(shown_after(SERVER_LIFE - timedelta(days=1)))

    assert first is not None
    assert last is not None
    assert first != last


def shown_by(context: ssl.SSLContext) -> bytes | None:
    """Return the certificate of a handshake, in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(down, up)
    answering = context.wrap_bio(up, down, server_side=True)
    for _ in range(3):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return asking.getpeercert(binary_form=True)
