"""The port of container images: what a registry has under a reference, and what is attached to it.

Every read is bounded, and content is what its digest says.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared.images.reference import ImageReference, is_digest
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import NotFound, Refused, Unavailable


class ImageMissing(NotFound):
    """The registry has no such repository, tag or digest."""


class ImageDenied(Refused):
    """The registry does not let this installation read the repository, or there is none."""


class ImageNotSupported(Refused):
    """What the registry has there is no image of a form that is run here."""


class ImageUnreadable(Unavailable):
    """What the registry gave is longer than it may be, or not what its digest says."""

    code = Unavailable.code


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of a blob or of another manifest; `size` in bytes."""

    media_type: str
    digest: str
    size: int


def read_descriptor(found: Mapping[str, Any]) -> Descriptor:
    """Return the descriptor that *found* is.

    Raises:
        KeyError, TypeError, ValueError: it is none, or its size is no number of bytes.
    """
    size, digest = found["size"], str(found["digest"])
    if type(size) is not int or size < 0:
        raise ValueError("a size that is no number of bytes")
    if not is_digest(digest):  # it becomes the name of a file
        raise ValueError("a digest that is none")
    return Descriptor(str(found["mediaType"]), digest, size)


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index, whole: `digest` is that of `body`."""

    media_type: str
    digest: str
    body: bytes


@dataclass(frozen=True)
class Referrer:
    """A manifest that says of itself that it is about an image, such as a signature of it."""

    digest: str
    artifact_type: str


class Images(Protocol):
    """Reads registries. Safe to repeat: nothing there changes.

    Every method raises:
        ImageMissing: the registry has no such thing.
        ImageDenied: it refuses the credentials that this installation has for it.
        Unavailable: it is away or throttles.
        ImageUnreadable: it answered, and its answer cannot be believed.
    """

    async def resolve(self, reference: ImageReference) -> str:
        """Return the digest of *reference*, also of one by digest: then it was seen to be there.

        That of an index where the image is one for several platforms.

        Raises:
            ImageNotSupported: it is no image for Linux, or one in a form from before 2017.
        """
        ...

    async def manifest(self, reference: ImageReference) -> Manifest:
        """Return what *reference* names."""
        ...

    async def blob(self, reference: ImageReference, digest: str, *, at_most: int) -> bytes:
        """Return a blob of the repository of *reference*; at most *at_most* bytes."""
        ...

    async def referrers(self, reference: ImageReference) -> Sequence[Referrer]:
        """Return what the repository has about the digest of *reference*, at most 100 of them."""
        ...
