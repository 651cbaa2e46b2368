"""What is left of a site after its last process."""

import shutil
from dataclasses import replace

from shared.surfaces.local_process.state_files import SiteFolder


def delete_site_files(folder: SiteFolder) -> None:
    """Delete what a site had on disk. Its fences and ports stay: a late writer must be known."""
    with folder.turn():
        for service in folder.services():
            wanted = folder.wanted(service)
            if wanted is not None:
                folder.write_wanted(replace(wanted, revisions={}, weights={}))
    for name in ("instances", "running"):
        shutil.rmtree(folder.folder / name, ignore_errors=True)
    # Last: while it exists the site is not yet gone.
    shutil.rmtree(folder.edge, ignore_errors=True)
