"""Whether an image was signed with one of the keys that are trusted: cosign's simple signing.

cosign puts a signature beside the image: a manifest under the tag `sha256-<hex>.sig`, or among the
referrers of its digest. Each layer is a payload that names the digest, and has its signature as an
annotation:
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. Other kinds (Notary Project,
bundles of Sigstore with certificates) are named where they are found, and never taken for one.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from shared.images.port import ImageMissing, Images
from shared.images.reference import ImageReference
from shared.kernel.errors import Invalid, Violation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

PAYLOAD_MAX: Final = 64 * 1024
SIGNATURES_MAX: Final = 20
"""Looked at of one image; each is a request or two."""
COSIGN: Final = "application/vnd.dev.cosign.artifact.sig.v1+json"
_SIMPLE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION: Final = "dev.cosignproject.cosign/signature"
_TYPE: Final = "cosign container image signature"
_OTHERS: Final[Mapping[str, str]] = {
    "application/vnd.cncf.notary.signature": "Notary Project",
    "application/vnd.dev.sigstore.bundle": "Sigstore bundle",
}
"""Kinds of signatures that are not verified here, by the start of their type."""
_RSA_LEAST_BITS: Final = 2048


@dataclass(frozen=True)
class _Signature:
    payload: bytes
    value: bytes


async def signature_fault(
    images: Images, reference: ImageReference, keys: Sequence["PublicKey"], *, at: str
) -> Violation | None:
    """Return why *reference*, by digest, counts as not signed with one of *keys*; None if it is.

    *at* is its place in the command.

    Raises:
        ImageDenied, Unavailable: as `Images`; nothing is known then.
    """
    found, others = 0, set[str]()
    async for signature in _signatures(images, reference, others):
        found += 1
        if _names(signature.payload, reference) and any(_is_of(key, signature) for key in keys):
            return None
    expected = "a signature by cosign with a key of RUNTIME_IMAGE_RULES"
    if found:
        message = f"{reference} has {found} signatures, and none is of a key that is trusted here"
        return Violation("SignatureInvalid", at, message, expected, str(found))
    if others:
        kinds = ", ".join(sorted(others))
        message = f"{reference} is signed by {kinds}, which is not verified here"
        return Violation("SignatureNotSupported", at, message, expected, kinds)
    message = f"{reference} is not signed"
    return Violation("SignatureMissing", at, message, expected, "nothing")


def read_public_key(pem: str) -> "PublicKey":
    """Return the key of *pem*, as `cosign generate-key-pair` writes `cosign.pub`.

    Raises:
        Invalid: it is none, or one that cosign does not sign with.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  heavy: where used
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_public_key,
    )

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_LEAST_BITS:
        return key
    raise Invalid(
        "expected a public key in PEM: of an elliptic curve, Ed25519, or RSA of 2048 bits"
    )


async def _signatures(
    images: Images, reference: ImageReference, others: set[str]
) -> AsyncIterator[_Signature]:
    """Yield cosign's signatures of *reference*; put the names of other kinds into *others*."""
    digest = str(reference.digest)
    places = [replace(reference, tag=f"{digest.replace(':', '-')}.sig", digest=None)]
    for referrer in await images.referrers(reference):
        if referrer.artifact_type == COSIGN:
            places.append(replace(reference, tag=None, digest=referrer.digest))
        others |= {
            name for kind, name in _OTHERS.items() if referrer.artifact_type.startswith(kind)
        }
    left = SIGNATURES_MAX
    for place in places[:SIGNATURES_MAX]:
        try:
            layers = _layers((await images.manifest(place)).body)
        except ImageMissing:
            continue
        for layer in layers[:left]:
            left -= 1
            signature = await _signature(images, reference, layer)
            if signature is not None:
                yield signature


async def _signature(
    images: Images, reference: ImageReference, layer: Mapping[str, Any]
) -> _Signature | None:
    annotations = layer.get("annotations")
    text = annotations.get(_ANNOTATION) if isinstance(annotations, dict) else None
    if layer.get("mediaType") != _SIMPLE or not isinstance(text, str):
        return None
    try:
        value = base64.b64decode(text, validate=True)
        payload = await images.blob(reference, str(layer.get("digest")), at_most=PAYLOAD_MAX)
    except (binascii.Error, ImageMissing):
        return None
    return _Signature(payload, value)


def _layers(manifest: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        found = from_json(manifest)
    except ValueError:
        return []
    layers = found.get("layers") if isinstance(found, dict) else None
    return [each for each in layers if isinstance(each, dict)] if isinstance(layers, list) else []


def _names(payload: bytes, reference: ImageReference) -> bool:
    """Return whether *payload* says that it is the signature of the digest of *reference*."""
    try:
        critical = from_json(payload)["critical"]
        return bool(
            critical["type"] == _TYPE
            and critical["image"]["docker-manifest-digest"] == reference.digest
        )
    except (KeyError, TypeError, ValueError):
        return False


def _is_of(key: "PublicKey", signature: _Signature) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  heavy: where used
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature.value, signature.payload, ec.ECDSA(SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.value, signature.payload, padding.PKCS1v15(), SHA256())
        else:
            key.verify(signature.value, signature.payload)
    except InvalidSignature:
        return False
    return True
