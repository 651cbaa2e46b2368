"""`cloud`: what stands in for Azure's data plane, as a process of its own."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.cloud_process import (
    addresses,
    app_settings,
    cloud_options,
    find_cloud,
    identity_settings,
    other_port,
    start_cloud,
    stop_cloud,
)
from cli.cloud_services import answers
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.folder_lock import folder_lock, sole_command
from cli.host_program import check_cluster_packages
from cli.options import Commands, Invocation
from cli.output import Format, note, show
from cli.state_folder import StateFolder

app = Commands(help="The local cloud, for apps that reach it as they reach Azure.")


def _port(what: str) -> Any:
    return typer.Option(help=f"Port of {what}, 0: the last, at first any.", min=0, max=65_535)


_APP: Final = typer.Option(
    "--app", help="By the identity of this app, or of `operator`, instead of by keys."
)


_BROKER: Final = typer.Option(
    "--broker",
    help="Queues and topics of your application, as in the Service Bus emulator's Config.json.",
    exists=True,
    dir_okay=False,
    metavar="FILE",
)
_GATEWAY: Final = "http://127.0.0.1:7071"
"""Where `func start` at the root of the repository, or the embedded host, serves all apps."""


@app.command()
def up(
    invocation: Invocation,
    cosmos_port: Annotated[int, _port("Cosmos DB")] = 0,
    cosmos_https_port: Annotated[int, _port("Cosmos DB, for identities")] = 0,
    service_bus_port: Annotated[int, _port("Service Bus")] = 0,
    service_bus_tls_port: Annotated[int, _port("Service Bus, for identities")] = 0,
    blob_port: Annotated[int, _port("Blob storage")] = 0,
    blob_https_port: Annotated[int, _port("Blob storage, for identities")] = 0,
    table_port: Annotated[int, _port("Table storage")] = 0,
    table_https_port: Annotated[int, _port("Table storage, for identities")] = 0,
    key_vault_port: Annotated[int, _port("Key Vault")] = 0,
    token_port: Annotated[int, _port("the tokens of identities")] = 0,
    broker: Annotated[Path | None, _BROKER] = None,
) -> None:
    """Start the local cloud in the background, or show the one that runs."""
    folder, clock = invocation.session.state_folder, invocation.session.clock
    ports = {
        "cosmos": cosmos_port,
        "cosmos-https": cosmos_https_port,
        "blob": blob_port,
        "blob-https": blob_https_port,
        "table": table_port,
        "table-https": table_https_port,
        "key-vault": key_vault_port,
        "token": token_port,
        "service-bus": service_bus_port,
        "service-bus-tls": service_bus_tls_port,
    }
    with sole_command(folder, clock):
        is_new = find_cloud(folder) is None
        if is_new:
            if find_spec("proton") is None:
                note("without Service Bus: requirements/cloud.txt is not installed")
            check_cluster_packages()
            start_cloud(folder, cloud_options(folder, ports, broker), clock)
        elif broker is not None:
            raise Failure(
                "the local cloud runs already; it reads --broker when it starts",
                ExitCode.CONFLICT,
                remedy="stop it first: `runtimectl cloud down`",
            )
        elif service := other_port(folder, ports):
            raise Failure(
                f"the local cloud runs already, with another port of {service}",
                ExitCode.CONFLICT,
                remedy="stop it first: `runtimectl cloud down`",
            )
    invocation.show(_shown(folder, "ready" if is_new else "was running already"))


@app.command()
def down(invocation: Invocation) -> None:
    """Stop the local cloud; what it keeps is there after the next `cloud up`."""
    folder, clock = invocation.session.state_folder, invocation.session.clock
    # What `cloud up` starts just now is stopped when it runs, or when that hangs.
    with folder_lock(folder, clock) if folder.path.is_dir() else nullcontext():
        pid = stop_cloud(folder, clock) if folder.path.is_dir() else None
    invocation.show({"cloud": f"stopped (pid {pid})" if pid else "did not run"})


@app.command()
def status(invocation: Invocation) -> None:
    """Show whether the local cloud runs, where each service is, and whether it answers."""
    folder = invocation.session.state_folder
    invocation.show(_shown(folder, "ready" if find_cloud(folder) else "does not run"))


@app.command()
def settings(invocation: Invocation, app_name: Annotated[str | None, _APP] = None) -> None:
    """Print a `local.settings.json` for apps that use this local cloud."""
    folder = invocation.session.state_folder
    if find_cloud(folder) is None or (by_key := app_settings(folder)) is None:
        raise Failure(
            "the local cloud does not run",
            ExitCode.UNAVAILABLE,
            remedy="`runtimectl cloud up`",
        )
    connections = by_key if app_name is None else _of_identity(folder, app_name)
    values = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "RUNTIME_PROFILE": "local",
        "RUNTIME_ISSUER_KEYS": str(folder.issuer / "jwks.json"),
        "RUNTIME_GATEWAY_URL": _GATEWAY,
        **connections,
    }
    show({"IsEncrypted": False, "Values": values}, Format.JSON)


def _of_identity(folder: StateFolder, name: str) -> Mapping[str, str]:
    known = identity_settings(folder)
    if name not in known:
        raise Failure(
            f"the local cloud has no identity {name!r}",
            ExitCode.USAGE,
            remedy=f"one of {', '.join(known)}",
        )
    return known[name]


def _shown(folder: StateFolder, status_text: str) -> Mapping[str, Any]:
    process = find_cloud(folder)
    where = addresses(folder) if process else {}
    with ThreadPoolExecutor(len(where) or 1) as asking:  # one that hangs delays no other
        answering = list(asking.map(answers, where.values()))
    return {
        "status": status_text if all(answering) else "runs, and does not answer at every port",
        "pid": process.pid if process else None,
        "state": str(folder.cloud),
        **{
            service: f"{address} {'answers' if is_answering else 'does not answer'}"
            for (service, address), is_answering in zip(where.items(), answering, strict=True)
        },
    }
