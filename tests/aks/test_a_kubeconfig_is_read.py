"""Of a kubeconfig is taken what runs no program and believes nobody unproved."""

import json
import logging
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.certificates import LocalCertificates
from shared.composition.cluster import open_cluster
from shared.composition.parts import PartNotSupported
from shared.composition.settings import InvalidSetting, read_settings
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.surfaces.aks.bearer_tokens import TokenFile
from shared.surfaces.aks.cluster_access import KubeconfigSource
from shared.surfaces.aks.cluster_errors import ClusterRefused
from shared.surfaces.aks.kubeconfig import BYTES_MAX, UserProof, parsed_context, read_context
from shared.surfaces.aks.tls_context import tls_context
from tests.kit.managed_aks import AheadClock, client_pair, kubeconfig

TOKEN = {"token": "s3cret"}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a kubeconfig of one context, changed as a test says, and return its path."""
    certificates = LocalCertificates(tmp_path / "certificates", SystemClock())
    certificates.server_context()

    def written(user: Any = TOKEN, server: Any = "https://127.0.0.1:6443", **cluster: Any) -> Path:
        config = kubeconfig(server, certificates.ca_file, user)
        config["clusters"][0]["cluster"] |= cluster
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    return written


def test_the_current_context_is_read(write: Write) -> None:
    context = read_context(write(server="https://127.0.0.1:6443/k8s/"))

    address = context.address()
    assert (address.server, address.namespace) == ("https://127.0.0.1:6443/k8s", "default")
    assert (address.authority or "").startswith("-----BEGIN CERTIFICATE-----")
    assert context.proof() == UserProof("s3cret")
    assert "s3cret" not in f"{context!r} {context.proof()!r}"


def test_another_context_is_chosen_by_its_name(write: Write) -> None:
    path = write()
    config = json.loads(path.read_text())
    config["contexts"].append(
        {"name": "other", "context": {"cluster": "shop", "namespace": "tools"}}
    )
    path.write_text(json.dumps(config))

    context = read_context(path, "other")

    assert (context.address().namespace, context.proof()) == ("tools", UserProof())
    with pytest.raises(ClusterRefused, match="no context 'absent'"):
        read_context(path, "absent")


def test_paths_count_from_the_folder_of_the_file(write: Write, tmp_path: Path) -> None:
    certificate, key = client_pair()
    (tmp_path / "client.pem").write_text(certificate)
    (tmp_path / "link.key").symlink_to(tmp_path / "client.key")
    (tmp_path / "client.key").write_text(key)
    user = {"client-certificate": "client.pem", "client-key": "link.key", "tokenFile": "token"}

    proof = read_context(write(user)).proof()

    assert (proof.certificate, proof.key) == (certificate, key)
    assert proof.token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"exec": {"command": "kubelogin"}}, "exec is not supported.*RUNTIME_AKS_CLUSTER_ID"),
        ({"auth-provider": {"name": "azure"}}, "auth-provider is not supported"),
        ({"username": "s3cret", "password": "s3cret"}, "username is not supported: use a token"),
        ({"as": "admin", **TOKEN}, "as is not supported: bind the roles"),
        ({"color": "red"}, "color is not a field that is read"),
        ({"client-certificate-data": "LQ=="}, "belong together"),
        ({"client-certificate": "absent.pem"}, "absent.pem cannot be read"),
        ({"client-key-data": "no base64!"}, "expected PEM"),
        ({"client-key-data": "/w=="}, "expected PEM"),
        ({"token": 7}, "token: expected a text"),
        ({"token": "a\nb"}, "token: expected a text"),
    ],
)
def test_a_user_that_is_not_taken_is_refused_with_what_to_do(
    write: Write, user: Any, said: str
) -> None:
    with pytest.raises(ClusterRefused, match=said) as refused:
        read_context(write(user)).proof()
    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify.*authority-data"),
        ({"proxy-url": "http://s3cret@proxy"}, "proxy-url is not supported"),
        ({"tls-server-name": "other"}, "tls-server-name is not supported"),
        ({"server": "http://127.0.0.1:8080"}, "expected https"),
        ({"server": "https://s3cret@host"}, "without user"),
        ({"server": "https:///path"}, "expected https"),
        ({"server": None}, "expected https"),
        ({"server": "https://["}, "expected https"),
        ({"server": "https://host:99999"}, "expected https"),
        ({"server": "https://host:x"}, "expected https"),
        ({"server": "https://host:0"}, "expected https"),
        ({"certificate-authority-data": "AAAA!"}, "expected PEM"),
    ],
)
def test_a_cluster_that_is_not_taken_is_refused_with_what_to_do(
    write: Write, cluster: Any, said: str
) -> None:
    with pytest.raises(ClusterRefused, match=said) as refused:
        read_context(write(**cluster)).address()
    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize(
    "text", ["!!bool s3cret", '!!int ""', "!!timestamp s3cret", "!!float s3cret", "!!set [s3cret]"]
)
def test_odd_tags_are_refused_and_nothing_of_them_is_shown(write: Write, text: str) -> None:
    path = write()
    path.write_text(path.read_text().replace('"s3cret"', text))

    with pytest.raises(ClusterRefused) as refused:
        read_context(path).proof()
    assert "s3cret" not in f"{refused.value.message} {refused.value.__cause__}"


def test_numbers_to_the_base_of_60_take_no_time(write: Write) -> None:
    path = write()
    path.write_text(path.read_text().replace('"s3cret"', "1:" * 60_000 + "1"))
    began_s = process_time()

    with pytest.raises(ClusterRefused, match="token: expected a text"):
        read_context(path).proof()
    assert process_time() - began_s < 1.0


@pytest.mark.parametrize("value", [False, None, ""])
def test_a_field_that_is_off_is_no_reason_to_refuse(write: Write, value: Any) -> None:
    context = read_context(write(**{"insecure-skip-tls-verify": value, "proxy-url": value}))

    assert context.address().server == "https://127.0.0.1:6443"


def test_what_another_context_has_is_not_judged(write: Write) -> None:
    path = write()
    config = json.loads(path.read_text())
    config["users"].append({"name": "other", "user": {"exec": {"command": "anything"}}})
    path.write_text(json.dumps(config))

    assert read_context(path).proof() == UserProof("s3cret")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no kubeconfig"),
        (b"[]", "no kubeconfig"),
        (b"kind: Secret", "no kubeconfig"),
        (b"a: [s3cret", "not YAML"),
        (b"\xff\xfe\xfa", "not YAML"),
        (b"[" * 100_000, "not YAML"),
        (b"kind: Config", "no current-context"),
        (b"current-context: a", "no context 'a'"),
        (b"current-context: a\ncontexts: [{name: a, context: {cluster: [b]}}]", "name of one"),
        (b"current-context: a\ncontexts: [{name: a, context: {namespace: {}}}]", "name of one"),
        (b"current-context: a\ncontexts: [{name: a, context: [b]}]", "no context"),
        (b"#" * (BYTES_MAX + 1), f"more than {BYTES_MAX} bytes"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(content)

    with pytest.raises(ClusterRefused, match=said) as refused:
        read_context(path)
    assert "s3cret" not in refused.value.message


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_content_is_a_defect(content: bytes) -> None:
    with pytest.raises(ClusterRefused):
        parsed_context(content, source="it")


def test_aliases_that_would_be_gigabytes_are_not_written_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
    lines += ["current-context: a", "contexts: [{name: a, context: {cluster: *a11, user: *a11}}]"]
    path = tmp_path / "kubeconfig"
    path.write_text("\n".join(lines))

    with pytest.raises(ClusterRefused, match="name of one"):
        read_context(path)


@pytest.mark.parametrize("kind", ["absent", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "absent"

    with pytest.raises(ClusterRefused, match="there is no such file"):
        read_context(path)


def test_a_file_that_everybody_can_read_is_named(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = write()
    with caplog.at_level(logging.WARNING):
        read_context(path)
        assert caplog.messages == []
        path.chmod(0o644)
        read_context(path)

    assert caplog.messages == [f"everybody on this machine can read {path}: chmod 600 {path}"]


async def test_a_token_file_is_read_again(tmp_path: Path) -> None:
    path, clock = tmp_path / "token", AheadClock()
    path.write_text("first\n")
    tokens = TokenFile(path, clock)

    assert await tokens.token() == "first"
    path.write_text("second")
    assert await tokens.token() == "first"
    clock.ahead_s += 11
    assert await tokens.token() == "second"
    assert await tokens.renewed("second") is None
    path.write_text("third")
    assert await tokens.renewed("second") == "third"


@pytest.mark.parametrize("content", [None, b"", b"a b", b"\xff", b"a\nb", b"t" * (BYTES_MAX + 1)])
async def test_a_token_file_without_a_token_is_unavailable(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)

    with pytest.raises(Unavailable, match="token file"):
        await TokenFile(tmp_path / "token", AheadClock()).token()


def test_only_the_authority_of_the_cluster_is_trusted(write: Write) -> None:
    context = tls_context(read_context(write()).address().authority, UserProof(), None)

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [dict(part[0] for part in each["subject"]) for each in context.get_ca_certs()] == [
        {"commonName": "Factory Runtime local cloud"}
    ]


def test_a_certificate_and_its_key_are_loaded_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    certificate, key = client_pair()

    tls_context(certificate, UserProof(certificate=certificate, key=key), None)

    other = client_pair()[1]
    for wrong in (other, "s3cret"):
        with pytest.raises(ClusterRefused, match="no pair") as refused:
            tls_context(certificate, UserProof(certificate=certificate, key=wrong), None)
        assert "s3cret" not in refused.value.message
    assert tempfile.gettempdir() == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("authority", ["", "s3cret"])
def test_an_authority_that_is_none_is_refused(authority: str) -> None:
    with pytest.raises(ClusterRefused, match="no PEM"):
        tls_context(authority, UserProof(), None)


def test_settings_open_the_cluster_of_a_file(write: Write) -> None:
    environ = {"RUNTIME_PROFILE": "local", "RUNTIME_KUBECONFIG": str(write())}

    access = open_cluster(read_settings(environ), _no_credential, SystemClock())

    assert isinstance(access._source, KubeconfigSource)


def test_a_wrong_kubeconfig_stops_the_start_with_its_setting(write: Write) -> None:
    path = write({"exec": {"command": "kubelogin"}})
    settings = read_settings({"RUNTIME_PROFILE": "local", "RUNTIME_KUBECONFIG": str(path)})

    with pytest.raises(InvalidSetting, match=r"RUNTIME_KUBECONFIG: .*exec is not supported"):
        open_cluster(settings, _no_credential, SystemClock())


def test_a_certificate_that_is_none_stops_the_start(write: Write) -> None:
    user = {"client-certificate-data": "LQ==", "client-key-data": "LQ=="}
    environ = {"RUNTIME_PROFILE": "local", "RUNTIME_KUBECONFIG": str(write(user))}

    with pytest.raises(InvalidSetting, match="no pair in PEM"):
        open_cluster(read_settings(environ), _no_credential, SystemClock())


def test_without_a_cluster_the_settings_that_name_one_are_said() -> None:
    settings = read_settings({"RUNTIME_PROFILE": "local"})

    with pytest.raises(PartNotSupported, match="RUNTIME_AKS_CLUSTER_ID, or RUNTIME_KUBECONFIG"):
        open_cluster(settings, _no_credential, SystemClock())


def _no_credential() -> Any:
    raise AssertionError("a kubeconfig needs no identity")
