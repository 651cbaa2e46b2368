"""What a request is aimed at, and how a refusal looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote


class Refusal(Exception):
    """An error answer: `{"code", "message"}` with a status and perhaps a substatus."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        substatus: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.substatus = substatus
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Target:
    """The parts of a path: `dbs/<database>/colls/<container>/docs/<id>`, or a feed of one type.

    `resource_type` and `link` are what the signature covers: for a feed, or a POST to it, the link
    is that of the parent.
    """

    segments: tuple[str, ...] = ()
    resource_type: str = ""
    link: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_feed(self) -> bool:
        return len(self.segments) % 2 == 1

    @property
    def shape(self) -> str:
        """The path with its names left out: `dbs/*/colls/*/docs`."""
        return "/".join(
            segment if index % 2 == 0 else "*" for index, segment in enumerate(self.segments)
        )


def target_of(raw_path: str) -> Target:
    """Return what *raw_path*, still percent-encoded, aims at."""
    parts = tuple(unquote(part) for part in raw_path.strip("/").split("/") if part)
    names = dict(zip(parts[::2], parts[1::2], strict=False))
    if len(parts) % 2:
        return Target(parts, parts[-1], "/".join(parts[:-1]), names)
    return Target(parts, parts[-2] if parts else "", "/".join(parts), names)
