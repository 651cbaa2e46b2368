"""The options of `tenant bind`, and how a tenant's binding is found by its environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id
from cli.parameter_types import one_of
from shared.kernel.ids import TenantId, id_shape, parse_id, tenant_binding_id

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


def find_binding(client: Client, name: str) -> Binding:
    """Return the binding with that id, or of the environment with that name or id.

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
        binding: Binding = client.get(f"{BINDINGS}/{name}").body
        return binding
    query = {"environmentId": environment_id(client, name)}
    found = list(client.list_all(BINDINGS, query))
    if not found:
        raise Failure(
            f"no tenant is bound to {name}",
            ExitCode.NOT_FOUND,
            remedy=f"bind yours: `runtimectl tenant bind {name}`; with `--owner` if it is another"
            " tenant's",
        )
    return found[0]


def find_binding_id(client: Client, name: str, tenant: str | None) -> str:
    """Return the id of the binding that *name* means; with *tenant* that of a guest of yours."""
    if tenant is None or _BINDING_ID.fullmatch(name):
        return name if tenant is not None else str(find_binding(client, name)["bindingId"])
    environment = environment_id(client, name)
    return tenant_binding_id(parse_id(environment, "env").environment, TenantId(tenant))


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
