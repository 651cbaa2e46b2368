"""`deployments` and `deployment`: list deployments, and show one."""

from itertools import islice
from typing import Annotated, Final

import typer

from cli.deployment_selector import DeploymentSelector
from cli.lookup import environment_id, environment_names, with_environment
from cli.options import EnvironmentFilter, Invocation, Module, WaitOptions
from cli.output import Column, format_time, say
from cli.parameter_types import one_of
from cli.watch_rollout import ROOT, RolloutWatch, require_ended_as, watch_rollout

_CONTRACT: Final = "shared.contracts.deployments"
_COLUMNS: Final = (
    Column("ASKED", lambda deployment: format_time(deployment["createdAt"])),
    Column("ENVIRONMENT", "environment"),
    Column("RELEASE", "releaseRef"),
    Column("KIND", "kind"),
    Column("STATUS", "status"),
    Column("%", "weight"),
    Column("WAITS FOR", "waitingFor"),
    Column("WHO", "requestedBy"),
    Column("ID", "deploymentId"),
)
_FIELDS: Final = (
    "deploymentId", "releaseRef", "kind", "status", "weight", "waitingFor", "holder", "requestedBy",
    "createdAt", "endedAt", "previousDeploymentId", "operationId",
)  # fmt: skip


def deployments(
    invocation: Invocation,
    env: EnvironmentFilter = None,
    module: Module = None,
    status: Annotated[
        str | None, typer.Option(help="Only this status.", **one_of(_CONTRACT, "DeploymentStatus"))
    ] = None,
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 30,
) -> None:
    """List deployments, newest last."""
    client = invocation.client
    names = environment_names(client)
    query = {
        "environmentId": environment_id(client, env),
        "moduleId": module,
        "status": status,
    }
    newest_first = islice(client.list_all(ROOT, query), last)
    rows = [with_environment(each, names) for each in newest_first]
    invocation.show(rows[::-1], _COLUMNS, empty="nothing was deployed yet")


def deployment(selector: DeploymentSelector, waiting: WaitOptions, invocation: Invocation) -> None:
    """Show one deployment: steps, weights, evidence, proof; --wait watches it."""
    deployment_id = selector.find_id(invocation.client)
    if waiting.wait:
        watch = watch_rollout(
            invocation.session,
            deployment_id,
            timeout_s=waiting.timeout_s,
            form=invocation.output,
        )
        require_ended_as(watch.deployment, ("Completed",))
        return
    if not invocation.is_table:
        invocation.show(invocation.client.get(f"{ROOT}/{deployment_id}").body)
        return
    watch = RolloutWatch(invocation.session, deployment_id)
    watch.poll()
    invocation.show({name: watch.deployment[name] for name in _FIELDS})
    say("\n".join(f"  {line.text}" for line in watch.lines))
