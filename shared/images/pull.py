"""Pulls the base of an image that is built: its layers become blobs of the new one's layout."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic_core import from_json

from shared.images.build import Base, BaseLayer
from shared.images.layout import Layout
from shared.images.media_types import INDEXES, LAYER
from shared.images.port import Descriptor, ImageNotSupported, Manifest, read_descriptor
from shared.images.reference import ImageReference
from shared.images.registry_client import RegistryClient
from shared.kernel.dataclass import dataclass

CONFIG_MAX: Final = 1024 * 1024
LAYERS_MAX: Final = 127
"""What an image can have at most to be mounted."""
BYTES_MAX: Final = 4 * 1024**3
_OCI: Final[Mapping[str, str]] = {"application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER}
"""Docker's types of what is the same in OCI."""
_VARIABLE: Final = re.compile(r"[^=\x00]+=[^\x00]*")


@dataclass(frozen=True)
class _Config:
    diff_ids: Sequence[str]
    environ: Mapping[str, str]


async def pull_base(
    client: RegistryClient, reference: ImageReference, layout: Layout, architecture: str
) -> Base:
    """Return the image *reference*, which names a digest, as a base; its layers are in *layout*.

    Raises:
        ImageNotSupported: it has none for *architecture*, or is larger than is taken.
        ImageMissing, ImageDenied, Unavailable: as `Images`.
    """
    manifest = await client.manifest(reference)
    if manifest.media_type in INDEXES:
        digest = _of_platform(manifest, reference, architecture)
        reference = replace(reference, tag=None, digest=digest)
        manifest = await client.manifest(reference)
    try:
        document = from_json(manifest.body)
        layers = [_descriptor(each) for each in document["layers"]]
        body = await client.blob(reference, str(document["config"]["digest"]), at_most=CONFIG_MAX)
        config = _config(from_json(body))
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise ImageNotSupported(f"{reference} has a manifest that is none") from problem
    if len(layers) != len(config.diff_ids) or len(layers) > LAYERS_MAX:
        raise ImageNotSupported(f"{reference} has {len(layers)} layers: at most {LAYERS_MAX}")
    if sum(layer.size for layer in layers) > BYTES_MAX:
        raise ImageNotSupported(f"{reference} is larger than {BYTES_MAX} bytes")
    for layer in layers:
        path = layout.blob(layer.digest)
        if not path.is_file():
            await client.save_blob(reference, layer, path)
    pairs = zip(layers, config.diff_ids, strict=True)
    return Base([BaseLayer(layer, diff_id) for layer, diff_id in pairs], config.environ)


def _of_platform(index: Manifest, reference: ImageReference, architecture: str) -> str:
    try:
        rows: list[Mapping[str, Any]] = from_json(index.body)["manifests"]
        wanted = ("linux", architecture)
        places = [(each.get("platform") or {}, each["digest"]) for each in rows]
        found = [str(d) for p, d in places if (p.get("os"), p.get("architecture")) == wanted]
    except (ValueError, LookupError, TypeError, AttributeError) as problem:
        raise ImageNotSupported(f"{reference} has an index that is none") from problem
    if not found:
        raise ImageNotSupported(f"{reference} has no image for linux/{architecture}")
    return found[0]


def _descriptor(found: Mapping[str, Any]) -> Descriptor:
    stated = read_descriptor(found)
    return replace(stated, media_type=_OCI.get(stated.media_type, stated.media_type))


def _config(found: Mapping[str, Any]) -> _Config:
    environ = found["config"].get("Env") or ()
    if not all(isinstance(each, str) and _VARIABLE.fullmatch(each) for each in environ):
        raise ValueError("a variable without a name, or with a character that none can have")
    pairs = [each.partition("=") for each in environ]
    return _Config(
        [str(each) for each in found["rootfs"]["diff_ids"]],
        {name: value for name, _, value in pairs},
    )
