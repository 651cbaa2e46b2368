"""`tenant`: bind tenants to environments, suspend, resume and move them, and take them away."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.erasure_reports import (
    ERASED_COLUMNS,
    KEPT_COLUMNS,
    KEYS,
    read_keys,
    read_report,
    require_about,
    require_signed,
)
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id, environment_names, with_environment
from cli.options import (
    Commands,
    DryRun,
    EnvironmentArgument,
    EnvironmentFilter,
    Invocation,
    WaitOptions,
)
from cli.output import Column, note
from cli.parameter_types import one_of, words
from cli.tenant_bindings import (
    BINDINGS,
    BindingArgument,
    GuestOption,
    ShownGuestOption,
    TenantBindingOptions,
    find_binding,
    show_line,
)
from cli.tenant_words import (
    not_moved,
    proof_words,
    reason_words,
    saying_whose,
    unconfirmed,
    would_move,
)
from cli.watch_isolation import is_on_its_way, shown_status, wait_for_binding

app = Commands(
    help="Tenants and the environments that they may deploy to, each apart from the others."
)
_NONE_HERE: Final = "there is no such binding in that environment"
_NONE_OF_YOURS: Final = (
    "there is no such binding of your tenant; `--env` lists who is bound to an environment of yours"
)


_COLUMNS: Final = (
    Column("ENVIRONMENT", "environment"),
    Column("TENANT", "tenantId"),
    Column("OWNER", "ownerTenantId"),
    Column("STAGE", "stage"),
    Column("MODEL", "isolationModel"),
    Column("STATUS", shown_status),
    Column("QUOTA FULL", lambda binding: binding.get("quotaFull", ())),
    Column("NAMESPACE", "namespace"),
    Column("REASON", reason_words),
    Column("ID", "bindingId"),
)
_PROOF_COLUMNS: Final = (
    Column("LAYER", "layer"),
    Column("VERDICT", "verdict"),
    Column("CHECKED", "checkedAt"),
    Column("EVIDENCE", lambda proof: "; ".join(proof["evidence"])),
)
_WHY: Final = "Recorded, and shown with the binding."
Why = Annotated[str, typer.Option("--reason", help=_WHY, parser=words, metavar="TEXT")]


@app.command()
def bind(
    env: EnvironmentArgument,
    options: TenantBindingOptions,
    waiting: WaitOptions,
    invocation: Invocation,
    *,
    dry_run: DryRun = False,
) -> None:
    """Bind a tenant to an environment, which prod needs before its first deployment."""
    if options.owner is not None and not env.startswith("env-"):
        raise Failure(
            f"with --owner an environment is named by its id, env-…, got {env!r}",
            ExitCode.USAGE,
            remedy="ask its owner for the id; for one of your own leave --owner out",
        )
    client = invocation.client
    body = {"environmentId": environment_id(client, env), **options.body()}
    if not dry_run:
        _finish(invocation, client.write("POST", BINDINGS, body).body, waiting)
        return
    plan = client.write("POST", BINDINGS, body | {"dryRun": True})
    _show(invocation, plan.body)
    tenant = plan.body["tenantId"]
    note(
        f"{tenant} is bound so already: nothing would change"
        if plan.is_repeat
        else f"{tenant} would be bound to {env}, isolated by {plan.body['isolationModel']}"
    )


@app.command("list")
def list_(
    invocation: Invocation,
    env: EnvironmentFilter = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only this status.", **one_of("shared.contracts.tenants", "TenantBindingStatus")
        ),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
) -> None:
    """List the bindings of your tenant; with --env, in an environment of yours, of all tenants."""
    client = invocation.client
    query = {"environmentId": environment_id(client, env), "status": status}
    names = environment_names(client)
    rows = [
        with_environment(each, names)
        for each in client.list_all(BINDINGS, query)
        if tenant in {None, each["tenantId"]}
    ]
    empty = (
        f"{_NONE_HERE if env else _NONE_OF_YOURS}: `runtimectl tenant bind --help`"
        if tenant is None
        else f"none of {tenant}: name an environment of yours with --env, or ask {tenant}, which"
        " lists its own"
    )
    invocation.show(rows, _COLUMNS, empty=empty)


@app.command("show")
def show_(
    binding: BindingArgument, invocation: Invocation, tenant: ShownGuestOption = None
) -> None:
    """Show one binding."""
    known = find_binding(invocation.client, binding, tenant)
    invocation.show({**known, "proofs": proof_words(known)} if invocation.is_table else known)


@app.command()
def proofs(
    binding: BindingArgument, invocation: Invocation, tenant: ShownGuestOption = None
) -> None:
    """Show what the last look at the isolation of a tenant found, layer by layer."""
    client = invocation.client
    known = find_binding(client, binding, tenant)
    whose = {"tenantId": known["tenantId"]}
    rows = client.get(f"{BINDINGS}/{known['bindingId']}/proofs", whose).body["value"]
    empty = "nothing is proved yet, or no surface of the environment has what could be read"
    invocation.show(rows, _PROOF_COLUMNS, empty=empty)
    if any(each["verdict"] == "Breach" for each in rows):
        name = environment_names(client).get(known["environmentId"], known["environmentId"])
        note(
            f"as its owner, isolate it again: `runtimectl env update {name} --wait`, also after"
            " settings of boundaries changed; where it is breached then too:"
            " `runtimectl explain IsolationBreached`"
        )


@app.command()
def suspend(
    binding: BindingArgument, reason: Why, invocation: Invocation, tenant: GuestOption = None
) -> None:
    """Have a tenant deploy nothing and bind no secret until it is resumed; what runs goes on."""
    _change(binding, "suspend", "Suspended", reason, invocation, tenant)


@app.command()
def resume(
    binding: BindingArgument, reason: Why, invocation: Invocation, tenant: GuestOption = None
) -> None:
    """Let a tenant change the environment again: who suspended it may, or an administrator."""
    _change(binding, "resume", "Enforced", reason, invocation, tenant)


@app.command()
def move(
    binding: BindingArgument,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="shared, pool or silo; the one that a move on its way comes from takes it back.",
            **one_of("shared.contracts.values", "IsolationModel"),
        ),
    ],
    waiting: WaitOptions,
    invocation: Invocation,
    reason: Annotated[str, typer.Option("--reason", help=_WHY)] = "",
    tenant: GuestOption = None,
    *,
    allow_downtime: Annotated[
        bool,
        typer.Option(
            "--allow-downtime",
            help="Also where a module that takes requests stops before it is started again, as its "
            "release is of strategy recreate. Others stop nothing first.",
        ),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Isolate a tenant by another model, where it is: each module is started again for that."""
    client = invocation.client
    known = find_binding(client, binding, tenant)
    body = {"isolationModel": model, "reason": reason, "allowDowntime": allow_downtime}
    with saying_whose(known, tenant):
        path = f"{BINDINGS}/{known['bindingId']}/move"
        planned = {"dryRun": True} if dry_run else {}
        moved = client.write("POST", path, body | _named(tenant) | planned).body
    if dry_run:
        _show(invocation, moved)
        note(would_move(known, moved))
        return
    if moved["revision"] == known["revision"]:
        note(not_moved(moved))
    _finish(invocation, moved, waiting)


@app.command()
def unbind(
    binding: BindingArgument,
    waiting: WaitOptions,
    invocation: Invocation,
    confirm: Annotated[
        str | None, typer.Option("--confirm", help="The tenant, once more, which it takes.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help=_WHY)] = "",
    tenant: GuestOption = None,
) -> None:
    """Take what a tenant has in the environment of another one; its own only loses the binding."""
    client = invocation.client
    known = find_binding(client, binding, tenant)
    if confirm is None:
        raise unconfirmed(known)
    query = {"confirm": confirm, "reason": reason or None, "tenantId": tenant}
    with saying_whose(known, tenant):
        unbound = client.write("DELETE", f"{BINDINGS}/{known['bindingId']}", query=query).body
    if unbound["status"] == "Unbound" and unbound["revision"] == known["revision"]:
        note("it was Unbound already: nothing changed, and the reason is not kept")
    _finish(invocation, unbound, waiting)


@app.command()
def erasure(
    invocation: Invocation,
    binding: Annotated[
        str | None,
        typer.Argument(metavar="BINDING", help="Its id, or the name or id of the environment."),
    ] = None,
    *,
    tenant: ShownGuestOption = None,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", help="A report that was saved as JSON.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Refuse a report that the platform did not sign, or that was changed since.",
        ),
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="For --verify: a key set that was saved; asks nobody."),
    ] = None,
) -> None:
    """Show the signed report of what became of all that a tenant had, once it was unbound."""
    if (binding is None) == (file is None):
        raise Failure("expected a binding, or a report that was saved (--file)", ExitCode.USAGE)
    if keys is not None and not verify:
        raise Failure("--keys is for --verify", ExitCode.USAGE, remedy="add --verify")
    identity: str | None = None
    if file is not None:
        report = read_report(file)
    else:
        known = find_binding(invocation.client, str(binding), tenant)
        identity, whose = known["bindingId"], {"tenantId": known["tenantId"]}
        report = invocation.client.get(f"{BINDINGS}/{identity}/erasure-report", whose).body
    if verify:
        require_signed(report, read_keys(keys, invocation))
        if identity is not None:
            require_about(report, identity)
    if not invocation.is_table:
        invocation.show(report)
        return
    try:
        invocation.show(report["erased"], ERASED_COLUMNS)
        for resource in report["retained"]:
            note(f"left by the decommissioning, as it is protected: {resource}")
        invocation.show(report["kept"], KEPT_COLUMNS)
    except (AttributeError, LookupError, TypeError, ValueError) as wrong:
        raise Failure(
            f"{file or 'the answer'} has not the form of an erasure report", ExitCode.USAGE
        ) from wrong
    if verify:
        note(f"verified: this report was signed as it stands here, at {report['reportedAt']}")


@app.command("erasure-keys")
def erasure_keys(invocation: Invocation) -> None:
    """Show the public keys of erasure reports, as a JWKS: save them with -o json."""
    invocation.show(invocation.client.get(KEYS).body)


def _named(tenant: str | None) -> dict[str, str]:
    return {} if tenant is None else {"tenantId": tenant}


def _change(
    name: str, verb: str, status: str, reason: str, invocation: Invocation, tenant: str | None
) -> None:
    client = invocation.client
    known = find_binding(client, name, tenant)
    path = f"{BINDINGS}/{known['bindingId']}/{verb}"
    with saying_whose(known, tenant):
        after = client.write("POST", path, {"reason": reason} | _named(tenant)).body
    _show(invocation, after)
    if known["status"] == status and after["revision"] == known["revision"]:
        note(f"it was {status} already: nothing changed, and the reason is not kept")


def _finish(invocation: Invocation, binding: Any, waiting: WaitOptions) -> None:
    """Show *binding*, with --wait once it is enforced or gone."""
    if waiting.wait and is_on_its_way(binding):
        binding = wait_for_binding(invocation, binding, waiting.timeout_s)
    _show(invocation, binding)
    if is_on_its_way(binding):
        note(f"next:  {show_line(binding)}")


def _show(invocation: Invocation, binding: Any) -> None:
    if invocation.is_table:
        invocation.show([with_environment(binding, environment_names(invocation.client))], _COLUMNS)
    else:
        invocation.show(binding)
