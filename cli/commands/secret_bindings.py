"""`secret`: bind secrets of vaults to modules, rotate them, see who runs which; never a value."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id, environment_names, with_environment
from cli.options import (
    Commands,
    DryRun,
    EnvironmentFilter,
    EnvironmentOption,
    Invocation,
    Module,
    Reason,
    WaitOptions,
)
from cli.output import Column, note, say
from cli.parameter_types import module_id, one_of
from cli.plans import print_refusals, require_plannable
from cli.secret_bindings import (
    BINDINGS,
    ROTATIONS,
    BindingOptions,
    BindingSelector,
    RotationSelector,
    SecretArgument,
    bind_secret,
    rotations_in_flight,
)
from cli.secret_words import UNREADABLE, left_behind, plan_words, revocation_lines
from cli.unreleased import unreleased
from cli.watch_operation import wait_for_success
from cli.watch_rotation import failed, order_words, rotation_lines, watch_rotation

app = Commands(
    help="Secrets of vaults: which module is given which version. No command has a value: put it "
    "into the vault yourself (docs/how-to/use-secrets.md)."
)
_CONTRACT: Final = "shared.contracts.secret_bindings"
_COLUMNS: Final = (
    Column("SECRET", "secretName"),
    Column("ENVIRONMENT", "environment"),
    Column("MODULE", "moduleId"),
    Column("AS", lambda binding: f"{binding['target']} ({binding['delivery']})"),
    Column("STATUS", "status"),
    Column("VERSION", lambda binding: (binding["version"] or "")[:12]),
    Column("EXPIRES", "expiresAt"),
    Column("REASON", "reason"),
    Column("ID", "bindingId"),
)
_VERSION_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("VERSION", "version"),
    Column("STATUS", "status"),
    Column("ROTATED", "rotatedAt"),
    Column("EXPIRES", "expiresAt"),
    Column("VAULT", "vaultUri"),
)


@app.command()
def bind(
    secret: SecretArgument,
    env: EnvironmentOption,
    module: Annotated[
        str,
        typer.Option("--module", "-m", help="module-<slug>.", parser=module_id, metavar="MODULE"),
    ],
    options: BindingOptions,
    waiting: WaitOptions,
    invocation: Invocation,
    *,
    dry_run: DryRun = False,
) -> None:
    """Bind a secret to a module, which is given it from its next release on."""
    client = invocation.client
    body = {
        "environmentId": environment_id(client, env),
        "moduleId": module,
        "secretName": secret,
        **options.body(),
    }
    if dry_run:
        plan = bind_secret(invocation, body | {"dryRun": True}).body
        if invocation.is_table:
            say(f"{secret} of {module} {plan_words(plan, body)}")
            print_refusals(plan["refusals"])
        else:
            invocation.show(plan)
        _say_unreleased(client, body)
        require_plannable(plan["refusals"])
        return
    response = bind_secret(invocation, body)
    binding, title = response.body, f"binding {secret} to {module}"
    if response.operation is not None and waiting.wait:
        session, form = invocation.session, invocation.output
        wait_for_success(session, response.operation, title, waiting.timeout_s, form)
        binding = client.get(f"{BINDINGS}/{binding['bindingId']}").body
    elif response.operation is not None and binding["status"] != "Bound":
        note(f"{title} continues: `runtimectl operations show {response.operation} --wait`")
    _show(invocation, binding, {binding["environmentId"]: env})
    _say_unreleased(client, body)


@app.command("list")
def list_(
    invocation: Invocation,
    env: EnvironmentFilter = None,
    module: Module = None,
    status: Annotated[
        str | None, typer.Option(help="Only this status.", **one_of(_CONTRACT, "BindingStatus"))
    ] = None,
) -> None:
    """List the bindings, with the version that each module is given."""
    client = invocation.client
    query = {"environmentId": environment_id(client, env), "moduleId": module, "status": status}
    names = environment_names(client)
    rows = [with_environment(each, names) for each in client.list_all(BINDINGS, query)]
    invocation.show(rows, _COLUMNS, empty="no secret is bound yet: `runtimectl secret bind --help`")
    _say_rotations(invocation, rows)


@app.command("show")
def show_(selector: BindingSelector, invocation: Invocation) -> None:
    """Show one binding."""
    binding = selector.find(invocation.client)
    invocation.show(binding)
    _say_rotations(invocation, [binding])


@app.command()
def versions(selector: BindingSelector, invocation: Invocation) -> None:
    """Show which version of a secret each module is given."""
    rows = sorted(selector.find_all(invocation.client), key=lambda each: str(each["moduleId"]))
    invocation.show(rows, _VERSION_COLUMNS)
    _say_rotations(invocation, rows)


@app.command()
def rotate(
    selector: BindingSelector,
    waiting: WaitOptions,
    invocation: Invocation,
    version: Annotated[
        str | None, typer.Option(help="One that the vault has; without it one is made.")
    ] = None,
    overlap: Annotated[
        str | None,
        typer.Option(help="How long the old one stays enabled, such as PT1H; PT0S for not at all."),
    ] = None,
    *,
    until_revoked: Annotated[
        bool, typer.Option("--until-revoked", help="--wait until old versions are disabled.")
    ] = False,
    reason: Reason = "",
) -> None:
    """Move all consumers of a secret to a new version; --wait shows each of them."""
    _require_wait(waiting, until_revoked=until_revoked)
    client = invocation.client
    # One rotation is of the secret: any of its bindings will do.
    binding = selector.find_all(client)[0]
    fields = {"version": version, "overlap": overlap, "reason": reason}
    body = {name: value for name, value in fields.items() if value is not None}
    response = client.write("POST", f"{BINDINGS}/{binding['bindingId']}/rotate", body)
    if response.is_repeat:
        note(f"nothing is begun: {selector.secret} is being rotated, {order_words(response.body)}")
    _follow(invocation, response.body, waiting, until_revoked=until_revoked)


@app.command()
def rotation(
    selector: RotationSelector,
    waiting: WaitOptions,
    invocation: Invocation,
    *,
    until_revoked: Annotated[
        bool, typer.Option("--until-revoked", help="--wait until old versions are disabled.")
    ] = False,
) -> None:
    """Show one rotation with its consumers; --wait watches it."""
    _require_wait(waiting, until_revoked=until_revoked)
    rotation_id = selector.find_id(invocation.client)
    body = invocation.client.get(f"{ROTATIONS}/{rotation_id}").body
    if waiting.wait:
        _follow(invocation, body, waiting, until_revoked=until_revoked)
    elif invocation.is_table:
        say(f"{body['secretName']}: {order_words(body)}")
        say("\n".join(line.text for line in rotation_lines(body)))
        if body["status"] == "Failed":
            ended = failed(body)
            say(f"{ended.headline}\nnext:  {ended.remedy}")
    else:
        invocation.show(body)


@app.command()
def revoke(selector: BindingSelector, invocation: Invocation, reason: Reason = "") -> None:
    """Take a secret from a module, from its next deployment on; its versions stay in the vault."""
    client = invocation.client
    if selector.module is None:
        raise Failure("which module?", ExitCode.USAGE, remedy="name it: --module module-shop")
    binding = selector.find(client)
    rotations = rotations_in_flight(client, [binding])
    path = f"{BINDINGS}/{binding['bindingId']}/revoke"
    body = client.write("POST", path, {"reason": reason}).body
    _show(invocation, body, environment_names(client))
    left = selector.of_all_modules().list_bound(client)
    for line in revocation_lines(binding, selector.env, left, rotations):
        note(line)


def _say_rotations(invocation: Invocation, bindings: Sequence[Mapping[str, Any]]) -> None:
    """Say which secrets are being rotated, and how that is watched."""
    if not invocation.is_table:
        return
    client = invocation.client
    running = rotations_in_flight(client, bindings)
    if running is None:
        note(UNREADABLE)
    names = environment_names(client) if running else {}
    for rotation_id, binding in (running or {}).items():
        where = with_environment(binding, names)["environment"]
        note(
            f"{binding['secretName']} in {where} is being rotated:"
            f" `runtimectl secret rotation {rotation_id} --wait`"
        )
        for line in left_behind(client.get(f"{ROTATIONS}/{rotation_id}").body, bindings):
            note(line)


def _say_unreleased(client: Client, binding: Mapping[str, Any]) -> None:
    if said := unreleased(client, binding["environmentId"], binding["moduleId"]):
        note(said)


def _require_wait(waiting: WaitOptions, *, until_revoked: bool) -> None:
    """Refuse --until-revoked of a command that waits for nothing, before anything is begun."""
    if until_revoked and not waiting.wait:
        raise Failure(
            "--until-revoked says how long --wait waits, and --wait is not there",
            ExitCode.USAGE,
            remedy="add --wait, or leave --until-revoked out",
        )


def _follow(
    invocation: Invocation, body: Any, waiting: WaitOptions, *, until_revoked: bool
) -> None:
    rotation_id = str(body["rotationId"])
    if not waiting.wait:
        invocation.show(body)
        note(f"next:  runtimectl secret rotation {rotation_id} --wait")
        return
    if body["status"] == "Failed":
        raise failed(body)
    ended = watch_rotation(invocation, rotation_id, waiting.timeout_s, until_revoked=until_revoked)
    if not invocation.is_table:
        invocation.show(ended)
    if ended["status"] == "Verified" and ended["fromVersion"]:
        note(f"the old version stays enabled until {ended['overlapUntil']}")


def _show(invocation: Invocation, binding: Any, names: Any) -> None:
    if invocation.is_table:
        invocation.show([with_environment(binding, names)], _COLUMNS)
    else:
        invocation.show(binding)
