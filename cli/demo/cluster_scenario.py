"""The parts of the story on a cluster in order; each prints its commands and their effects."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cli.demo.cluster import MODULE_LABEL, DemoCluster
from cli.demo.cluster_faults import edit_live, kill_api_server
from cli.demo.rollouts import print_proof, rolled_back_deployment, service_id, until_canary
from cli.demo.sandbox import DemoFailed, Sandbox
from cli.demo.scenario import NEW, OLD, PATH, PROJECT
from cli.exit_codes import ExitCode
from local_cluster.cluster_folder import Form
from shared.kernel.clock import parse_instant

MODULE: Final = "module-datasette"
SITE: Final = "module-site"
ENVIRONMENT: Final = "shop"
FOLDER: Final = "examples/cluster"
BAD: Final = f"{NEW}-failing"
SMALL: Final = f"{NEW}-small"
ABSENT: Final = "9.9.9"
SMALL_MIB: Final = 24
"""Python alone needs more."""
RATE: Final = 30
SITE_RATE: Final = 10
"""Requests per second, as the machine starts pods and kills nodes meanwhile."""
SITE_PATH: Final = "docs/version.json"
_ROOMY_MIB: Final = 256
_REGISTRY: Final = "127.0.0.1:5000"
"""In the release files; replaced by the registry of the cluster."""
_RBAC: Final = "deploy/kubernetes/rbac.yaml"


def boot(sandbox: Sandbox, form: Form) -> DemoCluster:
    """Start the cluster, give the platform its rights there, start it and log in."""
    sandbox.print_title("1 · A Kubernetes cluster, and the platform connected to it")
    sandbox.run(f"cluster up --form {form} --nodes 2")
    cluster = DemoCluster(sandbox)
    cluster.set_up_platform()
    cluster.kubectl(f"apply --server-side -f {_RBAC}")
    sandbox.run(f"up --port {sandbox.port}")
    sandbox.run("login --dev --tenant tenant-demo --user you")
    return cluster


def build(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Build and push the images of three releases, and archives of the site."""
    sandbox.print_title("2 · Images of Datasette in the cluster's registry, and a site's archives")
    packages = {
        OLD: f"datasette=={OLD}",
        NEW: f"datasette=={NEW}",
        BAD: f"datasette=={NEW} {FOLDER}/failing_plugin",
    }
    for release, words in packages.items():
        sandbox.run(f"image build {words} --push {_image(cluster, release)}")
    for release in packages:
        site = _file(sandbox, f"site-{release}")
        shutil.copytree(f"{FOLDER}/site", site)
        page = Path(site, "docs", "version.json")
        page.write_text(page.read_text(encoding="utf-8").replace(OLD, release), encoding="utf-8")
        sandbox.run(f"artifact build --folder {site} --to {site}.zip")


def provision(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Create the environment: a namespace in the cluster, and its place on this machine."""
    sandbox.print_title("3 · One environment on two surfaces")
    sandbox.run(
        f"env create {ENVIRONMENT} --stage test --project {PROJECT}"
        " --target AKS --target LocalProcess --wait"
    )
    cluster.kubectl("get namespaces -l app.kubernetes.io/managed-by=factory-runtime")


def deploy_first(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Deploy one release with a component on each surface."""
    sandbox.print_title(f"4 · One release, {OLD}: Datasette in pods, its site as a process")
    sandbox.run(f"{_deploy_unit(sandbox, cluster, OLD)} --wait")
    cluster.kubectl(f"get pods -A -o wide -l {MODULE_LABEL}={MODULE}")


def start_load(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Start a client at each public entry, as the platform names it; they go on to the end."""
    sandbox.print_title("5 · A client at each entry, from here to the end")
    provisioned = sandbox.environment(ENVIRONMENT)["provisioned"]
    entries = {target["kind"]: str(target["endpoint"]) for target in provisioned}
    within = cluster.way_in()
    pods, site = f"{entries['AKS']}{PATH}", f"{entries['LocalProcess']}{SITE_PATH}"
    pid = sandbox.load.start(pods, rate=RATE, within=within)
    second = sandbox.second_load.start(site, rate=SITE_RATE)
    where = ", inside of the cluster's user namespace" if within else ""
    sandbox.print(
        f"a client (pid {pid}) asks {pods}, the cluster's Gateway{where}, {RATE} times a second,"
    )
    sandbox.print(
        f"another one (pid {second}) {site} {SITE_RATE} times; they never retry;"
        " failed is: no connection, no full answer in 5 s, or a status of 500 and above"
    )
    sandbox.run("status")


def promote_by_canary(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Deploy the new release by canary; kill the API server while the weight is in between."""
    sandbox.print_title(f"6 · {NEW} by canary, and the API server killed on the way")
    sandbox.run(_deploy_unit(sandbox, cluster, NEW))
    deployment = until_canary(sandbox, ENVIRONMENT)
    kill_api_server(sandbox, cluster, deployment["weight"])
    sandbox.run(f"deployment {ENVIRONMENT} --wait")


@dataclass(frozen=True)
class ErrorVerdict:
    """Why the gate let a release go back, by the counters of the cluster's gateway."""

    value: float
    baseline: float | None
    threshold: float
    requests: int
    errors: int
    first_bad_at: datetime | None


def deploy_bad_release(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Deploy a release that starts well and fails requests: both components go back."""
    sandbox.print_title("7 · A third release: starts well, and answers each third request with 500")
    line = _deploy_unit(sandbox, cluster, BAD)
    sandbox.run(f"{line} --wait", expect=ExitCode.ENDED_OTHERWISE)
    deployment = rolled_back_deployment(sandbox, ENVIRONMENT)
    _print_rollback(sandbox, deployment, error_verdict(deployment))
    sandbox.print()
    sandbox.print("the same release again is refused, and the refusal says the way out:")
    sandbox.run(line, expect=ExitCode.CONFLICT)


def error_verdict(deployment: Mapping[str, Any]) -> ErrorVerdict:
    """Return the failed analysis of errors. Raises DemoFailed where no gate had one."""
    for step in deployment["steps"]:
        for evidence in step["evidence"]:
            for analysis in evidence["analyses"]:
                if (analysis["measure"], analysis["verdict"]) == ("errorRatio", "Fail"):
                    first_bad = evidence["firstBadAt"]
                    return ErrorVerdict(
                        analysis["value"],
                        analysis["baseline"],
                        analysis["threshold"],
                        evidence["candidate"]["requests"],
                        evidence["candidate"]["errors"],
                        parse_instant(first_bad) if first_bad else None,
                    )
    raise DemoFailed("the bad release went back for another reason than its errors")


def _print_rollback(sandbox: Sandbox, deployment: Mapping[str, Any], verdict: ErrorVerdict) -> None:
    """Print trigger, figures, exposure and the proof of each instance on both surfaces."""
    answers = [request.sent_at for request in sandbox.load.requests() if request.release == BAD]
    sandbox.print()
    sandbox.print(f"trigger:   {deployment['reason']['message']}")
    sandbox.print(
        f"figures:   {verdict.value:.1%} of {verdict.requests} requests failed"
        f" ({verdict.errors}), {verdict.baseline or 0:.1%} of the old release;"
        f" limit +{verdict.threshold:.1%}, counted by the cluster's gateway"
    )
    if verdict.first_bad_at is not None and answers:
        seconds = max(0.0, (max(answers) - verdict.first_bad_at).total_seconds())
        sandbox.print(
            f"time:      {seconds:.1f} s from the first bad sample to the last bad answer"
        )
    sandbox.print(f"exposed:   {len(answers)} requests of the client got its 500")
    print_proof(sandbox, deployment)


def deploy_absent_image(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Deploy an image that nobody has pushed: it is refused at the command."""
    sandbox.print_title("8 · An image that does not exist")
    sandbox.run(_deploy_pods(sandbox, cluster, ABSENT), expect=ExitCode.REFUSED)


def deploy_small_memory(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Deploy with a limit of memory that is too low: what killed its pods is told as such."""
    sandbox.print_title(f"9 · A release that may have {SMALL_MIB} MiB of memory")
    if not cluster.has_limits:
        sandbox.print("left out: a cluster without root holds no pod to its memory")
        return
    line = _deploy_pods(sandbox, cluster, NEW, SMALL_MIB)
    sandbox.run(f"{line} --wait", expect=ExitCode.ENDED_OTHERWISE)
    deployment = rolled_back_deployment(sandbox, ENVIRONMENT)
    reason = str(deployment["reason"]["message"])
    if "memory limit exceeded" not in reason:
        raise DemoFailed(f"a pod that memory killed is told as: {reason}")
    sandbox.print()
    sandbox.print(f"told as:   {reason.partition('; its last lines')[0]}")
    sandbox.print("requests:  none of the client reached it: it never had weight")


def edit(sandbox: Sandbox, cluster: DemoCluster) -> None:
    """Change the release in force by kubectl, and show it by the platform."""
    service = service_id(sandbox, sandbox.environment(ENVIRONMENT), MODULE)
    edit_live(sandbox, cluster, service, MODULE)


def _deploy_unit(sandbox: Sandbox, cluster: DemoCluster, release: str) -> str:
    """Return the command that deploys *release* of both components."""
    file = _release_file(sandbox, cluster, "unit", release)
    site = _file(sandbox, f"site-{release}.zip")
    return f"deploy -f {file} --artifact {SITE}={site} --env {ENVIRONMENT}"


def _deploy_pods(
    sandbox: Sandbox, cluster: DemoCluster, release: str, memory_mib: int = _ROOMY_MIB
) -> str:
    """Return the command that deploys *release* of the component in the cluster."""
    file = _release_file(sandbox, cluster, "datasette", release, memory_mib)
    return f"deploy -f {file} --env {ENVIRONMENT}"


def _release_file(
    sandbox: Sandbox,
    cluster: DemoCluster,
    name: str,
    release: str,
    memory_mib: int = _ROOMY_MIB,
) -> str:
    """Write the example *name* for *release* and this cluster; return its relative path."""
    text = Path(FOLDER, f"{name}.yaml").read_text(encoding="utf-8")
    for before, after in (
        (_REGISTRY, cluster.registry),
        (OLD, release),
        (f"memoryMib: {_ROOMY_MIB}", f"memoryMib: {memory_mib}"),
    ):
        text = text.replace(before, after)
    path = _file(sandbox, f"{name}-{release}-{memory_mib}.yaml")
    Path(path).write_text(text, encoding="utf-8")
    return path


def _image(cluster: DemoCluster, release: str) -> str:
    return f"{cluster.registry}/datasette:{release}"


def _file(sandbox: Sandbox, name: str) -> str:
    """Return the relative path of the file *name* of this run."""
    return os.path.relpath(sandbox.folder / name)
