"""The embedded host that apps run in, if they do.

A host installs itself here before it imports an app. What it is made of runs on one machine only,
so it is no part of a package for Azure: see `local_host/embedded_parts.py`.
"""

from typing import Protocol

from shared.composition.parts import Parts
from shared.composition.settings import Settings


class EmbeddedHost(Protocol):
    """The host in whose process an app runs."""

    def parts(self, settings: Settings) -> Parts:
        """Return the parts of the app that *settings* describe."""
        ...


_installed: list[EmbeddedHost | None] = []


def install(host: EmbeddedHost | None) -> None:
    """Make *host* the one whose parts apps imported from now on are given.

    None: of a host that has none for them, as it shares its folder with the one that has.
    """
    _installed[:] = [host]


def installed_host() -> EmbeddedHost | None:
    """Return the host in whose process this runs, if it has parts; None outside one."""
    return _installed[0] if _installed else None


def is_embedded() -> bool:
    """Return whether this runs in the process of an embedded host, with parts or without."""
    return bool(_installed)
