"""Removes folders of processes that run."""

import shutil
from pathlib import Path


def remove_in_use(folder: Path) -> None:
    """Remove *folder*, into which a process may write meanwhile."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
