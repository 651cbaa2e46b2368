"""`cluster`: a Kubernetes cluster on this machine, as a process of its own."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Any, Final

import typer

from cli.cluster_process import find_cluster, record_of, start_cluster, stop_cluster
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.folder_lock import folder_lock, sole_command
from cli.options import Commands, Invocation
from cli.output import note
from cli.state_folder import StateFolder
from local_cluster.cluster_folder import ClusterFolder, ClusterRecord, Form
from local_cluster.network import NODES_MAX

app = Commands(help="A Kubernetes cluster on this machine, for laptops and tests.")

NODES: Final = 2
_FORM: Final = typer.Option(
    help="root: real nodes; rootless: the same in a user namespace; kwok: nodes that only say"
    " that pods run."
    " Without it, the most real one that this machine can have.",
)
_NODES: Final = typer.Option(
    help=f"How many nodes it has; {NODES} without it.", min=1, max=NODES_MAX
)


@app.command()
def up(
    invocation: Invocation,
    form: Annotated[Form | None, _FORM] = None,
    nodes: Annotated[int | None, _NODES] = None,
) -> None:
    """Start the cluster in the background, or show the one that runs; say what its form lacks."""
    folder, clock = invocation.session.state_folder, invocation.session.clock
    with sole_command(folder, clock):
        running = find_cluster(folder)
        if running is None:
            if record_of(folder) is not None:
                note("the last cluster was killed: what was in it is gone, its images are kept")
            start_cluster(folder, form, nodes or NODES, clock)
        elif (record := record_of(folder)) is None:
            raise Failure(
                f"a cluster starts here already, with pid {running.pid}",
                ExitCode.CONFLICT,
                remedy="`runtimectl cluster status`, or `runtimectl cluster down`",
            )
        elif (form or record.form) is not record.form:
            raise Failure(
                f"the cluster runs already, in the form {record.form}",
                ExitCode.CONFLICT,
                remedy="stop it first: `runtimectl cluster down`",
            )
        elif (nodes or len(record.nodes)) != len(record.nodes):
            raise Failure(
                f"the cluster runs already, with --nodes {len(record.nodes)}",
                ExitCode.CONFLICT,
                remedy="stop it first: `runtimectl cluster down`",
            )
    invocation.show(_shown(folder, "ready" if running is None else "was running already"))


@app.command()
def down(invocation: Invocation) -> None:
    """Stop the cluster and remove it, with everything in it; also one that was killed."""
    folder, clock = invocation.session.state_folder, invocation.session.clock
    # What `cluster up` starts just now is stopped when it runs, or when that hangs.
    with folder_lock(folder, clock) if folder.path.is_dir() else nullcontext():
        pid = stop_cluster(folder, clock) if folder.path.is_dir() else None
    invocation.show({"cluster": f"stopped (pid {pid})" if pid else "did not run"})


@app.command()
def status(invocation: Invocation) -> None:
    """Show whether the cluster runs, where it is, and what its form lacks."""
    folder = invocation.session.state_folder
    invocation.show(_shown(folder, "ready" if find_cluster(folder) else "does not run"))


def _shown(folder: StateFolder, status_text: str) -> Mapping[str, Any]:
    process, record = find_cluster(folder), record_of(folder)
    if process is None or record is None:
        return {
            "status": status_text if process is None else "starts",
            "state": str(folder.cluster),
        }
    return {
        "status": status_text,
        "pid": process.pid,
        "state": str(folder.cluster),
        "form": record.form,
        "lacks": record.lacks,
        "server": record.server,
        "kubeconfig": record.kubeconfig,
        "nodes": record.nodes,
        "network": record.network,
        "gatewayClass": record.gateway_class,
        "gateways": _gateways(ClusterFolder(folder.cluster), record),
        "counters": record.counters,
        "gatewayNetworks": record.gateway_networks,
        "networkPolicies": "enforced" if record.policies else "accepted, not enforced",
        "registry": record.registry,
    }


def _gateways(folder: ClusterFolder, record: ClusterRecord) -> str | None:
    """Return whether the Gateways are served; None of a cluster without traffic."""
    if record.gateway_class is None:
        return None
    return (
        "served"
        if folder.gateways_served.exists()
        else f"not served at the moment: see {folder.log}"
    )
