"""`cloud`: what stands in for Azure's data plane, as a process of its own."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Final

import typer

from cli.cloud_process import app_settings, find_cloud, start_cloud, stop_cloud
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.folder_lock import folder_lock
from cli.options import Commands, Invocation
from cli.output import note
from cli.state_folder import StateFolder

app = Commands(help="The local cloud, for apps that reach it as they reach Azure.")
_COSMOS_PORT: Final = typer.Option(help="Port of Cosmos DB, 0: any.", min=0, max=65_535)
_BUS_PORT: Final = typer.Option(help="Port of Service Bus, 0: any.", min=0, max=65_535)
_BLOB_PORT: Final = typer.Option(help="Port of Blob storage, 0: any.", min=0, max=65_535)
_TABLE_PORT: Final = typer.Option(help="Port of Table storage, 0: any.", min=0, max=65_535)


@app.command()
def up(
    invocation: Invocation,
    cosmos_port: Annotated[int, _COSMOS_PORT] = 0,
    service_bus_port: Annotated[int, _BUS_PORT] = 0,
    blob_port: Annotated[int, _BLOB_PORT] = 0,
    table_port: Annotated[int, _TABLE_PORT] = 0,
) -> None:
    """Start the local cloud in the background, or show the one that runs."""
    folder, clock = invocation.session.state_folder, invocation.session.clock
    with folder_lock(folder, clock):
        is_new = find_cloud(folder) is None
        if is_new:
            options = ["--cosmos-port", str(cosmos_port), "--agent-folder", str(folder.path)]
            options += ["--blob-port", str(blob_port), "--table-port", str(table_port)]
            if find_spec("proton") is None:
                note("without Service Bus: requirements/cloud.txt is not installed")
            else:
                options += ["--service-bus-port", str(service_bus_port)]
            start_cloud(folder, options, clock)
    invocation.show(_shown(folder, "ready" if is_new else "was running already"))


@app.command()
def down(invocation: Invocation) -> None:
    """Stop the local cloud; what it keeps is there after the next `cloud up`."""
    folder, clock = invocation.session.state_folder, invocation.session.clock
    pid = stop_cloud(folder, clock) if folder.path.is_dir() else None
    invocation.show({"cloud": f"stopped (pid {pid})" if pid else "did not run"})


@app.command()
def status(invocation: Invocation) -> None:
    """Show whether the local cloud runs, and what it serves."""
    folder = invocation.session.state_folder
    invocation.show(_shown(folder, "ready" if find_cloud(folder) else "does not run"))


@app.command()
def settings(invocation: Invocation) -> None:
    """Print a `local.settings.json` for apps that use this local cloud."""
    folder = invocation.session.state_folder
    connections = app_settings(folder)
    if find_cloud(folder) is None or connections is None:
        raise Failure(
            "the local cloud does not run",
            ExitCode.UNAVAILABLE,
            remedy="`runtimectl cloud up`",
        )
    values = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "RUNTIME_PROFILE": "local",
        "RUNTIME_ISSUER_KEYS": str(folder.issuer / "jwks.json"),
        **connections,
    }
    print(json.dumps({"IsEncrypted": False, "Values": values}, indent=2))


def _shown(folder: StateFolder, status_text: str) -> Mapping[str, Any]:
    process = find_cloud(folder)
    served = sorted(app_settings(folder) or {}) if process else []
    return {
        "status": status_text,
        "pid": process.pid if process else None,
        "connections": ", ".join(served),
        "state": str(folder.cloud),
    }
