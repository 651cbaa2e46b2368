"""`deploy`, `promote`, `rollback`, `cancel`, `retry`, `release-hold`: commands to deployments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.client import Client, Response
from cli.deploy_request import DeployOptions, deploy_request
from cli.deployment_selector import RUNNING, DeploymentSelector
from cli.deployment_words import planned_rollback_words, removal_words, taken_back_words
from cli.lookup import environment_id
from cli.options import DryRun, Invocation, Reason, WaitOptions
from cli.output import Column, format_digest, format_time, note, say, warn
from cli.plans import print_refusals, require_plannable
from cli.release_options import ComponentOptions, RolloutOptions
from cli.release_preparation import (
    mended_refusals,
    mended_warnings,
    naming,
    prepare_release,
    say_sections,
)
from cli.watch_rollout import ROOT, require_ended_as, watch_rollout

_PLAN_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("VERSION", "version"),
    Column("REVISION", "releaseRevision"),
    Column("REPLICAS", "replicas"),
    Column("DIGEST", lambda component: format_digest(component["digest"])),
    Column("AFTER", "dependsOn"),
)


def deploy(
    component: ComponentOptions,
    rollout: RolloutOptions,
    waiting: WaitOptions,
    invocation: Invocation,
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
    restart: Annotated[
        bool, typer.Option("--restart", help="New instances even if nothing differs.")
    ] = False,
) -> None:
    """Deploy a release to an environment, step by step; each step passes a gate."""
    options = DeployOptions(
        file,
        env,
        release_ref,
        artifact or (),
        component.body(has_file=file is not None),
        {**rollout.body(), "restart": restart or None},
    )
    client = invocation.client
    request, sections, warned = deploy_request(options, client)
    if rollout.dry_run or request.get("dryRun"):
        refused = say_sections(sections, request, invocation)
        plan = client.write("POST", ROOT, request).body
        _say_warnings(plan, (*warned, *mended_warnings(plan.get("warnings", ()), sections)))
        later = mended_refusals(plan["refusals"], sections)
        for each in later:
            note(f"judged once the configuration of the file is in force: {each['message']}")
        now = [each for each in plan["refusals"] if each not in later]
        _show_plan(invocation, {**plan, "refusals": now})
        if refused:
            raise refused[0]
        return
    done = prepare_release(sections, request, invocation)
    with naming(done):
        response = client.write("POST", ROOT, request)
    _say_warnings(response.body, warned)
    _say_repeat(response, client, "; `--restart` starts it anew")
    _finish(invocation, response.body, waiting)


def promote(
    selector: DeploymentSelector,
    to: Annotated[str, typer.Option(help="The next environment.", metavar="ENVIRONMENT")],
    rollout: RolloutOptions,
    waiting: WaitOptions,
    invocation: Invocation,
) -> None:
    """Deploy the same digests to the next environment, after their soak time."""
    client = invocation.client
    source = selector.find_id(client, "Completed")
    target = environment_id(client, to)
    path, request = f"{ROOT}/{source}/promote", {"toEnvironmentId": target, **rollout.body()}
    response = client.write("POST", path, request)
    _say_warnings(response.body)
    _say_repeat(response, client)
    _finish(invocation, response.body, waiting, is_plan=rollout.dry_run)


def rollback(
    selector: DeploymentSelector,
    waiting: WaitOptions,
    invocation: Invocation,
    to: Annotated[
        str | None, typer.Option(help="A deployment to go back to; the last good one without.")
    ] = None,
    reason: Reason = "",
    *,
    dry_run: DryRun = False,
) -> None:
    """Roll back a deployment: the previous release is restored, and proved on each instance.

    Of an environment, the one on its way, else the newest that Completed if nothing came after it.
    """
    request = {"reason": reason, **({} if to is None else {"toDeploymentId": to})}
    deployment_id = selector.find_undoable_id(invocation.client, is_goal_named=to is not None)
    if dry_run:
        _show_taken_back(invocation, deployment_id, "rollback", request)
        return
    body = _send(invocation, deployment_id, "rollback", request)
    if taken_back := body.get("takenBack"):
        note(taken_back_words(taken_back, body))
    _say_warnings(body)
    # One that was on its way is stopped: that it is taken back is what was asked for.
    is_stopped = body["deploymentId"] == deployment_id
    wanted = ("RolledBack", "Cancelled") if is_stopped else ("Completed",)
    _finish(invocation, body, waiting, wanted=wanted)


def _show_taken_back(
    invocation: Invocation, deployment_id: str, verb: str, request: Mapping[str, Any]
) -> None:
    """Show what a rollback, or a cancellation, would take back."""
    plan = _send(invocation, deployment_id, verb, {**request, "dryRun": True})
    _say_warnings(plan)
    if not invocation.is_table:
        invocation.show(plan)
        return
    for line in planned_rollback_words(plan):
        say(line)


def cancel(
    selector: DeploymentSelector,
    waiting: WaitOptions,
    invocation: Invocation,
    reason: Reason = "",
    *,
    dry_run: DryRun = False,
) -> None:
    """Stop a deployment in progress; applied changes are rolled back."""
    deployment_id = selector.find_only_id(invocation.client, "cancel", *RUNNING)
    if dry_run:
        _show_taken_back(invocation, deployment_id, "cancel", {"reason": reason})
        return
    body = _send(invocation, deployment_id, "cancel", {"reason": reason})
    _say_warnings(body)
    _finish(invocation, body, waiting, wanted=("Cancelled", "RolledBack"))


def release_hold(selector: DeploymentSelector, invocation: Invocation, reason: Reason = "") -> None:
    """Release the hold on a release that was rolled back, so it can be deployed again."""
    deployment_id = selector.find_held_id(invocation.client)
    holds = invocation.client.get(f"{ROOT}/{deployment_id}").body.get("holds", ())
    invocation.show(_send(invocation, deployment_id, "release-hold", {"reason": reason}))
    held = dict.fromkeys(
        f"{each['releaseRef']} ({each['moduleId']} {each['version']})" for each in holds
    )
    note(f"the hold is released: {', '.join(held)} may be deployed there again")


def retry(
    selector: DeploymentSelector,
    waiting: WaitOptions,
    invocation: Invocation,
    reason: Reason = "",
) -> None:
    """Start a failed deployment again, or analyse a paused step again."""
    deployment_id = selector.find_retryable_id(invocation.client)
    body = _send(invocation, deployment_id, "retry", {"reason": reason})
    _finish(invocation, body, waiting)


def _send(
    invocation: Invocation, deployment_id: str, action: str, request: Mapping[str, Any]
) -> Mapping[str, Any]:
    path = f"{ROOT}/{deployment_id}/{action}"
    body: Mapping[str, Any] = invocation.client.write("POST", path, request).body
    return body


def _say_repeat(response: Response, client: Client, hint: str = "") -> None:
    """Say of a release that is there already which deployment answers, as nothing was begun."""
    if response.is_repeat:
        note(_known_words(response.body["deploymentId"], client) + hint)


def _known_words(deployment_id: str, client: Client) -> str:
    known = client.get(f"{ROOT}/{deployment_id}").body
    return (
        f"nothing differs: this is deployment {deployment_id} of"
        f" {format_time(known['createdAt'])}, which is {known['status']}"
    )


def _finish(
    invocation: Invocation,
    body: Mapping[str, Any],
    waiting: WaitOptions,
    *,
    is_plan: bool = False,
    wanted: Sequence[str] = ("Completed",),
) -> None:
    """Show the plan, the accepted deployment or, with --wait, its rollout to the end."""
    if is_plan:
        _show_plan(invocation, body)
        return
    deployment_id = str(body["deploymentId"])
    if not waiting.wait:
        said = ("warnings",) if invocation.is_table else ()
        invocation.show({name: value for name, value in body.items() if name not in said})
        note(f"next:  runtimectl deployment {deployment_id} --wait")
        return
    session, form = invocation.session, invocation.output
    watch = watch_rollout(session, deployment_id, timeout_s=waiting.timeout_s, form=form)
    if not invocation.is_table:
        invocation.show(watch.deployment)
    require_ended_as(watch.deployment, wanted)


def _say_warnings(answer: Mapping[str, Any], warned: Sequence[str] = ()) -> None:
    """Say the warnings of a plan or of a command that was taken; not what was *warned* of."""
    for warning in answer.get("warnings", ()):
        if warning not in warned:
            warn(warning)


def _show_plan(invocation: Invocation, plan: Mapping[str, Any]) -> None:
    if plan.get("repeats"):
        note(f"{_known_words(plan['repeats'], invocation.client)}; nothing would begin")
    if invocation.is_table:
        if plan.get("repeats"):
            return
        removals = plan.get("removals", ())
        if plan["components"] or not (removals or plan["waitingFor"] or plan["refusals"]):
            numbers = plan.get("replicas", {})
            components = [
                {**each, "replicas": numbers.get(each["moduleId"], each["replicas"])}
                for each in plan["components"]
            ]
            invocation.show(components, _PLAN_COLUMNS, empty="nothing would change")
        for each in removals:
            say(removal_words(each))
        print_refusals(plan["refusals"])
        if plan["waitingFor"]:
            say(f"would wait for {plan['waitingFor']}")
    else:
        invocation.show(plan)
    require_plannable(plan["refusals"])
