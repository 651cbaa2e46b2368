"""`logs`: show the output of the instances of a module."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.deployment_selector import newest_first
from cli.options import EnvironmentOption, Invocation
from cli.output import note
from cli.watch_rollout import ROOT

_DEPLOYMENTS_MAX: Final = 10
"""How many deployments are searched for instances with output."""


def logs(
    module: Annotated[str, typer.Argument(metavar="MODULE", show_default=False)],
    env: EnvironmentOption,
    invocation: Invocation,
    tail: Annotated[int, typer.Option(help="Lines of each instance.", min=1, max=1000)] = 50,
) -> None:
    """Show the last lines that the instances of a module wrote."""
    instances = _newest_logs(invocation.client, env, module, tail)
    if not invocation.is_table:
        invocation.show(instances)
        return
    for instance in instances:
        gone = "" if instance.get("live", True) else ", stopped"
        print(f"== {instance['instance']} (r{instance['releaseRevision']}{gone})")
        print("\n".join(instance["lines"]) or instance["reason"] or "nothing yet")
    if not instances:
        note(f"no instance of {module} runs in {env}: `runtimectl deployments --env {env}`")


def _newest_logs(
    client: Client, environment: str, module: str, tail: int
) -> Sequence[Mapping[str, Any]]:
    """Return the output of the newest deployment that has instances, failed ones included.

    When they have stopped, also of the newest whose instances run.
    """
    query, stopped = {"moduleId": module, "tail": str(tail)}, list[Mapping[str, Any]]()
    for deployment in newest_first(client, environment, module)[:_DEPLOYMENTS_MAX]:
        path = f"{ROOT}/{deployment['deploymentId']}/logs"
        instances: Sequence[Mapping[str, Any]] = client.get(path, query).body["value"]
        if any(instance.get("live", True) for instance in instances):
            return [*stopped, *instances]
        stopped = stopped or [*instances]
    return stopped
