"""How many files and sockets this process may have open: as many as it is allowed to take."""

import resource
from typing import Final

OPEN_FILES: Final = 65_536
"""More are never needed here; some systems have no bound, and tables of that size."""


def allow_open_files() -> None:
    """Raise the soft limit: the usual one, 1,024, is that of a shell."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(usual, wanted), most))
