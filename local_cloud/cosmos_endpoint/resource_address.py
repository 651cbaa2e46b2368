"""Which resource a request addresses, read from its path."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass(frozen=True)
class ResourceAddress:
    """The parts of a path: `dbs/<database>/colls/<container>/docs/<id>`, or a feed of one type.

    `resource_type` and `link` are what the signature covers: for a feed, or a POST to it, the link
    is that of the parent.
    """

    segments: tuple[str, ...] = ()
    resource_type: str = ""
    link: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def link_by_id(self) -> str:
        """What the signature covers where the path has resource ids: the last one, in small."""
        return self.link.rpartition("/")[2].lower()

    @property
    def shape(self) -> str:
        """The path with its names left out: `dbs/*/colls/*/docs`."""
        return "/".join(
            segment if index % 2 == 0 else "*" for index, segment in enumerate(self.segments)
        )


def address_of(raw_path: str) -> ResourceAddress:
    """Return the address in *raw_path*, which is still percent-encoded."""
    return address_from(tuple(unquote(part) for part in raw_path.strip("/").split("/") if part))


def address_from(parts: tuple[str, ...]) -> ResourceAddress:
    """Return the address that consists of *parts*."""
    names = dict(zip(parts[::2], parts[1::2], strict=False))
    if len(parts) % 2:
        return ResourceAddress(parts, parts[-1], "/".join(parts[:-1]), names)
    if parts[-2:-1] == ("operations",):
        # SDKs sign the container that it is done to.
        return ResourceAddress(parts, "colls", "/".join(parts[:-2]), names)
    return ResourceAddress(parts, parts[-2] if parts else "", "/".join(parts), names)
