"""Deletes the files of a site after its last process has ended."""

import shutil
from dataclasses import replace

from shared.surfaces.local_process.state_files import SiteFolder


def delete_site_files(folder: SiteFolder) -> None:
    """Delete everything but fences and ports: the fence of a late writer must still be checked."""
    with folder.write_lock():
        for service in folder.services():
            desired = folder.component(service)
            if desired is not None:
                folder.write_component(replace(desired, revisions={}, weights={}))
    for name in ("instances", "running"):
        shutil.rmtree(folder.path / name, ignore_errors=True)
    # Last: the site counts as being deleted while this folder exists.
    shutil.rmtree(folder.edge, ignore_errors=True)
