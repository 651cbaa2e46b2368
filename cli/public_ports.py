"""Public ports of this machine's environments that another program has."""

from collections.abc import Iterator
from contextlib import suppress

from cli.session import Session
from cli.typed import is_elsewhere


def taken_ports(session: Session) -> Iterator[str]:
    """Yield for each environment whose public port another program has, which, and what to do."""
    sites = session.state_folder.surface / "sites"
    if is_elsewhere() or not sites.is_dir():
        return
    from local_agent.public_port import taken_by_another  # noqa: PLC0415  slow to import
    from local_agent.state_files import CorruptStateFile, SurfaceFolder  # noqa: PLC0415

    for folder in SurfaceFolder(session.state_folder.surface).sites():
        with suppress(CorruptStateFile):  # the agent says that
            site = folder.site()
            if site and site.is_wanted and (taken := taken_by_another(site, folder.edge)):
                yield taken
