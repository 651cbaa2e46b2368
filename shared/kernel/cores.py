"""No core of a process that holds secrets: neither in a file, nor handed to a program."""

import resource
from typing import Final

_NONE: Final = 1
"""Bytes. No file is so small; and where the pattern of cores is a program, the kernel hands it none
at exactly this limit, while at 0 it does: https://man7.org/linux/man-pages/man5/core.5.html and
`do_coredump` of the kernel."""


def write_no_core() -> None:
    """Have no core of this process written, nor of those that it will start."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = _NONE if most == resource.RLIM_INFINITY else min(most, _NONE)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
