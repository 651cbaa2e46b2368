"""An image counts as signed if cosign signed its digest with a key that is trusted."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from shared.images.media_types import INDEX, MANIFEST
from shared.images.reference import ImageReference
from shared.images.signatures import COSIGN, read_public_key, signature_fault
from shared.kernel.errors import Invalid, Unavailable, Violation
from tests.images.registries import REPOSITORY, Registry, client, serving, status_answer

CURVE = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"


def pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def signed(key: Any, payload: bytes) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(payload, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(payload, padding.PKCS1v15(), hashes.SHA256())
    return bytes(key.sign(payload))


def payload_of(digest: str, kind: str = "cosign container image signature") -> bytes:
    critical = {
        "identity": {"docker-reference": ""},
        "image": {"docker-manifest-digest": digest},
        "type": kind,
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def signature_manifest(registry: Registry, key: Any, payload: bytes) -> bytes:
    """Return the manifest that cosign pushes for one signature, its payload put already."""
    text = base64.b64encode(signed(key, payload)).decode()
    layer = {
        "mediaType": SIMPLE,
        "digest": registry.put_blob(payload),
        "size": len(payload),
        "annotations": {"dev.cosignproject.cosign/signature": text},
    }
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]}).encode()


def sign(registry: Registry, digest: str, key: Any, **payload: Any) -> None:
    """Put the signature where cosign puts it by default."""
    content = signature_manifest(registry, key, payload_of(payload.pop("names", digest), **payload))
    registry.put(f"{digest.replace(':', '-')}.sig", content)


async def fault(
    prepare: Callable[[Registry, str], None], *keys: Any
) -> tuple[Violation | None, ImageReference]:
    async with serving(Registry()) as registry:
        digest = registry.put("1")
        prepare(registry, digest)
        reference = registry.reference(f":1@{digest}")
        trusted = [read_public_key(pem(key)) for key in keys or (CURVE,)]
        return await signature_fault(client(), reference, trusted, at="/here"), reference


@pytest.mark.parametrize("key", [CURVE, EDWARDS, RSA], ids=["curve", "edwards", "rsa"])
async def test_a_signature_of_a_trusted_key_is_enough(key: Any) -> None:
    found, _ = await fault(lambda registry, digest: sign(registry, digest, key), OTHER, key)

    assert found is None


async def test_a_signature_among_the_referrers_is_found() -> None:
    def attach(registry: Registry, digest: str) -> None:
        own = registry.put("x", signature_manifest(registry, CURVE, payload_of(digest)))
        rows = [{"digest": own, "artifactType": COSIGN, "mediaType": MANIFEST}]
        body = json.dumps({"schemaVersion": 2, "manifests": rows}).encode()
        registry.put(digest.replace(":", "-"), body, INDEX)  # as a registry of before 1.1 has it

    found, _ = await fault(attach)

    assert found is None


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        pytest.param(lambda *_: None, "SignatureMissing", id="none"),
        pytest.param(lambda r, d: sign(r, d, OTHER), "SignatureInvalid", id="of-another-key"),
        pytest.param(
            lambda r, d: sign(r, d, CURVE, names="sha256:" + "0" * 64),
            "SignatureInvalid",
            id="of-another-image",
        ),
        pytest.param(
            lambda r, d: sign(r, d, CURVE, kind="something else"),
            "SignatureInvalid",
            id="of-another-kind",
        ),
        pytest.param(
            lambda r, d: r.put(f"{d.replace(':', '-')}.sig", b"[1, 2"),
            "SignatureMissing",
            id="no-json",
        ),
        pytest.param(
            lambda r, d: r.put(
                f"{d.replace(':', '-')}.sig", b'{"layers": [{"annotations": 1}, 2]}'
            ),
            "SignatureMissing",
            id="layers-that-are-none",
        ),
    ],
)
async def test_everything_else_is_refused_by_name(
    prepare: Callable[[Registry, str], None], code: str
) -> None:
    found, reference = await fault(prepare)

    assert found is not None
    assert (found.code, found.target) == (code, "/here")
    assert str(reference) in found.message


def layer(registry: Registry, digest: str, key: Any) -> dict[str, Any]:
    (found,) = json.loads(signature_manifest(registry, key, payload_of(digest)))["layers"]
    return dict(found)


def put_layers(registry: Registry, digest: str, layers: list[dict[str, Any]]) -> None:
    registry.put(f"{digest.replace(':', '-')}.sig", json.dumps({"layers": layers}).encode())


def too_long(registry: Registry, digest: str) -> dict[str, Any]:
    payload = registry.put_blob(b"x" * (256 * 1024))
    return {**layer(registry, digest, CURVE), "digest": payload}


def of_letters(registry: Registry, digest: str) -> dict[str, Any]:
    text = {"dev.cosignproject.cosign/signature": "\u00e9"}
    return {**layer(registry, digest, CURVE), "annotations": text}


def not_its_digest(registry: Registry, digest: str) -> dict[str, Any]:
    other = "sha256:" + "1" * 64
    registry.blobs[other] = b"something else"
    return {**layer(registry, digest, CURVE), "digest": other}


@pytest.mark.parametrize("junk", [too_long, of_letters, not_its_digest])
@pytest.mark.parametrize("times", [1, 30])
async def test_defective_signatures_hide_no_good_one(
    junk: Callable[[Registry, str], dict[str, Any]], times: int
) -> None:
    def attach(registry: Registry, digest: str) -> None:
        good = layer(registry, digest, CURVE)
        put_layers(registry, digest, [*[junk(registry, digest)] * times, good])

    found, _ = await fault(attach)

    assert found is None


async def test_what_could_not_be_read_is_counted() -> None:
    def attach(registry: Registry, digest: str) -> None:
        bad = [of_letters(registry, digest), too_long(registry, digest)]
        put_layers(registry, digest, [*bad, layer(registry, digest, OTHER)])

    found, _ = await fault(attach)

    assert found is not None
    assert found.code == "SignatureInvalid"
    assert "2 more could not be read" in found.message


async def test_a_referrer_that_is_not_its_digest_hides_no_good_one() -> None:
    def attach(registry: Registry, digest: str) -> None:
        other = "sha256:" + "1" * 64
        registry.manifests[other] = (MANIFEST, b"{}")
        own = registry.put("x", signature_manifest(registry, CURVE, payload_of(digest)))
        rows = [{"digest": each, "artifactType": COSIGN} for each in (other, own)]
        registry.put(digest.replace(":", "-"), json.dumps({"manifests": rows}).encode(), INDEX)

    found, _ = await fault(attach)

    assert found is None


@pytest.mark.parametrize(
    ("artifact_type", "name"),
    [
        ("application/vnd.cncf.notary.signature", "Notary Project"),
        ("application/vnd.dev.sigstore.bundle.v0.3+json", "Sigstore bundle"),
    ],
)
async def test_kinds_that_are_not_verified_are_named(artifact_type: str, name: str) -> None:
    def attach(registry: Registry, digest: str) -> None:
        rows = [{"digest": digest, "artifactType": artifact_type}]
        registry.put(digest.replace(":", "-"), json.dumps({"manifests": rows}).encode(), INDEX)

    found, _ = await fault(attach)

    assert found is not None
    assert found.code == "SignatureNotSupported"
    assert name in found.message


async def test_a_registry_that_is_away_says_nothing_about_signatures() -> None:
    def break_down(registry: Registry, digest: str) -> None:
        registry.answers[f"/v2/{REPOSITORY}/referrers/{digest}"] = status_answer(503)

    with pytest.raises(Unavailable):
        await fault(break_down)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        pem(rsa.generate_private_key(65537, 1024)),
        CURVE.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    ],
    ids=["empty", "text", "weak", "private"],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="public key in PEM"):
        read_public_key(text)
