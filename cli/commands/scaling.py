"""`scale`: the policy of a service, its decisions, and what another policy would have done."""

from datetime import timedelta
from typing import Annotated, Any, Final

import typer

from cli.lookup import environment_id, environment_names, with_environment
from cli.options import Commands, EnvironmentFilter, Invocation, Module, Reason
from cli.output import note, say
from cli.parameter_types import instant, one_of
from cli.scaling import POLICIES, Policy, PolicyOptions, PolicySelector
from cli.scaling_tables import (
    COLUMNS,
    DECISION_COLUMNS,
    policy_fields,
    replay_lines,
    replay_remarks,
)
from shared.kernel.clock import SystemClock, isoformat

app = Commands(
    help="Number of instances: the policy of each service, its decisions with their reasons, and "
    "what another policy would have done (docs/how-to/scale-a-service.md)."
)
_CONTRACT: Final = "shared.contracts.scaling"
_DAY: Final = timedelta(days=1)


@app.command("set")
def set_(
    selector: PolicySelector,
    options: PolicyOptions,
    invocation: Invocation,
    *,
    what_if: Annotated[
        bool,
        typer.Option("--what-if", help="Replay it over the recorded load; change nothing."),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            help="Of --what-if: from when on; a day ago without it.", parser=instant, metavar="TIME"
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Of --what-if: until when; now without it.", parser=instant,
                     metavar="TIME"),
    ] = None,
) -> None:  # fmt: skip
    """Give a service its policy, or change it; --what-if shows first what it would have done."""
    client, body = invocation.client, options.body()
    if what_if:
        now = SystemClock().now()
        asked = {
            "policy": body,
            "fromAt": since or isoformat(now - _DAY),
            "untilAt": until or isoformat(now),
        }
        path = f"{POLICIES}/{selector.find(client)['policyId']}/what-if"
        _show_replay(invocation, client.write("POST", path, asked).body)
        return
    known = selector.find_all(client)
    if known:
        policy = client.write("PUT", f"{POLICIES}/{known[0]['policyId']}", body).body
    else:
        service = {"serviceId": selector.find_service(client)}
        policy = client.write("POST", POLICIES, {**service, **body}).body
    _show_policy(invocation, policy)
    if not policy["rules"]:
        note(
            "it has no rule, so the number stays between min and max: `--rule requests=20` adds one"
        )


@app.command("list")
def list_(
    invocation: Invocation,
    env: EnvironmentFilter = None,
    module: Module = None,
    status: Annotated[
        str | None, typer.Option(help="Only this status.", **one_of(_CONTRACT, "ScalingStatus"))
    ] = None,
) -> None:
    """List the policies, with the number that each wants."""
    client = invocation.client
    query = {"environmentId": environment_id(client, env), "moduleId": module, "status": status}
    names = environment_names(client)
    rows = [
        with_environment(each, names)
        for each in client.list_all(POLICIES, query)
        if status is not None or each["status"] != "Superseded"
    ]
    empty = "no service has a policy yet: `runtimectl scale set --help`"
    invocation.show(rows, COLUMNS, empty=empty)


@app.command("show")
def show_(selector: PolicySelector, invocation: Invocation) -> None:
    """Show the policy of a service."""
    _show_policy(invocation, selector.find(invocation.client))


@app.command()
def decisions(
    selector: PolicySelector,
    invocation: Invocation,
    top: Annotated[int, typer.Option(help="So many, newest first.", min=1, max=200)] = 20,
) -> None:
    """Show the last decisions of a policy, also of a deleted one, each with its reason."""
    client = invocation.client
    path = f"{POLICIES}/{selector.find_also_ended(client)['policyId']}/decisions"
    invocation.show(client.get(path, {"top": str(top)}).body["value"], DECISION_COLUMNS)


@app.command()
def pause(
    selector: PolicySelector,
    invocation: Invocation,
    length: Annotated[str, typer.Option("--for", help="Such as PT1H; at most PT24H.")],
    direction: Annotated[
        str, typer.Option(help="up, down or both.", **one_of(_CONTRACT, "Direction"))
    ] = "both",
    reason: Reason = "",
) -> None:
    """Hold the number of instances for a while."""
    client = invocation.client
    path = f"{POLICIES}/{selector.find(client)['policyId']}/pause"
    body = {"length": length, "direction": direction, "reason": reason}
    _show_policy(invocation, client.write("POST", path, body).body)


@app.command()
def resume(selector: PolicySelector, invocation: Invocation, reason: Reason = "") -> None:
    """End a pause before its time."""
    client = invocation.client
    path = f"{POLICIES}/{selector.find(client)['policyId']}/resume"
    _show_policy(invocation, client.write("POST", path, {"reason": reason}).body)


@app.command()
def delete(selector: PolicySelector, invocation: Invocation) -> None:
    """End a policy; the number of instances stays as it is until the next release."""
    client = invocation.client
    path = f"{POLICIES}/{selector.find(client)['policyId']}"
    ended = client.write("DELETE", path).body
    _show_policy(invocation, ended)
    if ended["reason"]["message"] != ended["reason"]["code"]:
        note(ended["reason"]["message"])


def _show_replay(invocation: Invocation, replay: Any) -> None:
    if not invocation.is_table:
        invocation.show(replay)
        return
    if not replay["steps"]:
        note("nothing was recorded in that time: a policy records its load while it is in force")
        return
    say("\n".join(replay_lines(replay)))
    for remark in replay_remarks(replay):
        note(remark)


def _show_policy(invocation: Invocation, policy: Policy) -> None:
    invocation.show(policy_fields(policy) if invocation.is_table else policy)
