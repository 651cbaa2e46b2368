"""The heads of audit chains: those that the platform anchored, and those in a file of the user.

A chain shows by itself what was changed in it. Whoever may write all of it can make a new one; that
one does not have the record which somebody kept as its head (docs/limits.md). A blob of anchored
heads is such a file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.fan_out import NEWEST_FIRST, ask_apps
from shared.persistence.plain_files import write_private

_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class Head:
    """The last record of one app's chain: its number, and the hash that seals all before it."""

    number: int
    hash: str


def require_file(path: Path | None, *, makes: bool) -> None:
    """Refuse a file that is not there, as a wrong name would be compared with nothing.

    With *makes* the file is to be made, and one that is there is refused: it is compared with.

    Raises:
        Failure: it is as said, or *makes* has no file.
    """
    if path is None:
        if makes:
            raise Failure(
                "--make-heads makes the file of --heads, which is missing",
                ExitCode.USAGE,
                remedy="name the file: --heads FILE",
            )
        return
    if makes and path.exists():
        raise _failure(path, "is there already", "leave out --make-heads, to compare with it")
    if not makes and not path.exists():
        raise _failure(path, "is not there, so there is nothing of yours to compare with")


def read_heads(path: Path, tenant: str) -> dict[str, Head]:
    """Return the heads of *tenant* that *path* has, by app.

    Raises:
        Failure: it cannot be read, is no file of heads, or has those of another tenant.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_BYTES_MAX + 1)
    except OSError as unread:
        raise _failure(path, f"cannot be read: {unread.strerror}") from unread
    try:
        content = json.loads(text)
        heads = _heads(content)
        kept_of = content["tenant"]
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as wrong:
        raise _failure(path, "has no heads of audit records") from wrong
    if kept_of != tenant:
        raise _failure(path, f"has the heads of the tenant {kept_of!r}, you are in {tenant!r}")
    return heads


def _heads(content: Mapping[str, Any]) -> dict[str, Head]:
    return {
        str(app): Head(int(head["number"]), str(head["hash"]))
        for app, head in content["heads"].items()
    }


def _failure(
    path: Path,
    what: str,
    remedy: str = "name the file that this option wrote before; for a first one add --make-heads",
) -> Failure:
    return Failure(f"--heads: {path} {what}", ExitCode.USAGE, remedy=remedy)


def write_heads(path: Path, tenant: str, heads: Mapping[str, Head]) -> None:
    """Keep *heads* in *path*, in place of earlier ones. Raises Failure."""
    content = {"tenant": tenant, "heads": {app: asdict(head) for app, head in heads.items()}}
    try:
        write_private(path, json.dumps(content, indent=2).encode() + b"\n")
    except OSError as refused:
        raise _failure(path, f"cannot be written: {refused.strerror}") from refused


def newest_heads(client: Client) -> dict[str, Head]:
    """Return the head of each app's chain; none of one that does not run or has no record."""
    pages = ask_apps(client, "audit", {**NEWEST_FIRST, "top": "1"})
    found = {app: _first(page) for app, page in pages if page}
    return {app: head for app, head in found.items() if head}


def anchored_heads(client: Client) -> dict[str, Head]:
    """Return the heads that the platform anchored last, by app.

    Empty where it has anchored none yet, and where deployments, which anchors them, does not run.
    """
    try:
        content = client.get("/v1/runtime/audit-heads").body
    except Failure as failure:
        if failure.exit_code is not ExitCode.NOT_FOUND:
            raise
        return {}
    return _heads(content)


def leads_to(client: Client, app: str, kept: Head) -> bool:
    """Return whether the chain of *app*, which is sound, still has *kept* in its place."""
    query = {"after": str(kept.number - 1), "top": "1"}
    return _first(client.get(f"/v1/platform/{app}/audit", query).body) == kept


def _first(page: Mapping[str, Any]) -> Head | None:
    return next((Head(each["number"], each["hash"]) for each in page["value"]), None)
