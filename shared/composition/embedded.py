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


_installed: list[EmbeddedHost] = []


def install(host: EmbeddedHost | None) -> None:
    """Make *host* the one whose parts apps imported from now on are given; None: nobody's."""
    _installed[:] = [] if host is None else [host]


def installed_host() -> EmbeddedHost | None:
    """Return the host in whose process this runs; None outside one."""
    return _installed[0] if _installed else None
