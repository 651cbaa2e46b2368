"""What commands say of a tenant's binding: why it is as it is, and why something is refused."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.tenant_bindings import Binding, is_of_guest, proofs_line, show_line
from cli.watch_isolation import is_on_its_way


def reason_words(binding: Binding) -> str:
    """Return why *binding* is as it is; first what holds its deployments."""
    breached = [each["layer"] for each in binding["proofs"] if each["verdict"] == "Breach"]
    if breached:
        return f"isolation is breached ({', '.join(breached)}): see `{proofs_line(binding)}`"
    return " ".join((binding["reason"] or {}).get("message", "").split())


def proof_words(binding: Binding) -> str:
    """Return what the last look at *binding* found, without the evidence."""
    words = ", ".join(f"{each['layer']} {each['verdict']}" for each in binding["proofs"])
    return f"{words}; evidence: `{proofs_line(binding)}`" if words else ""


def would_move(known: Binding, after: Binding) -> str:
    """Return what a move makes of the binding *known*, which is *after* as it would be then."""
    model = after["isolationModel"]
    if after["revision"] == known["revision"]:
        return not_moved(known)
    if after["status"] != "Moving":
        return f"its move to {known['isolationModel']} would be taken back: it stays in {model}"
    return (
        f"it would be moved from {known['isolationModel']} to {model}: each of its modules that"
        " runs there is started again"
    )


def not_moved(binding: Binding) -> str:
    """Return why a move of *binding*, to the model that it has already, changed nothing."""
    model = binding["isolationModel"]
    if is_on_its_way(binding):
        return f"it is being moved to {model} already: nothing changed"
    earlier = "; its reason is of an earlier move" if binding["reason"] else ""
    return f"it is isolated by {model} already: nothing changed{earlier}"


@contextmanager
def saying_whose(binding: Binding, named: str | None) -> Iterator[None]:
    """Say of a *binding* that was found, and is not changed, by whom it is.

    Raises:
        Failure: the caller is the owner of its environment, and has *named* no tenant; or it is the
            tenant, and somebody else has suspended it.
    """
    try:
        yield
    except Failure as refused:
        suspender = (binding.get("suspendedBy") or {}).get("tenantId")
        is_by_owner = named is None and suspender not in {None, binding["tenantId"]}
        if refused.code == "TransitionRefused" and is_by_owner:
            raise Failure(
                f"{refused.message}: {suspender} suspended it",
                refused.exit_code,
                code=refused.code,
                remedy=f"see why: `{show_line(binding)}`; ask {suspender} to resume it",
            ) from refused
        if refused.code != "TenantBindingNotFound" or named is not None:
            raise
        tenant = binding["tenantId"]
        raise Failure(
            f"{binding['bindingId']} is of {tenant}: who changes it names that tenant",
            refused.exit_code,
            code=refused.code,
            remedy=f"type the command again with `--tenant {tenant}`",
        ) from refused


def unconfirmed(binding: Binding) -> Failure:
    """Return what unbinding takes away, and how it is confirmed."""
    tenant = binding["tenantId"]
    lost = (
        f"all that it has in the environment of {binding['ownerTenantId']} goes"
        if is_of_guest(binding)
        else "what runs stays, and only the binding goes"
    )
    return Failure(
        f"{tenant} is not unbound without its name: {lost}",
        ExitCode.REFUSED,
        code="ConfirmationMissing",
        remedy=f"type the command again with `--confirm {tenant}`",
    )
