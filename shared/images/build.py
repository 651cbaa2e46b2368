"""Builds an image without a daemon: layers of files on a base, run by nobody in particular.

The digest follows from base, files and settings alone. Nothing is executed.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final

from shared.images.layer import Entry, Folder, Layer, TextFile, write_layer
from shared.images.layout import Layout, canonical, written
from shared.images.media_types import CONFIG, LAYER, MANIFEST
from shared.images.port import Descriptor
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid

USER: Final = 65532
"""Of the process, and of no file: as in other images without root."""
ACCOUNTS: Final[Mapping[str, Entry]] = {
    "etc/passwd": TextFile(
        f"root:x:0:0:root:/root:/sbin/nologin\napp:x:{USER}:{USER}:app:/tmp:/sbin/nologin\n"
    ),
    "etc/group": TextFile(f"root:x:0:\napp:x:{USER}:\n"),
    "tmp": Folder(is_scratch=True),
    # Else the root has what whoever unpacks it gives to new folders, which may be nobody's to read.
    ".": Folder(),
}
"""What a base of our own has besides its programs."""
_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_EPOCH: Final = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class BaseLayer:
    """A layer that is there already, in the layout of the image that is being built."""

    blob: Descriptor
    diff_id: str


@dataclass(frozen=True)
class Base:
    """What an image stands on: its layers, from the bottom, and the variables that it sets."""

    layers: Sequence[BaseLayer] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageSettings:
    """How the image starts, where nothing else is said."""

    entrypoint: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/app"
    """Its working directory."""
    name: str = ""
    """By which containerd knows it when it loads the layout; no part of the image."""


@dataclass(frozen=True)
class BuiltImage:
    """`size` is that of all layers together, packed, in bytes."""

    digest: str
    size: int
    folder: Path


def architecture() -> str:
    """Return the name that images have for the processor of this machine. Raises Invalid."""
    machine = platform.machine().lower()
    if machine not in _ARCHITECTURES:
        raise Invalid(f"images for {machine} are not built: expected x86_64 or arm64")
    return _ARCHITECTURES[machine]


def add_layer(layout: Layout, entries: Mapping[str, Entry]) -> Layer:
    """Put a layer of *entries* among the blobs of *layout*."""
    draft = layout.folder / "layer.draft"
    with draft.open("wb") as file:
        layer = write_layer(entries, file)
    draft.replace(layout.blob(layer.digest))
    return layer


def build_image(
    layout: Layout,
    base: Base,
    parts: Sequence[Mapping[str, Entry]],
    settings: ImageSettings,
) -> BuiltImage:
    """Write the image of *base* and *parts*, a layer each, into *layout*.

    The same arguments give the same digest.

    Raises:
        OSError: a file cannot be read or written.
    """
    added = [add_layer(layout, part) for part in parts if part]
    blobs = [layer.blob for layer in base.layers]
    blobs += [Descriptor(LAYER, layer.digest, layer.size) for layer in added]
    diff_ids = [layer.diff_id for layer in base.layers] + [layer.diff_id for layer in added]
    where = {"os": "linux", "architecture": architecture()}
    environ = {**base.environ, **settings.environ}
    config = {
        **where,
        "created": _EPOCH,
        "config": {
            "User": f"{USER}:{USER}",
            "WorkingDir": settings.folder,
            "Env": [f"{name}={value}" for name, value in sorted(environ.items())],
            **({"Entrypoint": list(settings.entrypoint)} if settings.entrypoint else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": _EPOCH, "created_by": "runtimectl image build"}] * len(blobs),
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": written(layout.put(canonical(config), CONFIG)),
        "layers": [written(blob) for blob in blobs],
    }
    descriptor = layout.put(canonical(manifest), MANIFEST)
    layout.complete(descriptor, where, settings.name)
    return BuiltImage(descriptor.digest, sum(blob.size for blob in blobs), layout.folder)
