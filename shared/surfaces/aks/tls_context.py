"""Whom we believe to be an API server, and the certificate that we show it."""

import ssl
import tempfile
from pathlib import Path

from shared.kernel.trust import trusting
from shared.surfaces.aks.cluster_errors import ClusterRefused
from shared.surfaces.aks.kubeconfig import UserProof


def tls_context(authority: str | None, proof: UserProof, ca_file: Path | None) -> ssl.SSLContext:
    """Return the context of a client that trusts *authority* alone, and shows that of *proof*.

    Without an authority it trusts *ca_file* and the machine's.

    Raises:
        ClusterRefused: one of them is no PEM, or the key is not that of the certificate.
        Unavailable: *ca_file* cannot be read.
    """
    if authority is None:
        context = trusting(ca_file)
    else:
        # No default context: from Python 3.13 that is strict about extensions which certificates
        # that clusters sign for themselves may lack.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError) as problem:
            raise ClusterRefused("the cluster's certificate authority is no PEM") from problem
    if proof.certificate is not None and proof.key is not None:
        _load(context, proof.certificate, proof.key)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL takes a key from a file only; this one has mode 0600 and ends at once.
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name, password=_no_password)
        except (ssl.SSLError, ValueError) as problem:
            raise ClusterRefused(
                "the client certificate and its key are no pair in PEM, without a password"
            ) from problem


def _no_password() -> str:
    """Keep OpenSSL from asking the terminal."""
    raise ValueError("the key has a password")
