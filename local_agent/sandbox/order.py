"""The order of a start: what an agent tells the launcher, and that its shim, in one typed form.

`write` and `read` alone know how it travels. Both sides check it when they make it: an agent may
run on while the launcher on disk is of another version. The launcher is started for each workload,
so nothing here takes long to import, and a form is not a `dataclass` but looks like one.
"""

from __future__ import annotations

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        return lambda kind: kind


@dataclass_transform(kw_only_default=True)
class _Form:
    """Is made by keywords: one for each annotated field, of exactly those that there are."""

    def __init__(self, **fields: object) -> None:
        """Raises ValueError: a field is missing, or there is one that the form has not."""
        if strange := fields.keys() ^ type(self).__annotations__.keys():
            names = ", ".join(sorted(strange))
            raise ValueError(f"its order is of another version, by {names}")
        vars(self).update(fields)


class SandboxOrder(_Form):
    """What a workload sees, and what it may do. Paths are absolute."""

    parent: int | None
    """The process with which the start ends; None: it outlives that."""
    is_namespaced: bool
    has_network: bool
    user: int | None
    """None: ours."""
    root: str
    """An empty folder: the root folder of the workload is built there."""
    hidden: str
    """The state folder: nothing of it is seen but what is named here."""
    readable: list[str]
    writable: list[str]
    program_folders: list[str]
    program_files: list[str]
    """As `mounts.enter` takes them."""
    mapped: list[tuple[str, int]]
    """Paths, each with the owner of its files on disk; none without a user."""
    tmp: str
    accounts: tuple[str, str]
    """The texts of passwd and group."""
    secrets: str | None
    """The folder for the files of the order's secrets, in memory; None: it has none."""
    landlock: int
    """Its version, 0 for none."""
    port: int | None
    """The one that the workload may bind; None: none of its own."""
    filters_calls: bool
    """Whether `call_filter` is in force."""


class StartOrder(_Form):
    """The start of one command."""

    claim: str
    """The file that whoever runs the start creates."""
    boot: str
    exit: str
    """The file for its wait status, which an agent that is not the parent cannot know otherwise."""
    output: str
    """The file for what it writes."""
    workdir: str
    limits: dict[str, int]
    """By name in `resource`."""
    command: list[str]
    environ: dict[str, str]
    secret_files: dict[str, str]
    """Texts, by the name of the file."""
    sandbox: SandboxOrder | None
    """None: no sandbox, and no shim that writes `exit`."""


def write(order: StartOrder, file: IO[bytes]) -> None:
    """Write *order* to *file*, for `read`."""
    sandbox = order.sandbox and vars(order.sandbox)
    marshal.dump({**vars(order), "sandbox": sandbox}, file)


def read(file: IO[bytes]) -> StartOrder:
    """Return the order in *file*, which our agent wrote.

    Raises:
        ValueError: it is of another version.
    """
    fields = marshal.load(file)  # noqa: S302  our agent wrote it
    if fields.get("sandbox") is not None:
        fields["sandbox"] = SandboxOrder(**fields["sandbox"])
    return StartOrder(**fields)
