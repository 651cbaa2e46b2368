"""An image in a folder: the OCI image layout, which tools load, push and inspect.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shared.images.media_types import INDEX, MANIFEST
from shared.images.port import Descriptor, read_descriptor
from shared.images.reference import is_digest
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid

_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
_NAME: Final = "io.containerd.image.name"
_FILE_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True)
class Layout:
    """The folder of one image; its blobs are files named by their digests."""

    folder: Path

    def blob(self, digest: str) -> Path:
        """Return the file of a blob.

        Raises:
            Invalid: *digest* is none, and could be another path.
        """
        if not is_digest(digest):
            raise Invalid(f"a digest must be sha256:<64 hex>, got {digest[:90]!r}")
        return self.folder / "blobs" / digest.replace(":", "/")

    def make(self) -> None:
        """Make the folder, empty where it is new."""
        (self.folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes, media_type: str) -> Descriptor:
        """Keep *content* as a blob."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blob(digest).write_bytes(content)
        return Descriptor(media_type, digest, len(content))

    def complete(self, manifest: Descriptor, platform: Mapping[str, str], name: str = "") -> None:
        """Name *manifest* as the image of this folder; until then it has none.

        Whoever loads the folder with containerd has it as *name*, if that is given.
        """
        named = {"annotations": {_NAME: name}} if name else {}
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{**written(manifest), "platform": dict(platform), **named}],
        }
        (self.folder / "oci-layout").write_bytes(_LAYOUT)
        (self.folder / "index.json").write_bytes(canonical(index))

    def manifest(self) -> tuple[Descriptor, Sequence[Descriptor]]:
        """Return the image's manifest, and all blobs that it needs.

        Raises:
            Invalid: the folder has no image, or more than one.
        """
        try:
            index = json.loads(_read(self.folder / "index.json"))
            listed = [read_descriptor(each) for each in index["manifests"]]
            (found,) = (each for each in listed if each.media_type == MANIFEST)
            manifest = json.loads(_read(self.blob(found.digest)))
            blobs = [read_descriptor(each) for each in (manifest["config"], *manifest["layers"])]
        except (OSError, ValueError, LookupError, TypeError) as problem:
            raise Invalid(f"{self.folder} is not the layout of one image") from problem
        return found, blobs


def canonical(value: Any) -> bytes:
    """Return *value* as JSON whose bytes follow from its content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def written(descriptor: Descriptor) -> dict[str, Any]:
    """Return *descriptor* as manifests have it."""
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FILE_MAX)
