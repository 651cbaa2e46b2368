"""What every use case of environments needs: where a document is, and how its state is told."""

from collections.abc import Sequence

from function_apps.environments.errors import EnvironmentNotFound
from function_apps.environments.model import documents, telling
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.ports import EnvironmentsApp
from shared.kernel.ids import EnvironmentKey, TenantId, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Publish, Row
from shared.messaging.unit_of_work import View
from shared.persistence.store import Document, Partition


def partition_of(scope: Scope, key: EnvironmentKey) -> Partition:
    return Partition(scope.tenant, key)


def scope_of(tenant: str) -> Scope:
    """Return the scope in which the service's own orchestrations work for *tenant*."""
    return Scope(TenantId(tenant), "service:environments")


def stored(view: View, environment: str) -> RuntimeEnvironment:
    """Return the environment in *view*. Raises EnvironmentNotFound."""
    body = view.body(documents.document_id(environment))
    if body is None:
        raise EnvironmentNotFound(environment)
    return documents.from_body(body)


async def load(environment: str, *, scope: Scope, app: EnvironmentsApp) -> RuntimeEnvironment:
    """Return the environment. Raises EnvironmentNotFound."""
    return documents.from_body((await load_document(environment, scope=scope, app=app)).body)


async def load_document(environment: str, *, scope: Scope, app: EnvironmentsApp) -> Document:
    """Return the environment's document, with its etag. Raises EnvironmentNotFound."""
    key = parse_id(environment, "env").environment
    document = await app.service.store.read(
        partition_of(scope, key), documents.document_id(environment)
    )
    if document is None:
        raise EnvironmentNotFound(environment)
    return document


def announce(environment: RuntimeEnvironment, cause: Cause, app: EnvironmentsApp) -> Sequence[Row]:
    """Return the outbox row that tells of the state *environment* is in."""
    envelope = envelope_of(
        telling.event_of(environment),
        tenant=environment.tenant_id,
        cause=cause,
        clock=app.service.clock,
        entropy=app.service.entropy,
        project=environment.project_id,
    )
    return [Publish(envelope)]
