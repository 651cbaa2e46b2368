"""`up`, `down`, `login`: the system on this machine, and who works with it."""

import getpass
from typing import Annotated

import typer

from cli import host_process
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Output, State
from cli.output import Format, note, show
from cli.session import ROLES, Session, log_in, read_login
from cli.state_folder import DEFAULT_STATE
from shared.kernel.entropy import SystemEntropy

DEFAULT_PORT = 7071
DEFAULT_TENANT = "tenant-dev"


def up(
    port: Annotated[
        int, typer.Option(help="Port of the API; 0: any free one.", min=0)
    ] = DEFAULT_PORT,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Start the system in the background and leave it running. Again: shows what runs."""
    session = Session(state)
    place, clock = session.place, session.clock
    began_s = clock.monotonic_s()
    host = host_process.find_host(place)
    is_new = host is None
    if host is None:
        host = host_process.start_host(place, port, clock, SystemEntropy())
    elif port not in {DEFAULT_PORT, 0, host.port}:
        raise Failure(
            f"the system runs already, on port {host.port}",
            ExitCode.CONFLICT,
            fix="stop it first: `runtimectl down`",
        )
    took_s = clock.monotonic_s() - began_s
    show(
        {
            "api": f"{host.url}/runtime",
            "status": f"ready after {took_s:.1f} s" if is_new else "was running already",
            "pid": host.pid,
            "state": str(place.state),
            "log": str(place.host_log),
            "startedAt": host.started_at,
        },
        output,
    )
    if read_login(place) is None:
        note("next:  runtimectl login --dev")


def down(state: State = DEFAULT_STATE, output: Output = Format.TABLE) -> None:
    """Stop the host, every workload and every proxy; what was deployed comes back with `up`."""
    session = Session(state)
    pid = host_process.stop_host(session.place, session.clock)
    stopped = host_process.stop_workloads(session.place, session.clock)
    show(
        {
            "host": f"stopped (pid {pid})" if pid else "did not run",
            "processes": f"{stopped} stopped",
            "state": str(session.place.state),
        },
        output,
    )


def login(
    tenant: Annotated[str, typer.Option(help="Whose data the token opens.")] = DEFAULT_TENANT,
    user: Annotated[str | None, typer.Option(help="Who you are; your account's name.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(ROLES)}; may be repeated.")
    ] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Sign with the key of this machine.")] = False,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Get a token and keep it in the state folder, readable by you only."""
    if not dev:
        raise Failure(
            "only development tokens can be signed here",
            ExitCode.USAGE,
            fix="`runtimectl login --dev`, or put a token of your identity provider into "
            "RUNTIMECTL_TOKEN and its address into RUNTIMECTL_URL",
        )
    roles = tuple(role or ["Runtime.Admin"])
    if unknown := [each for each in roles if each not in ROLES]:
        raise Failure(
            f"unknown role {unknown[0]!r}: expected one of {', '.join(ROLES)}", ExitCode.USAGE
        )
    session = Session(state)
    kept = log_in(session.place, session.clock, tenant, user or getpass.getuser(), roles)
    show(
        {
            "tenant": kept.tenant,
            "user": kept.user,
            "roles": list(kept.roles),
            "expiresAt": kept.expires_at,
            "file": str(session.place.token_file),
        },
        output,
    )
