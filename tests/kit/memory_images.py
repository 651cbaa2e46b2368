"""Registries in memory: the `Images` port without a network, for tests of those who ask it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.images.image_manifest import require_image
from shared.images.media_types import CONFIG, LAYER, MANIFEST
from shared.images.port import ImageMissing, Manifest, Referrer
from shared.images.reference import ImageReference
from shared.kernel.errors import Unavailable


def manifest_of(content: str) -> bytes:
    """Return the manifest of an image whose layer is *content*, and has its configuration."""
    layer, config = content.encode(), b"{}"
    rows = [(CONFIG, config), (LAYER, layer)]
    described = [
        {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(of).hexdigest()}", "size": len(of)}
        for kind, of in rows
    ]
    return json.dumps(
        {"schemaVersion": 2, "config": described[0], "layers": described[1:]}
    ).encode()


@dataclass
class MemoryImages:
    """What all registries have, by reference without or with digest; `asked` is each question."""

    there: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: Unavailable | None = None

    def push(self, tagged: str, content: str) -> str:
        """Let the tag *tagged* name an image of *content*; return its digest."""
        return self.push_manifest(tagged, manifest_of(content))

    def push_manifest(self, tagged: str, body: bytes) -> str:
        """Let the tag *tagged* name the manifest *body*, whatever it is of; return its digest."""
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.there[tagged] = self.there[f"{tagged.rpartition(':')[0]}@{digest}"] = body
        return digest

    def push_blob(self, content: bytes) -> str:
        """Keep *content* in every repository; return its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    async def resolve(self, reference: ImageReference) -> str:
        found = await self.manifest(reference)
        require_image(reference, found)
        return found.digest

    async def manifest(self, reference: ImageReference) -> Manifest:
        self.asked.append(str(reference))
        if self.away is not None:
            raise self.away
        separator = "@" if reference.digest else ":"
        body = self.there.get(f"{reference.name}{separator}{reference.version}")
        if body is None:
            raise ImageMissing(f"the registry {reference.registry} has no {reference}")
        return Manifest(MANIFEST, f"sha256:{hashlib.sha256(body).hexdigest()}", body)

    async def blob(self, reference: ImageReference, digest: str, *, at_most: int) -> bytes:
        if digest not in self.blobs:
            raise ImageMissing(f"the registry {reference.registry} has no blob {digest}")
        return self.blobs[digest][:at_most]

    async def referrers(self, reference: ImageReference) -> Sequence[Referrer]:
        del reference
        return []


NO_IMAGES: Final = MemoryImages()
"""For worlds whose releases are archives."""
