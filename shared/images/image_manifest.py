"""Whether a manifest is of an image that pods can be made of: registries keep other things too."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from shared.images.media_types import CONFIG, DOCKER_CONFIG, IMAGES, INDEXES
from shared.images.port import ImageNotSupported, Manifest, read_descriptor
from shared.images.reference import ImageReference

PLATFORMS: Final = ("linux/amd64", "linux/arm64")
"""What clusters have nodes of."""
_CONFIGS: Final = (CONFIG, DOCKER_CONFIG)
_LAYERS: Final = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.",
)
_KINDS: Final[Mapping[str, str]] = {
    "application/vnd.cncf.helm.": "a Helm chart",
    "application/vnd.dev.cosign.": "a signature",
    "application/vnd.dsse.envelope.": "an attestation",
    "application/vnd.in-toto": "an attestation",
    "application/vnd.cncf.notary.": "a signature",
    "application/vnd.wasm.": "a WebAssembly module",
}
"""What is meant for others, by the beginning of a media type in it."""
_ELSEWHERE: Final = (
    "application/vnd.docker.image.rootfs.foreign.",
    "application/vnd.oci.image.layer.nondistributable.",
)
"""Layers of Windows, which Microsoft's servers have; Linux has none of them."""
_TYPE_MAX: Final = 100


def require_image(reference: ImageReference, found: Manifest) -> None:
    """Refuse *found*, which *reference* names, if no image for Linux is there.

    An index is one where a row is of such an image, or says nothing of its platform.

    Raises:
        ImageNotSupported: the message says what it is.
    """
    if found.media_type not in IMAGES:
        raise ImageNotSupported(
            f"{reference} is of type {found.media_type or 'unknown'}: expected an image of OCI or"
            " of Docker's schema 2"
        )
    try:
        document: Mapping[str, Any] = from_json(found.body)
        what = _no_index(document) if found.media_type in INDEXES else _no_image(document)
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise ImageNotSupported(f"{reference} has a manifest that is none") from problem
    if what:
        raise ImageNotSupported(f"{reference} is {what}: expected a container image")


def _no_image(manifest: Mapping[str, Any]) -> str:
    """Return what *manifest* is instead of an image's; nothing of an image's."""
    config = read_descriptor(manifest["config"]).media_type
    layers = [read_descriptor(each).media_type for each in manifest["layers"]]
    stated = [str(manifest.get("artifactType") or ""), config, *layers]
    if any(each.startswith(_ELSEWHERE) for each in layers):
        return "an image for Windows"
    other = [each for each in stated[1:2] if each not in _CONFIGS]
    other += [each for each in layers if not each.startswith(_LAYERS)]
    if not other:
        return "" if layers else "an image without a layer"
    for beginning, kind in _KINDS.items():
        if any(each.startswith(beginning) for each in stated):
            return kind
    return f"an artifact of type {(stated[0] or other[0])[:_TYPE_MAX]}"


def _no_index(index: Mapping[str, Any]) -> str:
    """Return what *index* is instead of that of an image; nothing of an image's."""
    rows = [each for each in index["manifests"] if each.get("mediaType", IMAGES[0]) in IMAGES]
    platforms = [each.get("platform") for each in rows if not each.get("artifactType")]
    named = [f"{each['os']}/{each['architecture']}" for each in platforms if each]
    if len(named) < len(platforms) or not {*named}.isdisjoint(PLATFORMS):
        return ""
    there = sorted({each for each in named if "unknown" not in each})
    if not there:
        return "an index without an image"
    return f"for {', '.join(there)[:_TYPE_MAX]} only, not for {' or '.join(PLATFORMS)}"
