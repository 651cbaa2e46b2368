"""`logs`: show the output of the instances of a module, and follow it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Annotated, Any, Final

import typer

from cli.client import Client, HostUnreachable
from cli.deployment_selector import newest_first
from cli.deployment_words import modules_of
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.lookup import find_environment
from cli.options import EnvironmentOption, Invocation
from cli.output import note, say, show_line
from cli.rollout_report import Deployment
from cli.watch_rollout import ROOT

_DEPLOYMENTS_MAX: Final = 200
"""How many deployments are searched: those of one page of the API."""
_TAIL_MAX: Final = 1000
_POLL_INTERVAL_S: Final = 0.5
Instances = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _InstanceFilter:
    module: str
    revision: int | None
    previous: bool


def logs(
    module: Annotated[str, typer.Argument(metavar="MODULE", show_default=False)],
    env: EnvironmentOption,
    invocation: Invocation,
    tail: Annotated[int, typer.Option(help="Lines of each instance.", min=1, max=_TAIL_MAX)] = 50,
    revision: Annotated[
        int | None, typer.Option(help="Of this release revision (r3 is 3).", min=1)
    ] = None,
    *,
    previous: Annotated[
        bool,
        typer.Option(
            "--previous",
            help="Of the release that was in force before this one; not of rejected ones.",
        ),
    ] = False,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with new lines until Ctrl-C.")
    ] = False,
) -> None:
    """Show the last lines that the instances of a module wrote."""
    which = _InstanceFilter(module, revision, previous=previous)
    if follow:
        with suppress(KeyboardInterrupt):
            for name, line in _new_lines(invocation, env, which, tail):
                _print_line(invocation, name, line)
        return
    instances = _newest_logs(invocation.client, env, which, tail)
    if not invocation.is_table:
        invocation.show(instances)
        return
    for instance in instances:
        name = instance["instance"] or instance["moduleId"]
        say(f"== {name} (r{instance['releaseRevision']}{_gone(instance)})")
        say("\n".join(instance["lines"]) or instance["reason"] or "nothing yet")
    if not instances:
        note(_nothing_of(invocation.client, which, env))


def _gone(instance: Mapping[str, Any]) -> str:
    """Return whether *instance* has stopped, and since when its output is of no surface."""
    if instance.get("live", True) is None:
        return ", not known whether it runs"
    if instance.get("live", True):
        return ""
    stored_at = instance.get("storedAt")
    return f", stopped, stored {stored_at}" if stored_at else ", stopped"


def _new_lines(
    invocation: Invocation, env: str, which: _InstanceFilter, tail: int
) -> Iterator[tuple[str, str]]:
    """Yield instance and line: the last *tail* of each, then each as it comes."""
    seen: dict[str, Sequence[str]] = {}
    is_away = False
    while True:
        try:
            instances = _newest_logs(invocation.client, env, which, _TAIL_MAX)
            is_away, end = False, _end_of(invocation.client, env, which, instances)
        except HostUnreachable:
            if not is_away:
                note("the host does not answer; waiting for it")
            is_away, instances, end = True, [], ""
        for instance in instances:
            name, lines = instance["instance"], instance["lines"]
            fresh = lines_after(seen[name], lines) if name in seen else lines[-tail:]
            seen[name] = lines
            yield from ((name, line) for line in fresh)
        if end:
            note(f"{end}: this is what was stored of it, and nothing more comes")
            return
        pause(invocation.session.clock, _POLL_INTERVAL_S)


def _end_of(client: Client, env: str, which: _InstanceFilter, instances: Instances) -> str:
    """Return why nothing can be written after what *instances* have; empty where something can."""
    if any(instance.get("live", True) is not False for instance in instances):
        return ""
    is_stored = all(instance.get("source") == "stored" for instance in instances)
    if instances and is_stored and which.revision is not None:
        return f"r{which.revision} of {which.module} was removed"
    with suppress(Failure):  # a guest cannot read it, and follows on
        if find_environment(client, env)["status"] == "Decommissioned":
            return f"the environment {env} has ended"
    return ""


def lines_after(earlier: Sequence[str], lines: Sequence[str]) -> Sequence[str]:
    """Return those of *lines* that were written after *earlier*, both the end of one output."""
    for count in range(min(len(earlier), len(lines)), 0, -1):
        if earlier[-count:] == lines[:count]:
            return lines[count:]
    return lines


def _print_line(invocation: Invocation, instance: str, line: str) -> None:
    if invocation.is_table:
        say(f"{instance} | {line}")
    else:
        show_line({"instance": instance, "line": line})


def _nothing_of(client: Client, which: _InstanceFilter, environment: str) -> str:
    newest = next(_deployments_of(client, environment, which.module))
    if which.previous:
        wanted = f"no release of {which.module} was in force before this one, or its output is gone"
        wanted += "; of one that never was in force, ask by its --revision"
    elif newest.get("reason"):
        ended = f"{newest['deploymentId']} ended as {newest['status']} before it wrote anything"
        wanted = f"{ended} ({newest['reason']['message']})"
    else:
        wanted = "there is no such output"
    return f"{wanted}: `{_deployments_command(environment, which)}`"


def _deployments_command(environment: str, which: _InstanceFilter) -> str:
    return f"runtimectl deployments --env {environment} --module {which.module}"


def _newest_logs(client: Client, environment: str, which: _InstanceFilter, tail: int) -> Instances:
    """Return the output of the instances that *which* selects.

    By default those of the newest deployment that has some, failed ones included; when they have
    stopped, also of the release in force, which is that of the newest Completed deployment.

    Raises:
        Failure: the module was never deployed there, or there is no output of that revision.
    """
    deployments = _deployments_of(client, environment, which.module)

    def output_of(deployment: Deployment) -> Instances:
        path = f"{ROOT}/{deployment['deploymentId']}/logs"
        query = {"moduleId": which.module, "tail": str(tail)}
        instances: Instances = client.get(path, query).body["value"]
        return instances

    if which.revision is not None:
        outputs = filter(None, map(output_of, deployments))
        for each in outputs:
            if each[0]["releaseRevision"] == which.revision:
                return each
        raise Failure(
            f"there is no output of r{which.revision} of {which.module}",
            ExitCode.NOT_FOUND,
            remedy=f"see which were released, and when: {_deployments_command(environment, which)}",
        )
    if which.previous:
        completed = (each for each in deployments if each["status"] == "Completed")
        before = next(islice(completed, 1, None), None)
        return [] if before is None else output_of(before)
    stopped: Instances = []
    for deployment in deployments:
        is_in_force = deployment["status"] == "Completed"
        instances = output_of(deployment) if is_in_force or not stopped else []
        if is_in_force or any(instance.get("live", True) is not False for instance in instances):
            return [*stopped, *instances]
        stopped = stopped or instances
    return stopped


def _deployments_of(client: Client, environment: str, module: str) -> Iterator[Deployment]:
    """Return the deployments of *module*, newest first, page by page.

    Raises:
        Failure: there is none.
    """
    deployments = newest_first(client, environment, module)
    of_module = (each for each in deployments if module in modules_of(each))
    first = next(of_module, None)
    if first is None:
        others = newest_first(client, environment, None)
        known = ", ".join(sorted({name for each in others for name in modules_of(each)}))
        raise Failure(
            f"{module} was never deployed to {environment}; there was {known or 'nothing'}",
            ExitCode.NOT_FOUND,
            remedy=f"see what was deployed: `runtimectl deployments --env {environment}`",
        )
    return islice(chain([first], of_module), _DEPLOYMENTS_MAX)
