"""Selects the deployment that a command means, by its id or by the name of its environment."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from cli.client import Client
from cli.deployment_words import deployment_words, modules_of
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id, require_alone
from cli.options import Module
from cli.parameter_types import module_id
from cli.rollout_report import Deployment
from cli.watch_rollout import ROOT
from shared.kernel.ids import id_shape

RUNNING: Final = (
    "Requested", "Provisioning", "Configuring", "RollingOut", "HealthGating", "Promoting",
    "RollingBack",
)  # fmt: skip
_DEPLOYMENT_ID: Final = re.compile(id_shape("dep"))


@dataclass(frozen=True)
class DeploymentSelector:
    """Selects one deployment, by its id or as one of an environment that fits the command."""

    deployment: Annotated[
        str,
        typer.Argument(
            metavar="DEPLOYMENT",
            help="Its id, or an environment: the deployment there that fits.",
            show_default=False,
        ),
    ]
    module: Module = None
    env: Annotated[
        str | None,
        typer.Option("--env", "-e", help="With it DEPLOYMENT is a module there.", metavar="ENV"),
    ] = None

    def find_id(self, client: Client, *statuses: str) -> str:
        """Return the id of the deployment; of an environment, the newest in one of *statuses*.

        Raises:
            Failure: none fits.
        """
        if self._is_id:
            return require_alone(self.deployment, env=self.env, module=self.module)
        fitting = self._fitting(client, *statuses)
        return _id_of(self._required(fitting, " or ".join(statuses))[0])

    def find_only_id(self, client: Client, command: str, *statuses: str) -> str:
        """Return the id of the deployment; of an environment, the only one in one of *statuses*.

        Raises:
            Failure: none fits, or several do: *command* is then shown for each.
        """
        if self._is_id:
            return require_alone(self.deployment, env=self.env, module=self.module)
        fitting = self._fitting(client, *statuses)
        wanted = "on its way" if statuses == RUNNING else " or ".join(statuses)
        return self._only(self._required(fitting, wanted), command)

    def find_held_id(self, client: Client) -> str:
        """Return the id of the deployment; of an environment, the only one that holds a release.

        Raises:
            Failure: none holds one, or several do.
        """
        if self._is_id:
            return require_alone(self.deployment, env=self.env, module=self.module)
        held = [each for each in self._fitting(client) if each.get("holds")]
        return self._only(self._required(held, "the cause of a hold"), "release-hold")

    def find_undoable_id(self, client: Client, *, is_goal_named: bool) -> str:
        """Return the id of the deployment to roll back.

        Of an environment it is the only one on its way, else the newest, if it Completed. What
        was rolled back already is not rolled back again: only a caller who names the deployment,
        or the release to go back to, goes behind what serves now.

        Raises:
            Failure: the newest has ended otherwise, is a rollback itself, or several are on their
                way.
        """
        if self._is_id:
            return require_alone(self.deployment, env=self.env, module=self.module)
        known = [each for each in self._fitting(client) if each["status"] != "Cancelled"]
        if running := [each for each in known if each["status"] in RUNNING]:
            return self._only(running, "rollback")
        completed = [each for each in known if each["status"] == "Completed"]
        newest_completed = self._required(completed, "Completed")[0]
        if known[0] is not newest_completed and not is_goal_named:
            raise _ended_otherwise(known[0], completed)
        if newest_completed["kind"] == "rollback" and not is_goal_named:
            raise _went_back_already(newest_completed)
        return _id_of(newest_completed)

    def find_retryable_id(self, client: Client) -> str:
        """Return the id of the deployment; of an environment, the one on its way, else the newest.

        Raises:
            Failure: the newest has not Failed, or several are on their way.
        """
        if self._is_id:
            return require_alone(self.deployment, env=self.env, module=self.module)
        known = self._required(self._fitting(client), "")
        if running := [each for each in known if each["status"] in RUNNING]:
            return self._only(running, "retry")
        if known[0]["status"] != "Failed":
            raise Failure(
                f"the newest deployment, {deployment_words(known[0])}, is {known[0]['status']}; "
                "a Failed or a paused one is retried",
                ExitCode.CONFLICT,
                code="NotRetryable",
            )
        return _id_of(known[0])

    @property
    def _environment(self) -> str:
        return self.env or self.deployment

    @property
    def _module(self) -> str | None:
        """The module that is selected by.

        Raises:
            BadParameter: what is typed for it is none.
            Failure: two are typed.
        """
        if not self.env:
            return self.module
        if self.module is not None:
            raise Failure(
                f"two modules are named, {self.deployment} and {self.module}",
                ExitCode.USAGE,
                remedy=f"with --env the module comes first: {self.module} --env {self.env}",
            )
        return module_id(self.deployment)

    @property
    def _is_id(self) -> bool:
        return _DEPLOYMENT_ID.fullmatch(self.deployment) is not None

    @property
    def _of(self) -> str:
        """The module that was typed, in words; empty where none was."""
        return f" of {self._module}" if self._module else ""

    def _fitting(self, client: Client, *statuses: str) -> Sequence[Deployment]:
        """Return the environment's deployments in one of *statuses*, newest first."""
        deployments = newest_first(client, self._environment, self._module)
        return [each for each in deployments if not statuses or each["status"] in statuses]

    def _required(self, fitting: Sequence[Deployment], wanted: str) -> Sequence[Deployment]:
        if fitting:
            return fitting
        raise Failure(
            f"no deployment{self._of} in {self._environment} is {wanted}"
            if wanted
            else f"nothing{self._of} was deployed to {self._environment} yet",
            ExitCode.NOT_FOUND,
            remedy=f"see what exists: `runtimectl deployments --env {self._environment}`",
        )

    def _only(self, fitting: Sequence[Deployment], command: str) -> str:
        if len(fitting) == 1:
            return _id_of(fitting[0])
        named = ", ".join(f"{deployment_words(each)} is {each['status']}" for each in fitting)
        lines = ", ".join(f"`runtimectl {command} {_id_of(each)}`" for each in fitting)
        raise Failure(
            f"{len(fitting)} deployments{self._of} in {self._environment} fit: {named}",
            ExitCode.USAGE,
            remedy=f"name the one that you mean, in this order: {lines}",
        )


def newest_first(client: Client, environment: str, module: str | None) -> Iterator[Deployment]:
    """Yield the deployments of the environment called *environment* in the order of the API."""
    query = {"environmentId": environment_id(client, environment), "moduleId": module}
    return client.list_all(ROOT, query)


def _id_of(deployment: Deployment) -> str:
    return str(deployment["deploymentId"])


def _ended_otherwise(newest: Deployment, completed: Sequence[Deployment]) -> Failure:
    serving = _serving(newest, completed)
    refs = " and ".join(each["releaseRef"] for each in serving)
    modules = ", ".join(_touched_by(newest))
    lines = " and ".join(f"`runtimectl rollback {_id_of(each)}`" for each in serving)
    return Failure(
        f"the newest deployment, {deployment_words(newest)}, ended as {newest['status']}; "
        + (f"of {modules} {refs} serves" if serving else f"nothing of {modules} serves"),
        ExitCode.CONFLICT,
        code="NotRollbackable",
        remedy=f"if {refs} is bad too, name it: {lines}"
        if serving
        else "deploy a fix: `runtimectl deploy`",
    )


def _went_back_already(newest: Deployment) -> Failure:
    return Failure(
        f"the newest deployment, {_id_of(newest)}, is a rollback already: {newest['releaseRef']}"
        " is in force",
        ExitCode.CONFLICT,
        code="NotRollbackable",
        remedy=f"if that is bad too, name it: `runtimectl rollback {_id_of(newest)}`",
    )


def _serving(newest: Deployment, completed: Sequence[Deployment]) -> Sequence[Deployment]:
    """Return what is in force of the modules of *newest*: other modules are not its concern."""
    serving: list[Deployment] = []
    for module in _touched_by(newest):
        last = next((each for each in completed if module in _touched_by(each)), None)
        if last is not None and module in modules_of(last) and last not in serving:
            serving.append(last)
    return serving


def _touched_by(deployment: Deployment) -> Sequence[str]:
    return [*modules_of(deployment), *deployment.get("remove", ())]
