"""What `up` starts: one host for all apps, or a front end and processes of each app."""

import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cli.cloud_process import (
    cloud_options,
    find_cloud,
    identity_settings_file,
    settings_file,
    start_cloud,
    stop_cloud,
)
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import (
    HostProcess,
    processes_per_app,
    record_processes,
    refuse_unrecorded,
)
from cli.host_start import HostProgram, start_host
from cli.state_folder import REPOSITORY, StateFolder
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy

INSTALL_FOR_CLUSTERS: Final = "`make .venv/.all`, or pip install -r requirements/azure.txt"
_FOR_CLUSTERS: Final = ("lightkube", "httpx2")


def start_system(
    folder: StateFolder, asked: int | None, port: int, clock: Clock, entropy: Entropy
) -> HostProcess:
    """Start the host of *folder*, with *asked* processes of each app; None: as last.

    With processes of each app, it starts the local cloud too where none runs, and stops it again
    where the host does not start.

    Raises:
        Failure: the data of *folder* are of the other kind, a host runs that no `up` has recorded,
            or something does not start.
    """
    check_cluster_packages()
    folder.create()
    refuse_unrecorded(folder)
    count = _count(folder, asked)
    if count:
        _check_amqp()
    # First: what is started next keeps data of this kind.
    record_processes(folder, count)
    if not count:
        # The histories and the administration of all tenants need the host's own keys.
        program = HostProgram("local_host", (str(REPOSITORY), "--auth"))
        return start_host(folder, program, port, clock, entropy)
    had_cloud = find_cloud(folder) is not None
    try:
        if not had_cloud:
            start_cloud(folder, cloud_options(folder), clock)
        return start_host(folder, _front_end(folder, count), port, clock, entropy)
    except BaseException:
        if not had_cloud:
            stop_cloud(folder, clock)
        raise


def start_missing_cloud(folder: StateFolder, clock: Clock) -> None:
    """Start the local cloud that processes of each app need, where it has ended beside them."""
    if processes_per_app(folder) and find_cloud(folder) is None:
        start_cloud(folder, cloud_options(folder), clock)


def check_cluster_packages(folder: Path = REPOSITORY) -> None:
    """Raise Failure where a cluster is named, and what speaks to it is not installed.

    It is named in the environ, or in the `local.settings.json` of the apps in *folder*.
    """
    from shared.composition.cluster_settings import (  # noqa: PLC0415  slow to import
        AKS_CLUSTER,
        KUBECONFIG,
    )

    settings = {**local_settings(folder), **os.environ}
    named = [name for name in (KUBECONFIG, AKS_CLUSTER) if settings.get(name)]
    lacking = lacking_for_clusters()
    if named and lacking:
        raise Failure(
            f"{named[0]} names a cluster, and what speaks to it is not installed:"
            f" {', '.join(lacking)}",
            ExitCode.USAGE,
            remedy=INSTALL_FOR_CLUSTERS,
        )


def local_settings(folder: Path = REPOSITORY) -> Mapping[str, str]:
    """Return the values in `local.settings.json`; none of a file that the host will refuse."""
    try:
        values = json.loads((folder / "local.settings.json").read_text(encoding="utf-8-sig"))
        return dict(values["Values"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def lacking_for_clusters() -> list[str]:
    """Return the packages that a cluster needs and that are not installed."""
    return [name for name in _FOR_CLUSTERS if find_spec(name) is None]


def _check_amqp() -> None:
    if find_spec("proton") is None:
        raise Failure(
            "processes of each app need a local Service Bus, and python-qpid-proton is missing",
            ExitCode.USAGE,
            remedy="with a C compiler: pip install -r requirements/cloud.txt",
        )


def _front_end(folder: StateFolder, count: int) -> HostProgram:
    """Return the front end of *count* processes of each app, whose packages are written."""
    packages = [str(package) for package in _write_packages(folder.path / "packages")]
    arguments = (
        *packages,
        *("--settings", str(identity_settings_file(folder))),
        *("--archives", str(settings_file(folder))),
        *("--instances", str(count)),
    )
    return HostProgram("local_host.front_end", arguments, count)


def _count(folder: StateFolder, asked: int | None) -> int:
    known = processes_per_app(folder)
    if asked is None or known is None:
        return asked or known or 0
    if bool(asked) != bool(known):
        kept = "in the local cloud" if known else "in the host of all apps"
        raise Failure(
            f"what {folder.path} keeps is {kept}, where --processes-per-app {asked} does not look",
            ExitCode.CONFLICT,
            remedy="name another folder with --state",
        )
    return asked


def _write_packages(target: Path) -> list[Path]:
    from tools.package import APPS, package  # noqa: PLC0415  where used

    return [package(app, target / app) for app in APPS]
