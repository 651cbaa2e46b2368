"""`up`, `down`, `login`: start and stop the system of this machine, and log in to it."""

import getpass
from contextlib import nullcontext
from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from cli import host_process
from cli.cloud_process import stop_cloud
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.folder_lock import folder_lock, sole_command
from cli.host_program import start_missing_cloud, start_system
from cli.host_settings import last_settings, remarks
from cli.options import Invocation
from cli.output import note, say
from cli.session import ROLES, log_in, read_login
from cli.state_folder import StateFolder
from local_agent.process_identity import environ_of
from shared.kernel.clock import Clock
from shared.kernel.entropy import SystemEntropy

DEFAULT_PORT = 7071
DEFAULT_TENANT = "tenant-dev"
NAME = "runtimectl"


class Shell(StrEnum):
    """A shell that can complete commands."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def up(
    invocation: Invocation,
    port: Annotated[
        int | None,
        typer.Option(
            help=f"Port of the API, 0: any; else that of the last start, or {DEFAULT_PORT}.",
            min=0,
            max=65_535,
        ),
    ] = None,
    processes_per_app: Annotated[
        int | None,
        typer.Option(
            help="Run each app in so many processes of its own, over the local cloud;"
            " 0: all in one. Else as last, or 0.",
            min=0,
            max=16,
        ),
    ] = None,
) -> None:
    """Start the system in the background, or show the one that runs."""
    folder, clock = invocation.session.state_folder, invocation.session.clock
    started_s = clock.monotonic_s()
    with sole_command(folder, clock):
        host, before = host_process.find_host(folder), last_settings(folder)
        is_new = host is None
        if host is None:
            if port is None:
                port = host_process.last_port(folder) or DEFAULT_PORT
            host = _started(folder, processes_per_app, port, clock)
        else:
            start_missing_cloud(folder, clock)
    if not is_new and port not in {None, 0, host.port}:
        raise _runs_already(f"on port {host.port}")
    count = host_process.processes_per_app(folder)
    if processes_per_app not in {None, count}:
        raise _runs_already(f"with --processes-per-app {count}")
    elapsed_s = clock.monotonic_s() - started_s
    invocation.show(
        {
            "api": f"{host.url}/runtime",
            "status": f"ready after {elapsed_s:.1f} s" if is_new else "was running already",
            "pid": host.pid,
            "processes": f"{count} of each app" if count else "one for all apps",
            "state": str(folder.path),
            "log": str(folder.host_log),
            "startedAt": host.started_at,
        }
    )
    for said in remarks(before, None if is_new else environ_of(host.pid)):
        note(said)
    if read_login(folder) is None:
        note("next:  runtimectl login --dev")


def _runs_already(how: str) -> Failure:
    return Failure(
        f"the system runs already, {how}",
        ExitCode.CONFLICT,
        remedy="stop it first: `runtimectl down`",
    )


def _started(
    folder: StateFolder, processes: int | None, port: int, clock: Clock
) -> host_process.HostProcess:
    try:
        return start_system(folder, processes, port, clock, SystemEntropy())
    except KeyboardInterrupt as interrupt:
        raise Failure(
            "interrupted: the host that was starting was ended, and nothing runs",
            ExitCode.INTERRUPTED,
            remedy="start it again: `runtimectl up`",
        ) from interrupt


def down(invocation: Invocation) -> None:
    """Stop the host, its agent, every workload and every proxy; `up` starts them again.

    Where each app has processes of its own, the local cloud is stopped as well.
    """
    folder, clock = invocation.session.state_folder, invocation.session.clock
    # What `up` starts just now is stopped when it runs, or when that hangs.
    with folder_lock(folder, clock) if folder.path.is_dir() else nullcontext():
        is_host_stopped = False
        try:
            pid = host_process.stop_host(folder, clock)
            is_host_stopped = True
            stopped = host_process.stop_workloads(folder, clock)
            if host_process.processes_per_app(folder):
                stop_cloud(folder, clock)
        except KeyboardInterrupt as interrupt:
            raise Failure(
                f"interrupted: the host {'is stopped' if is_host_stopped else 'may run still'}, and"
                " workloads or proxies may run",
                ExitCode.INTERRUPTED,
                remedy="stop the rest: `runtimectl down`",
            ) from interrupt
    invocation.show(
        {
            "host": f"stopped (pid {pid})" if pid else "did not run",
            "processes": f"{stopped} stopped",
            "state": str(folder.path),
        }
    )


def completion(
    shell: Annotated[
        Shell, typer.Argument(help="Its script goes to standard output.", show_default=False)
    ],
) -> None:
    """Print the completion script of a shell, e.g. `eval "$(runtimectl completion bash)"`."""
    say(
        get_completion_script(prog_name=NAME, complete_var=f"_{NAME.upper()}_COMPLETE", shell=shell)
    )


def login(
    invocation: Invocation,
    tenant: Annotated[str, typer.Option(help="The tenant of the token.")] = DEFAULT_TENANT,
    user: Annotated[
        str | None, typer.Option(help="Your name; by default that of your account.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(ROLES)}; may be repeated.")
    ] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Sign with the key of this machine.")] = False,
) -> None:
    """Get a token and store it in the state folder, readable by you only."""
    if not dev:
        raise Failure(
            "only development tokens can be signed here",
            ExitCode.USAGE,
            remedy="`runtimectl login --dev`, or put a token of your identity provider into "
            "RUNTIMECTL_TOKEN and its address into RUNTIMECTL_URL",
        )
    roles = tuple(role or ["Runtime.Admin"])
    if unknown := [name for name in roles if name not in ROLES]:
        raise Failure(
            f"unknown role {unknown[0]!r}: expected one of {', '.join(ROLES)}", ExitCode.USAGE
        )
    folder, clock = invocation.session.state_folder, invocation.session.clock
    token = log_in(folder, clock, tenant, user or getpass.getuser(), roles)
    invocation.show(
        {
            "tenant": token.tenant,
            "user": token.user,
            "roles": list(token.roles),
            "expiresAt": token.expires_at,
            "file": str(folder.token_file),
        }
    )
