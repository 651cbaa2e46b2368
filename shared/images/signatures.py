"""Whether an image was signed with one of the keys that are trusted: cosign's simple signing.

cosign puts a signature beside the image: a manifest under the tag `sha256-<hex>.sig`, or among the
referrers of its digest. Each layer is a payload that names the digest, and has its signature as an
annotation:
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. Other kinds (Notary Project,
bundles of Sigstore with certificates) are named where they are found, and never taken for one.
"""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from shared.images.port import ImageMissing, Images, ImageUnreadable
from shared.images.reference import ImageReference
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Violation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

PAYLOAD_MAX: Final = 64 * 1024
SIGNATURES_MAX: Final = 100
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


@dataclass
class _Rest:
    """What there is of an image besides signatures that could be looked at."""

    others: set[str] = field(default_factory=set)
    """The names of other kinds."""
    unread: int = 0
    """Whoever may push can put defective ones beside a good one."""

    def __str__(self) -> str:
        return f"; {self.unread} more could not be read" if self.unread else ""


async def signature_fault(
    images: Images, reference: ImageReference, keys: Sequence["PublicKey"], *, at: str
) -> Violation | None:
    """Return why *reference*, by digest, counts as not signed with one of *keys*; None if it is.

    *at* is its place in the command.

    Raises:
        ImageDenied, Unavailable: as `Images`; nothing is known then.
    """
    found, rest = 0, _Rest()
    async for signature in _signatures(images, reference, rest):
        found += 1
        if _names(signature.payload, reference) and any(_is_of(key, signature) for key in keys):
            return None
    expected = "a signature by cosign with a key of RUNTIME_IMAGE_RULES"
    if found:
        message = (
            f"{reference} has {found} signatures, and none is of a key that is trusted here{rest}"
        )
        return Violation("SignatureInvalid", at, message, expected, str(found))
    if rest.others:
        kinds = ", ".join(sorted(rest.others))
        message = f"{reference} is signed by {kinds}, which is not verified here{rest}"
        return Violation("SignatureNotSupported", at, message, expected, kinds)
    message = f"{reference} is not signed{rest}"
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
    images: Images, reference: ImageReference, rest: _Rest
) -> AsyncIterator[_Signature]:
    """Yield cosign's signatures of *reference*; put what else there is into *rest*."""
    digest, left = str(reference.digest), SIGNATURES_MAX
    places = [replace(reference, tag=f"{digest.replace(':', '-')}.sig", digest=None)]
    try:
        referrers = await images.referrers(reference)
    except ImageUnreadable:
        referrers, rest.unread = [], 1
    for referrer in referrers:
        if referrer.artifact_type == COSIGN:
            places.append(replace(reference, tag=None, digest=referrer.digest))
        rest.others |= {
            name for kind, name in _OTHERS.items() if referrer.artifact_type.startswith(kind)
        }
    for place in places:
        try:
            layers = _layers((await images.manifest(place)).body)
        except ImageMissing:
            continue
        except ImageUnreadable:
            layers, rest.unread = [], rest.unread + 1
        for layer, text in layers:
            signature = await _signature(images, reference, layer, text) if left > 0 else None
            left -= 1
            if signature is None:
                rest.unread += 1
            else:
                yield signature


async def _signature(
    images: Images, reference: ImageReference, layer: Mapping[str, Any], text: str
) -> _Signature | None:
    """Return the signature *text* of the payload that is *layer*; None for one with a defect."""
    try:
        value = base64.b64decode(text, validate=True)
        payload = await images.blob(reference, str(layer.get("digest")), at_most=PAYLOAD_MAX)
    except (ValueError, ImageMissing, ImageUnreadable):
        return None
    return _Signature(payload, value)


def _layers(manifest: bytes) -> Sequence[tuple[Mapping[str, Any], str]]:
    """Return the layers of *manifest* that say that they are signed, with their signature."""
    try:
        found = from_json(manifest)
    except ValueError:
        return []
    listed = found.get("layers") if isinstance(found, dict) else None
    layers = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    texts = [(each, _text(each)) for each in layers if each.get("mediaType") == _SIMPLE]
    return [(layer, text) for layer, text in texts if text is not None]


def _text(layer: Mapping[str, Any]) -> str | None:
    annotations = layer.get("annotations")
    text = annotations.get(_ANNOTATION) if isinstance(annotations, dict) else None
    return text if isinstance(text, str) else None


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
