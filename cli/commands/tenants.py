"""`tenant`: bind tenants to environments, suspend and resume them, and take them away."""

from typing import Annotated, Any, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id, environment_names, find_environment
from cli.options import Commands, EnvironmentArgument, EnvironmentFilter, Invocation
from cli.output import Column, note
from cli.parameter_types import one_of
from cli.tenant_bindings import BINDINGS, BindingArgument, TenantBindingOptions, find_binding

app = Commands(
    help="Tenants and the environments that they may deploy to, each apart from the others."
)
_COLUMNS: Final = (
    Column("ENVIRONMENT", "environment"),
    Column("TENANT", "tenantId"),
    Column("OWNER", "ownerTenantId"),
    Column("STAGE", "stage"),
    Column("MODEL", "isolationModel"),
    Column("STATUS", "status"),
    Column("NAMESPACE", "namespace"),
    Column("REASON", lambda binding: (binding["reason"] or {}).get("message", "")),
    Column("ID", "bindingId"),
)
_PROOF_COLUMNS: Final = (
    Column("LAYER", "layer"),
    Column("VERDICT", "verdict"),
    Column("CHECKED", "checkedAt"),
    Column("EVIDENCE", lambda proof: "; ".join(proof["evidence"])),
)
Why = Annotated[str, typer.Option("--reason", help="Recorded, and shown with the binding.")]


@app.command()
def bind(env: EnvironmentArgument, options: TenantBindingOptions, invocation: Invocation) -> None:
    """Bind a tenant to an environment, which prod needs before its first deployment."""
    client = invocation.client
    if options.owner is None:
        env = find_environment(client, env)["environmentId"]
    elif not env.startswith("env-"):
        raise Failure(
            f"{options.owner}'s environment has no name here",
            ExitCode.USAGE,
            remedy="name it by its id, env-…, which its owner knows",
        )
    body = {"environmentId": env, **options.body()}
    binding = client.write("POST", BINDINGS, body).body
    _show(invocation, binding)
    if binding["status"] == "Bound":
        note(f"next:  runtimectl tenant show {binding['bindingId']}, until it is Enforced")


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
) -> None:
    """List the bindings of your tenant."""
    client = invocation.client
    query = {"environmentId": environment_id(client, env), "status": status}
    names = environment_names(client)
    rows = [_named(each, names) for each in client.list_all(BINDINGS, query)]
    invocation.show(rows, _COLUMNS, empty="no tenant is bound yet: `runtimectl tenant bind --help`")


@app.command("show")
def show_(binding: BindingArgument, invocation: Invocation) -> None:
    """Show one binding."""
    invocation.show(find_binding(invocation.client, binding))


@app.command()
def proofs(binding: BindingArgument, invocation: Invocation) -> None:
    """Show what the last look at the isolation of a tenant found, layer by layer."""
    client = invocation.client
    identity = find_binding(client, binding)["bindingId"]
    rows = client.get(f"{BINDINGS}/{identity}/proofs").body["value"]
    empty = "nothing is proved yet, or no surface of the environment has what could be read"
    invocation.show(rows, _PROOF_COLUMNS, empty=empty)


@app.command()
def suspend(binding: BindingArgument, reason: Why, invocation: Invocation) -> None:
    """Have a tenant change nothing in the environment until it is resumed; what runs goes on."""
    _change(binding, "suspend", reason, invocation)


@app.command()
def resume(binding: BindingArgument, reason: Why, invocation: Invocation) -> None:
    """Let a tenant change the environment again."""
    _change(binding, "resume", reason, invocation)


@app.command()
def unbind(
    binding: BindingArgument,
    confirm: Annotated[str, typer.Option("--confirm", help="The tenant, once more.")],
    invocation: Invocation,
    reason: Why = "",
) -> None:
    """Take what a tenant has in the environment of another one; its own only loses the binding."""
    client = invocation.client
    identity = find_binding(client, binding)["bindingId"]
    query = {"confirm": confirm, "reason": reason or None}
    _show(invocation, client.write("DELETE", f"{BINDINGS}/{identity}", query=query).body)


def _change(binding: str, verb: str, reason: str, invocation: Invocation) -> None:
    client = invocation.client
    identity = find_binding(client, binding)["bindingId"]
    changed = client.write("POST", f"{BINDINGS}/{identity}/{verb}", {"reason": reason}).body
    _show(invocation, changed)


def _show(invocation: Invocation, binding: Any) -> None:
    if invocation.is_table:
        invocation.show([_named(binding, environment_names(invocation.client))], _COLUMNS)
    else:
        invocation.show(binding)


def _named(binding: Any, names: Any) -> dict[str, Any]:
    identity = binding["environmentId"]
    return {**binding, "environment": names.get(identity, identity)}
