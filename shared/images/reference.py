"""References of images: `registry/repository:tag@digest`, read as registries themselves read them.

The grammar is that of the OCI distribution specification 1.1 ("Pulling manifests"), and of Docker
for the host of the registry:
https://github.com/opencontainers/distribution-spec/blob/main/spec.md and
https://pkg.go.dev/github.com/distribution/reference. Nothing is filled in: `web:1` is an image of
Docker Hub to some programs and of another registry to others, and `latest` is whatever was pushed
last.
"""

import re
from dataclasses import replace
from typing import Final

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid

REFERENCE_MAX: Final = 512
NAME_MAX: Final = 255
"""Of registry and repository together, as many registries have it."""
_HOST: Final = re.compile(
    r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PORT_MAX: Final = 65535
_FORM: Final = "registry/repository:tag, or …@sha256:<64 hex>"
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]", re.IGNORECASE)


class BadReference(Invalid):
    """The text is not the reference of an image; the message says which part, as it was typed."""


@dataclass(frozen=True)
class ImageReference:
    """One image of one registry, by tag, by digest, or by both: then the digest is what counts."""

    registry: str
    """Host and, where it is not 443, port."""
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, and so asked by http."""
        return is_loopback(self.registry)

    @property
    def version(self) -> str:
        """Return what a registry is asked for: the digest, else the tag."""
        version = self.digest or self.tag
        assert version is not None, "parse_reference refuses a reference without both"
        return version

    def pinned(self, digest: str) -> "ImageReference":
        """Return this reference with *digest*; its tag stays, and says where it came from."""
        return replace(self, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def is_loopback(registry: str) -> bool:
    """Return whether *registry*, a host with or without a port, names this machine."""
    return _LOOPBACK.fullmatch(re.sub(r":\d+$", "", registry)) is not None


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def is_registry(text: str) -> bool:
    """Return whether *text* can be the host of a registry, with or without a port."""
    host = _HOST.fullmatch(text)
    return host is not None and 0 < int(host["port"] or 443) <= _PORT_MAX


def parse_reference(text: str) -> ImageReference:
    """Return the reference that *text* is.

    Raises:
        BadReference: it is none; the message has the part that is wrong, and what it should be.
    """
    if len(text) > REFERENCE_MAX:
        raise _refused(text, f"it has {len(text)} characters: expected at most {REFERENCE_MAX}")
    named, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _refused(text, f"its digest is {digest[:90]!r}: expected sha256:<64 hex digits>")
    registry, slash, rest = named.partition("/")
    if not slash or not _names_a_registry(registry):
        raise _refused(text, f"it names no registry: expected {_FORM}")
    if not is_registry(registry):
        raise _refused(
            text, f"its registry is {registry[:90]!r}: expected a host in lower case, and a port"
        )
    repository, colon, tag = rest.partition(":")
    if not _REPOSITORY.fullmatch(repository):
        raise _refused(
            text,
            f"its repository is {repository[:90]!r}: expected names of a-z and 0-9 with single"
            " dots, underscores or dashes inside, and slashes between",
        )
    if len(registry) + 1 + len(repository) > NAME_MAX:
        raise _refused(text, f"registry and repository have more than {NAME_MAX} characters")
    if colon and not _TAG.fullmatch(tag):
        raise _refused(
            text,
            f"its tag is {tag[:90]!r}: expected up to 128 letters, digits, _, . and -, not . or -"
            " first",
        )
    if not colon and not at:
        raise _refused(
            text, f"it has neither a tag nor a digest, and none is assumed: expected {_FORM}"
        )
    return ImageReference(registry, repository, tag or None, digest or None)


def _names_a_registry(first: str) -> bool:
    """Return whether the first part of a name is a host, by the rule of Docker and containerd."""
    return first == "localhost" or bool(re.search(r"[.:]", first))


def _refused(text: str, why: str) -> BadReference:
    return BadReference(f"{text[:200]!r} is not the reference of an image: {why}")
