"""The stored documents of tenants: bindings; environments and tenants as they were heard of."""

from collections.abc import Mapping
from typing import Any, Final

from function_apps.tenants.errors import TenantBindingNotFound
from function_apps.tenants.events import tenant_bound
from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.environment import EnvironmentProjection
from function_apps.tenants.model.move import next_command
from function_apps.tenants.model.tenant import ProvisionedTenant
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.resources import answer
from shared.contracts.values import IsolationModel
from shared.kernel.context import Context
from shared.kernel.ids import TENANT, TenantId, parse_id, tenant_key
from shared.messaging.outbox import Audited, Row, Send
from shared.messaging.unit_of_work import Decision, Json
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Document, Partition, partition_of


def _binding_queried(binding: TenantBinding) -> Mapping[str, Any]:
    """Return the time of the next proof of its isolation."""
    return {} if binding.due_at is None else {"dueAt": binding.due_at}


BINDINGS: Final = DocumentCodec(
    TenantBinding,
    "tenantBinding",
    key="binding_id",
    document="tenantBinding/{}",
    missing=TenantBindingNotFound,
    queried=_binding_queried,
)
ENVIRONMENTS: Final = DocumentCodec(
    EnvironmentProjection, "environment", key="environment_id", document="environment/{}"
)

TENANTS: Final = DocumentCodec(ProvisionedTenant, "tenant", key="tenant_id", document="tenant/{}")


def tenant_partition(tenant: TenantId) -> Partition:
    """Return the partition of what is of the whole tenant, and of none of its environments."""
    return Partition(tenant, tenant_key(tenant), "-")


async def provisioned_model(tenant: TenantId, app: TenantsApp) -> IsolationModel:
    """Return how *tenant* was provisioned to be isolated; shared without that."""
    view = await app.service.work.read(tenant_partition(tenant), TENANTS.document_id(tenant))
    known = view.find(TENANTS, tenant)
    return (known.isolation_model if known else None) or IsolationModel.SHARED


async def read_binding(binding_id: str, tenant: str, app: TenantsApp) -> Document | None:
    """Return the document of the binding of *tenant* with that id, if there is one."""
    partition = partition_of(TenantId(tenant), binding_id)
    return await app.service.store.read(partition, BINDINGS.document_id(binding_id))


async def load_binding(
    binding_id: str, named: str | None, ctx: Context, app: TenantsApp
) -> tuple[TenantBinding, str]:
    """Return a binding of the caller with its etag; one of the tenant *named* to its owner.

    Raises:
        TenantBindingNotFound: there is none, or the caller is neither bound by it nor the owner.
    """
    parse_id(binding_id, "tb")
    tenant = ctx.tenant if named is None else named
    document = await read_binding(binding_id, tenant, app) if TENANT.fullmatch(tenant) else None
    binding = None if document is None else BINDINGS.decode(document.body)
    if document is None or binding is None or not binding.is_known_to(ctx.tenant):
        raise TenantBindingNotFound(binding_id)
    return binding, document.etag


def changed(binding: TenantBinding, action: str, reason: str = "") -> Decision[Json]:
    """Return the batch that stores *binding* and tells the others of it.

    One whose move waits for a look gets the command for it, to this service.
    """
    rows: list[Row] = [tenant_bound(binding)]
    if (command := next_command(binding)) is not None:
        rows.append(Send("tenants", command))
    return Decision(
        answer(binding),
        writes=[BINDINGS.put(binding)],
        outbox=rows,
        audited=Audited(action, binding.binding_id, binding.status, reason),
    )
