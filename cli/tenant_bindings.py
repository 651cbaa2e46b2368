"""The options of `tenant bind`, and how a tenant's binding is found by its environment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id
from cli.parameter_types import one_of
from shared.kernel.ids import id_shape

BINDINGS: Final = "/v1/runtime/tenant-bindings"
_BINDING_ID: Final = re.compile(id_shape("tb"))
Binding = Mapping[str, Any]
BindingArgument = Annotated[
    str,
    typer.Argument(
        metavar="BINDING", help="Its id, or the name or id of the environment.", show_default=False
    ),
]
GuestOption = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        help="Another tenant, bound to an environment of yours; with the role Runtime.Admin.",
    ),
]
ShownGuestOption = Annotated[
    str | None,
    typer.Option("--tenant", help="Another tenant, bound to an environment of yours."),
]


def find_binding(client: Client, name: str, tenant: str | None = None) -> Binding:
    """Return the binding with that id, or of the environment with that name or id.

    With *tenant* it is that of a guest in an environment of the caller; without, the caller's own,
    or that of the only guest.

    Raises:
        Failure: there is none, or *name* cannot be the id of one.
    """
    if name.startswith("tb-") and not _BINDING_ID.fullmatch(name):
        raise Failure(
            f"expected the id of a binding, such as tb-2ktmjd53giaa-qivthlmhyfek, got {name!r}",
            ExitCode.USAGE,
            remedy="see the ids: `runtimectl tenant list`",
        )
    if _BINDING_ID.fullmatch(name):
        binding: Binding = client.get(f"{BINDINGS}/{name}", {"tenantId": tenant}).body
        return binding
    query = {"environmentId": environment_id(client, name)}
    found = list(client.list_all(BINDINGS, query))
    if tenant is None:
        wanted = [each for each in found if not is_of_guest(each)] or found
    else:
        wanted = [each for each in found if each["tenantId"] == tenant]
    if len(wanted) != 1:
        raise _not_one(name, tenant, found)
    return wanted[0]


def _not_one(name: str, tenant: str | None, found: Sequence[Binding]) -> Failure:
    if not found:
        return Failure(
            f"no tenant is bound to {name}",
            ExitCode.NOT_FOUND,
            remedy=f"bind yours: `runtimectl tenant bind {name}`; with `--owner` if it is another"
            " tenant's",
        )
    whose = "your tenant" if tenant is None else tenant
    bound = ", ".join(each["tenantId"] for each in found)
    return Failure(
        f"{whose} is not bound to {name}; bound to it: {bound}",
        ExitCode.NOT_FOUND,
        remedy=f"name one of them: `--tenant {found[0]['tenantId']}`",
    )


def is_of_guest(binding: Binding) -> bool:
    """Return whether *binding* is of a tenant in the environment of another one."""
    return bool(binding["tenantId"] != binding["ownerTenantId"])


def show_line(binding: Binding) -> str:
    """Return the line that shows *binding*, to its tenant and to the environment's owner."""
    return _line("show", binding)


def proofs_line(binding: Binding) -> str:
    """Return the line that shows the proofs of *binding*, to its tenant and to the owner."""
    return _line("proofs", binding)


def _line(verb: str, binding: Binding) -> str:
    whose = f" --tenant {binding['tenantId']}" if is_of_guest(binding) else ""
    return f"runtimectl tenant {verb} {binding['bindingId']}{whose}"


@dataclass(frozen=True)
class TenantBindingOptions:
    """Who is bound to whose environment, how isolated, and with which quota."""

    tenant: Annotated[
        str | None,
        typer.Option("--tenant", help="Another tenant, which `admits` of your environment lists."),
    ] = None
    owner: Annotated[
        str | None,
        typer.Option("--owner", help="The tenant whose environment it is, named by its id."),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="shared, pool or silo; without it as the tenant was provisioned, else shared.",
            **one_of("shared.contracts.values", "IsolationModel"),
        ),
    ] = None
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            help="A layer without which it is refused: compute, network, data, secrets, quota or"
            " identity; may be repeated.",
            **one_of("shared.contracts.tenants", "IsolationLayer"),
        ),
    ] = None
    cpu: Annotated[float | None, typer.Option(help="Cores of all its instances.")] = None
    memory_mib: Annotated[
        int | None, typer.Option("--memory-mib", help="Memory of all its instances.")
    ] = None
    instances: Annotated[int | None, typer.Option(help="How many it may have.")] = None
    requests_per_second: Annotated[
        float | None, typer.Option("--requests-per-second", help="How many it may be sent.")
    ] = None

    def body(self) -> dict[str, Any]:
        """Return the fields of the request that they set."""
        quota = {
            "cpu": self.cpu,
            "memoryMib": self.memory_mib,
            "instances": self.instances,
            "requestsPerSecond": self.requests_per_second,
        }
        limits = {name: value for name, value in quota.items() if value is not None}
        fields = {
            "tenantId": self.tenant,
            "ownerTenantId": self.owner,
            "isolationModel": self.model,
            "requires": self.require or None,
            "quota": limits or None,
        }
        return {name: value for name, value in fields.items() if value is not None}
