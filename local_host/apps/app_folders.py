"""Finds the apps in folders, and what they need of the process and of the broker."""

import os
import re
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_host.apps import configuration
from local_host.model import App

if TYPE_CHECKING:
    from local_cloud.broker.topology import Topology

_PLATFORM: Final = Path("shared", "composition", "embedded.py")


def apps_in(folders: Sequence[Path]) -> list[App]:
    """Return one app a folder, named after it; equal names get a number."""
    taken: dict[str, int] = {}
    apps = []
    for folder in folders:
        name = re.sub(r"[^A-Za-z0-9-]", "-", folder.resolve().name) or "app"
        taken[name] = taken.get(name, 0) + 1
        numbered = name if taken[name] == 1 else f"{name}-{taken[name]}"
        script = os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
        apps.append(App(numbered, folder.resolve(), module=script.removesuffix(".py")))
    return apps


def take_settings(apps: Sequence[App], environ: MutableMapping[str, str]) -> list[str]:
    """Make `Values` environment variables, as Core Tools does; return what could not be.

    What is set already wins. Two apps in one process share its environment, so the second value of
    a name is seen by the host (bindings, connections) but not by the second app's own code.
    """
    before = set(environ)
    notes = []
    for app in apps:
        try:
            values = configuration.load(app.name, app.folder, {}).values
        except configuration.ConfigurationRefused:
            continue  # indexing meets the same file and reports it
        for name, value in values.items():
            if environ.setdefault(name, value) != value and name not in before:
                notes.append(
                    f"{name} of {app.name} differs from another app's: os.environ has the first;"
                    " run the apps in processes of their own, or give the setting another name"
                )
    return notes


def topology_for(apps: Sequence[App], declared: Path | None) -> "Topology":
    """Return what *declared*, a file in the emulator's form, says, else what the apps need.

    A folder with services of this platform needs the platform's entities, for those services. Other
    apps need none: their triggers create what they listen to.

    Raises:
        Invalid: the file cannot be used; names the place.
    """
    from local_cloud.broker.topology import Topology  # noqa: PLC0415

    if declared is not None:
        from local_cloud.broker.declaration import load_topology  # noqa: PLC0415

        return load_topology(declared)
    packages = {
        script.parent.name
        for app in apps
        if app.folder is not None and (app.folder / _PLATFORM).exists()
        for script in app.folder.glob("function_apps/*/function_app.py")
    }
    if not packages:
        return Topology()
    from local_cloud.runtime_topology import runtime_topology  # noqa: PLC0415  a quarter of a second
    from shared.contracts.values import Service  # noqa: PLC0415

    return runtime_topology([service for service in Service if service in packages])
