"""What every use case of environments needs: where a document is, and how its state is told."""

from collections.abc import Sequence
from dataclasses import dataclass

from function_apps.environments.errors import EnvironmentNotFound
from function_apps.environments.model import documents, telling
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.ports import EnvironmentsApp
from shared.durable.operation_input import OperationInput
from shared.durable.steps import Step
from shared.kernel.ids import EnvironmentId, EnvironmentKey, TenantId, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.compose import envelope_of
from shared.messaging.outbox import Publish, Row
from shared.messaging.unit_of_work import View
from shared.persistence.store import Document, Partition


@dataclass(frozen=True)
class Errand(OperationInput):
    """What an orchestration works on; `token` is the fence the environment gave it."""

    tenant_id: TenantId
    environment_id: EnvironmentId
    token: int
    trace_id: str
    correlation_id: str

    @property
    def scope(self) -> Scope:
        """Return the scope in which the service's own orchestrations work for the tenant."""
        return Scope(self.tenant_id, "service:environments")

    @property
    def partition(self) -> Partition:
        """Return where the environment is stored."""
        return partition_of(self.scope, parse_id(self.environment_id, "env").environment)

    def cause(self, step: Step) -> Cause:
        """Return the cause of what *step* changes."""
        return Cause(
            self.scope.caller, "operation", step.operation_id, self.trace_id, self.correlation_id
        )


def partition_of(scope: Scope, key: EnvironmentKey) -> Partition:
    """Return where everything of one environment is stored."""
    return Partition(scope.tenant, key)


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
