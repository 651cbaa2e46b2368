"""`deployments`, `deployment`, `logs`: show deployments and the output of their instances."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id, environment_names
from cli.options import (
    EnvironmentFilter,
    EnvironmentOption,
    Invocation,
    Module,
    WaitOptions,
)
from cli.output import Column, format_time, note
from cli.rollout_report import Deployment, rollout_lines
from cli.watch_rollout import ROOT, require_completed, watch_rollout

_DEPLOYMENT_ID: Final = re.compile(r"dep-[a-z2-7]{12}-[0-9a-z]{16}")
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
_LOGS_DEPLOYMENTS_MAX: Final = 10
"""How many deployments are searched for instances with output."""


@dataclass(frozen=True)
class DeploymentSelector:
    """Selects one deployment, by its id or as the newest in an environment."""

    deployment: Annotated[
        str,
        typer.Argument(
            metavar="DEPLOYMENT",
            help="Its id, or an environment: the newest deployment there that fits.",
            show_default=False,
        ),
    ]
    module: Module = None

    def find_id(self, client: Client, *statuses: str) -> str:
        """Return the id of the deployment; of an environment, the newest in one of *statuses*.

        Raises:
            Failure: none fits.
        """
        if _DEPLOYMENT_ID.fullmatch(self.deployment):
            return self.deployment
        return self._newest(self._fitting(client, *statuses), " or ".join(statuses) or "any")

    def find_only_id(self, client: Client, command: str, *statuses: str) -> str:
        """Return the id of the deployment; of an environment, the only one in one of *statuses*.

        Raises:
            Failure: none fits, or several do: *command* is then shown for each.
        """
        if _DEPLOYMENT_ID.fullmatch(self.deployment):
            return self.deployment
        fitting = self._fitting(client, *statuses)
        if len(fitting) > 1:
            named = [f"{each['releaseRef']} is {each['status']}" for each in fitting]
            lines = [f"`runtimectl {command} {each['deploymentId']}`" for each in fitting]
            raise Failure(
                f"{len(fitting)} deployments in {self.deployment} fit: {', '.join(named)}",
                ExitCode.USAGE,
                remedy=f"name the one that you mean, in this order: {', '.join(lines)}",
            )
        return self._newest(fitting, " or ".join(statuses))

    def find_held_id(self, client: Client) -> str:
        """Return the id of the deployment; of an environment, the newest that holds a release.

        Raises:
            Failure: none holds one.
        """
        if _DEPLOYMENT_ID.fullmatch(self.deployment):
            return self.deployment
        held = [each for each in self._fitting(client) if each.get("holds")]
        return self._newest(held, "the cause of a hold")

    def _fitting(self, client: Client, *statuses: str) -> Sequence[Deployment]:
        """Return the environment's deployments in one of *statuses*, newest first."""
        newest_first = _newest_first(client, self.deployment, self.module)
        return [each for each in newest_first if not statuses or each["status"] in statuses]

    def _newest(self, fitting: Sequence[Deployment], wanted: str) -> str:
        if not fitting:
            raise Failure(
                f"no deployment in {self.deployment} is {wanted}",
                ExitCode.NOT_FOUND,
                remedy=f"see what exists: `runtimectl deployments --env {self.deployment}`",
            )
        return str(fitting[0]["deploymentId"])


def deployments(
    invocation: Invocation,
    env: EnvironmentFilter = None,
    module: Module = None,
    status: Annotated[str | None, typer.Option(help="Only this status.")] = None,
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
    by_time = sorted(
        client.list_all(ROOT, query), key=lambda deployment: str(deployment["createdAt"])
    )
    rows = [
        {"environment": names.get(deployment["environmentId"], "?"), **deployment}
        for deployment in by_time[-last:]
    ]
    invocation.show(rows, _COLUMNS, empty="nothing was deployed yet")


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
        require_completed(watch.deployment)
        return
    body = invocation.client.get(f"{ROOT}/{deployment_id}").body
    if not invocation.is_table:
        invocation.show(body)
        return
    invocation.show({name: body[name] for name in _FIELDS})
    print("\n".join(f"  {line.text}" for line in rollout_lines(body)))


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


def _newest_first(client: Client, environment: str, module: str | None) -> list[Deployment]:
    query = {"environmentId": environment_id(client, environment), "moduleId": module}
    return sorted(
        client.list_all(ROOT, query),
        key=lambda deployment: str(deployment["createdAt"]),
        reverse=True,
    )


def _newest_logs(
    client: Client, environment: str, module: str, tail: int
) -> Sequence[Mapping[str, Any]]:
    """Return the output of the newest deployment that has instances, failed ones included.

    When they have stopped, also of the newest whose instances run.
    """
    query, stopped = {"moduleId": module, "tail": str(tail)}, list[Mapping[str, Any]]()
    for deployment in _newest_first(client, environment, module)[:_LOGS_DEPLOYMENTS_MAX]:
        path = f"{ROOT}/{deployment['deploymentId']}/logs"
        instances: Sequence[Mapping[str, Any]] = client.get(path, query).body["value"]
        if any(instance.get("live", True) for instance in instances):
            return [*stopped, *instances]
        stopped = stopped or [*instances]
    return stopped
