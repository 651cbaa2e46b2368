"""What `up` starts: one host for all apps, or a front end and processes of each app."""

from importlib.util import find_spec
from pathlib import Path

from cli.cloud_process import (
    cloud_options,
    find_cloud,
    identity_settings_file,
    settings_file,
    start_cloud,
)
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import HostProgram, processes_per_app
from cli.state_folder import REPOSITORY, StateFolder
from shared.kernel.clock import Clock


def program_of(folder: StateFolder, asked: int | None, clock: Clock) -> HostProgram:
    """Return what to start for *folder*, with *asked* processes of each app; None: as last.

    With processes of each app, it starts the local cloud where none runs, and writes the packages.

    Raises:
        Failure: the data of *folder* are of the other kind, or the local cloud does not start.
    """
    count = _count(folder, asked)
    if not count:
        # The histories and the administration of all tenants need the host's own keys.
        return HostProgram("local_host", (str(REPOSITORY), "--auth"))
    if find_spec("proton") is None:
        raise Failure(
            "processes of each app need a local Service Bus, and python-qpid-proton is missing",
            ExitCode.USAGE,
            remedy="with a C compiler: pip install -r requirements/cloud.txt",
        )
    if find_cloud(folder) is None:
        start_cloud(folder, cloud_options(folder), clock)
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
    if asked is None or not folder.host_file.exists():
        return asked or known
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
