"""`deploy`, `promote`, `rollback` and what belongs to a deployment."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.deploy_request import Wish, request_of
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_named, names_of
from cli.options import WAIT_S, EnvironmentOption, Output, Reason, State, Timeout, Wait
from cli.output import Column, Format, clock_of, note, show
from cli.rollout_report import rollout_lines
from cli.session import Session
from cli.state_folder import DEFAULT_STATE
from cli.watch_rollout import ROOT, follow_rollout, latest, require_completed

_ID: Final = re.compile(r"dep-[a-z2-7]{12}-[0-9a-z]{16}")
_COLUMNS: Final = (
    Column("ASKED", lambda it: clock_of(it["createdAt"])),
    Column("ENVIRONMENT", "environment"),
    Column("RELEASE", "releaseRef"),
    Column("KIND", "kind"),
    Column("STATUS", "status"),
    Column("%", "weight"),
    Column("WAITS FOR", "waitingFor"),
    Column("WHO", "requestedBy"),
    Column("ID", "deploymentId"),
)
_PLAN_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("VERSION", "version"),
    Column("REVISION", "releaseRevision"),
    Column("REPLICAS", "replicas"),
    Column("DIGEST", lambda it: f"{it['digest'][:19]}…"),
    Column("AFTER", "dependsOn"),
)
Deployment = Annotated[
    str,
    typer.Argument(
        metavar="DEPLOYMENT",
        help="Its id, or an environment: the newest deployment there that fits.",
        show_default=False,
    ),
]
Module = Annotated[str | None, typer.Option("--module", "-m", help="module-<slug>.")]
Strategy = Annotated[str | None, typer.Option(help="canary or recreate.")]
Weights = Annotated[
    str | None, typer.Option(help="Canary steps in percent, e.g. 10,50,100.", metavar="N,N,…")
]
OnConflict = Annotated[
    str | None, typer.Option("--on-conflict", help="queue or reject, when the module is taken.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; change nothing.")]


def deploy(
    file: Annotated[
        Path | None, typer.Option("-f", "--file", help="Release file; options override it.")
    ] = None,
    env: Annotated[
        str | None, typer.Option("--env", "-e", metavar="ENVIRONMENT", help="Its name or id.")
    ] = None,
    artifact: Annotated[
        list[str] | None,
        typer.Option(help="Digest or archive, with several components: <moduleId>=…"),
    ] = None,
    release_ref: Annotated[
        str | None, typer.Option("--release-ref", help="What you call this release.")
    ] = None,
    module: Module = None,
    version: Annotated[str | None, typer.Option(help="Version of the module.")] = None,
    command: Annotated[
        str | None, typer.Option(help="How it starts; $PORT, $HOME and $TMPDIR are filled in.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="It listens; $PORT says where.")] = None,
    path_prefix: Annotated[
        str | None, typer.Option("--path-prefix", help="Below the environment's URL, e.g. /.")
    ] = None,
    readiness: Annotated[
        str | None, typer.Option(help="Path that answers 200 when it is ready.")
    ] = None,
    environ: Annotated[
        list[str] | None, typer.Option("--environ", help="NAME=value; may be repeated.")
    ] = None,
    replicas: Annotated[int | None, typer.Option(min=0)] = None,
    strategy: Strategy = None,
    weights: Weights = None,
    on_conflict: OnConflict = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="New instances even if nothing differs.")
    ] = False,
    dry_run: DryRun = False,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Bring a release to an environment, step by step, each step judged."""
    session = Session(state)
    component = {
        "moduleId": module,
        "version": version,
        "command": shlex.split(command) if command else None,
        "port": port,
        "pathPrefix": path_prefix or ("/" if port and file is None else None),
        "probes": {"readiness": {"path": readiness}} if readiness else None,
        "environ": dict(_pair(each) for each in environ or ()),
        "replicas": replicas,
    }
    request = {
        "strategy": _strategy(strategy, weights),
        "onConflict": on_conflict,
        "restart": True if restart else None,
        "dryRun": True if dry_run else None,
    }
    wish = Wish(file, env, release_ref, artifact or (), component, request)
    reply = session.client.write("POST", ROOT, request_of(wish, session.client))
    if dry_run:
        _show_plan(reply.body, output)
        return
    _finish(session, reply.body, wait, timeout, output)


def promote(
    deployment: Deployment,
    to: Annotated[str, typer.Option(help="The next environment.", metavar="ENVIRONMENT")],
    module: Module = None,
    strategy: Strategy = None,
    weights: Weights = None,
    on_conflict: OnConflict = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Bring the same digests to the next environment, once they have soaked."""
    session = Session(state)
    source = _identity(session, deployment, module, "Completed")
    body = {
        "toEnvironmentId": environment_named(session.client, to)["environmentId"],
        "strategy": _strategy(strategy, weights),
        "onConflict": on_conflict,
        "dryRun": True if dry_run else None,
    }
    given = {name: value for name, value in body.items() if value is not None}
    reply = session.client.write("POST", f"{ROOT}/{source}/promote", given)
    if dry_run:
        _show_plan(reply.body, output)
        return
    _finish(session, reply.body, wait, timeout, output)


def rollback(
    deployment: Deployment,
    to: Annotated[
        str | None, typer.Option(help="A deployment to go back to; the last good one without.")
    ] = None,
    module: Module = None,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Undo a deployment: the release before it comes back, proved on each instance."""
    session = Session(state)
    identity = _identity(session, deployment, module, "Completed")
    body = {"reason": reason, **({"toDeploymentId": to} if to else {})}
    reply = session.client.write("POST", f"{ROOT}/{identity}/rollback", body)
    _finish(session, reply.body, wait, timeout, output)


def cancel(
    deployment: Deployment,
    module: Module = None,
    reason: Reason = "",
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Stop a deployment that is under way; what was applied is rolled back."""
    session = Session(state)
    identity = _identity(session, deployment, module, *_RUNNING)
    show(session.client.write("POST", f"{ROOT}/{identity}/cancel", {"reason": reason}).body, output)


def release_hold(
    deployment: Deployment,
    module: Module = None,
    reason: Reason = "",
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Let a release that was rolled back be deployed again."""
    session = Session(state)
    identity = _identity(session, deployment, module, "RolledBack", "Failed")
    path = f"{ROOT}/{identity}/release-hold"
    show(session.client.write("POST", path, {"reason": reason}).body, output)


def retry(
    deployment: Deployment,
    module: Module = None,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Begin a failed deployment anew, or have a paused step judged again."""
    session = Session(state)
    identity = _identity(session, deployment, module, "Failed", *_RUNNING)
    reply = session.client.write("POST", f"{ROOT}/{identity}/retry", {"reason": reason})
    _finish(session, reply.body, wait, timeout, output)


def deployments(
    env: Annotated[
        str | None, typer.Option("--env", "-e", metavar="ENVIRONMENT", help="Only there.")
    ] = None,
    module: Module = None,
    status: Annotated[str | None, typer.Option(help="Only this status.")] = None,
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 30,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """List deployments, newest last."""
    session = Session(state)
    names = names_of(session.client)
    where = environment_named(session.client, env)["environmentId"] if env else None
    query = {"environmentId": where, "moduleId": module, "status": status}
    found = list(session.client.each(ROOT, query))
    found.sort(key=lambda each: each["createdAt"])
    rows = [{"environment": names.get(each["environmentId"], "?"), **each} for each in found]
    show(rows[-last:], output, _COLUMNS, empty="nothing was deployed yet")


def deployment(
    deployment: Deployment,
    module: Module = None,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show one deployment: steps, weights, evidence, proof; with --wait, as it goes."""
    session = Session(state)
    identity = _identity(session, deployment, module)
    if wait:
        followed = follow_rollout(session, identity, timeout_s=timeout, form=output).deployment
        require_completed(followed)
        return
    found = session.client.get(f"{ROOT}/{identity}").body
    if output is not Format.TABLE:
        show(found, output)
        return
    show({name: found[name] for name in _SHOWN}, output)
    print("\n".join(f"  {line.text}" for line in rollout_lines(found)))


def logs(
    module: Annotated[str, typer.Argument(metavar="MODULE", show_default=False)],
    env: EnvironmentOption,
    tail: Annotated[int, typer.Option(help="Lines of each instance.", min=1, max=1000)] = 50,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show the last lines that the instances of a module wrote."""
    session = Session(state)
    found = _newest_logs(session, env, module, tail)
    if output is not Format.TABLE:
        show(found, output)
        return
    for instance in found:
        print(f"== {instance['instance']} (r{instance['releaseRevision']})")
        print("\n".join(instance["lines"]) or instance["reason"] or "nothing yet")
    if not found:
        note(f"no instance of {module} runs in {env}: `runtimectl deployments --env {env}`")


def _newest_logs(session: Session, env: str, module: str, tail: int) -> Sequence[Mapping[str, Any]]:
    """Return the output of the newest deployment that has instances; a failed one may have some."""
    where = environment_named(session.client, env)["environmentId"]
    asked = session.client.each(ROOT, {"environmentId": where, "moduleId": module})
    newest = sorted(asked, key=lambda each: each["createdAt"], reverse=True)
    for each in newest[:_LOOKED_AT]:
        query = {"moduleId": module, "tail": str(tail)}
        path = f"{ROOT}/{each['deploymentId']}/logs"
        found: Sequence[Mapping[str, Any]] = session.client.get(path, query).body["value"]
        if found:
            return found
    return ()


_LOOKED_AT: Final = 10
_RUNNING: Final = (
    "Requested", "Provisioning", "Configuring", "RollingOut", "HealthGating", "Promoting",
    "RollingBack",
)  # fmt: skip
_SHOWN: Final = (
    "deploymentId", "releaseRef", "kind", "status", "weight", "waitingFor", "holder", "requestedBy",
    "createdAt", "endedAt", "previousDeploymentId", "operationId",
)  # fmt: skip


def _identity(session: Session, named: str, module: str | None, *statuses: str) -> str:
    """Return the id of a deployment, or of the newest in an environment that fits.

    Raises:
        Failure: none fits.
    """
    if _ID.fullmatch(named):
        return named
    environment = environment_named(session.client, named)["environmentId"]
    query = {"environmentId": environment, "moduleId": module}
    found = sorted(
        session.client.each(ROOT, query), key=lambda each: each["createdAt"], reverse=True
    )
    one = latest(found, module, *statuses) if statuses else next(iter(found), None)
    if one is None:
        wanted = " or ".join(statuses) or "any"
        raise Failure(
            f"no deployment in {named} is {wanted}",
            ExitCode.NOT_FOUND,
            fix=f"look at what there is: `runtimectl deployments --env {named}`",
        )
    return str(one["deploymentId"])


def _finish(
    session: Session, accepted: Mapping[str, Any], wait: bool, timeout_s: float, output: Format
) -> None:
    identity = str(accepted["deploymentId"])
    if not wait:
        show(accepted, output)
        note(f"next:  runtimectl deployment {identity} --wait")
        return
    found = follow_rollout(session, identity, timeout_s=timeout_s, form=output).deployment
    if output is not Format.TABLE:
        show(found, output)
    require_completed(found)


def _show_plan(plan: Mapping[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        show(plan, output)
        return
    show(plan["components"], output, _PLAN_COLUMNS, empty="nothing would change")
    for refusal in plan["refusals"]:
        print(f"refused: {refusal['message']} [{refusal['code']}]")
    if plan["waitingFor"]:
        print(f"would wait for {plan['waitingFor']}")


def _strategy(kind: str | None, weights: str | None) -> dict[str, Any] | None:
    if kind is None and weights is None:
        return None
    found: dict[str, Any] = {"kind": kind or "canary"}
    if weights is not None:
        parts = [part.strip() for part in weights.split(",")]
        if not all(part.isdecimal() for part in parts):
            raise Failure(
                f"--weights: expected numbers from 1 to 100, got {weights!r}",
                ExitCode.USAGE,
                fix="write them like this: --weights 10,50,100",
            )
        found["steps"] = [{"weight": int(part)} for part in parts]
    return found


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise Failure(
            f"--environ: expected NAME=value, got {text!r}",
            ExitCode.USAGE,
            fix="write it like this: --environ LOG_LEVEL=info",
        )
    return name, value
