"""Every component of a cluster shows a certificate, and no key is read by another user."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from local_cluster.certificates import issue, new_authority
from local_cluster.cluster_folder import ClusterFolder
from local_cluster.credentials import write_credentials

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SERVER = "https://10.240.0.1:20000"


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    folder = ClusterFolder(tmp_path)
    write_credentials(folder, SERVER, {"node1": "10.240.1.1"}, ("10.240.0.1", "10.96.0.1"), NOW)
    return folder


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def hosts(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def test_every_certificate_is_signed_by_the_clusters_authority(folder: ClusterFolder) -> None:
    authority = read(folder.certificate("ca"))

    for name in ("apiserver", "etcd", "kubelet-client", "node1"):
        read(folder.certificate(name)).verify_directly_issued_by(authority)


def test_who_speaks_for_others_has_an_authority_of_its_own(folder: ClusterFolder) -> None:
    front_proxy = read(folder.certificate("front-proxy"))

    front_proxy.verify_directly_issued_by(read(folder.certificate("front-proxy-ca")))
    with pytest.raises(ValueError, match="issuer"):
        front_proxy.verify_directly_issued_by(read(folder.certificate("ca")))


def test_the_api_server_is_known_by_its_addresses_and_by_its_service(folder: ClusterFolder) -> None:
    known = hosts(read(folder.certificate("apiserver")))

    assert {"10.240.0.1", "10.96.0.1", "kubernetes.default.svc"} <= set(known)


def test_a_node_is_a_user_of_its_own_and_a_server_at_its_address(folder: ClusterFolder) -> None:
    config = json.loads((folder.nodes / "node1" / "kubeconfig").read_bytes())
    shown = base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
    subject = x509.load_pem_x509_certificate(shown).subject

    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:node1"
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [group.value for group in groups] == ["system:nodes"]
    assert hosts(read(folder.certificate("node1"))) == ["node1", "10.240.1.1"]


def test_nobody_else_reads_a_key(folder: ClusterFolder) -> None:
    modes = {path.stat().st_mode & 0o777 for path in folder.path.rglob("*") if path.is_file()}

    assert modes == {0o600}


def test_a_certificate_is_valid_though_clocks_differ() -> None:
    made = issue(new_authority("an authority", NOW), "a user", NOW).certificate

    assert made.not_valid_before_utc <= NOW - timedelta(minutes=5)
    assert made.not_valid_after_utc >= NOW + timedelta(days=30)
