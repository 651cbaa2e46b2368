"""The stored documents of tenants: bindings, and environments as they were heard of."""

from collections.abc import Mapping
from typing import Any, Final

from function_apps.tenants.errors import TenantBindingNotFound
from function_apps.tenants.events import tenant_bound
from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.environment import EnvironmentProjection
from function_apps.tenants.model.tenant import ProvisionedTenant
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.resources import answer
from shared.contracts.values import IsolationModel
from shared.kernel.context import Context
from shared.kernel.ids import TenantId, parse_id, tenant_key
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import Partition, partition_of


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


async def load_binding(binding_id: str, ctx: Context, app: TenantsApp) -> tuple[TenantBinding, str]:
    """Return a binding with its etag. Raises TenantBindingNotFound."""
    parse_id(binding_id, "tb")
    partition = partition_of(ctx.tenant, binding_id)
    document = await app.service.store.read(partition, BINDINGS.document_id(binding_id))
    if document is None:
        raise TenantBindingNotFound(binding_id)
    return BINDINGS.decode(document.body), document.etag


def changed(binding: TenantBinding, action: str, reason: str = "") -> Decision[Json]:
    """Return the batch that stores *binding* and tells the others of it."""
    return Decision(
        answer(binding),
        writes=[BINDINGS.put(binding)],
        outbox=[tenant_bound(binding)],
        audited=Audited(action, binding.binding_id, binding.status, reason),
    )
