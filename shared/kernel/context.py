"""The context of every use case: whose data it may touch, why it runs, its clock and its entropy.

The tenant of a scope is proved by a token or by a message, never guessed.
"""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.kernel.ids import (
    OperationId,
    TenantId,
    correlation_id,
    operation_id,
    parse_id,
    trace_id,
)

ADMIN: Final = "runtime.admin"
MARKER_TTL: Final = timedelta(days=7)
UNKEYED_TTL: Final = timedelta(hours=1)
"""A request without `Idempotency-Key` is recognised only by its own invocation."""


@dataclass(frozen=True)
class Workload:
    """The one module in one environment whose configuration the token of a workload may read.

    With *instance* it is the token of that one, which may not speak for others.
    """

    environment_id: str
    module_id: str
    instance: str | None = None

    def may_ask(self, environment_id: str, module_id: str, instance: str | None) -> bool:
        """Return whether it is asked for its own; *instance* is the one that asks, if it says."""
        is_own = (environment_id, module_id) == (self.environment_id, self.module_id)
        return is_own and (None in {instance, self.instance} or instance == self.instance)


@dataclass(frozen=True)
class Scope:
    """A caller, the one tenant whose data it may see, and what it may do there.

    Every read of a use case is within `tenant`; only a timer's query for what is due spans tenants.
    """

    tenant: TenantId
    caller: str
    permissions: frozenset[str] = frozenset()
    workload: Workload | None = None
    """Of a workload's own token: it may ask for nothing but its own."""

    def allows(self, permission: str) -> bool:
        """Return whether *permission* was granted; `runtime.admin` grants none of the others."""
        return permission in self.permissions


@dataclass(frozen=True)
class Cause:
    """`marker` is the id of the inbox or idempotency row; None where the aggregate is the proof.

    `kind` and `reference` name the cause for the audit record (`event evt-…`, `command evt-…`,
    `request POST v1/runtime/environments`, `timer observe_due`, `operation op-…`).
    """

    actor: str
    kind: str
    reference: str
    trace_id: str
    correlation_id: str
    causation_id: str | None = None
    marker: str | None = None
    project: str | None = None
    """The envelope's project, where a message is the cause and names one."""
    marker_ttl: timedelta = MARKER_TTL
    actor_tenant: TenantId | None = None
    """The actor's, where the data is another tenant's: both have it in their audit trails."""
    fingerprint: str | None = None
    """Of the request's content: the same key with other content is refused."""
    if_match: tuple[str, ...] | None = None
    """The aggregate must have one of these etags; `*` means that it must exist."""
    if_none_match: tuple[str, ...] = ()
    """The aggregate must have none of these etags; `*` means that it must not exist."""
    occurred_at: datetime | None = None
    """When the message that is the cause was written by its sender."""

    @property
    def is_keyed(self) -> bool:
        """Whether the same request may come again: under its caller's key, or as a message.

        An event has a revision, so it needs no row when it changes nothing. A command has none: a
        late repeat would act on what newer commands have changed.
        """
        may_come_again = self.fingerprint is not None or self.kind == "command"
        return self.marker is not None and may_come_again


@dataclass(frozen=True)
class Context:
    """Whose data a use case may touch, why it runs, and where its time and ids come from."""

    scope: Scope
    cause: Cause
    clock: Clock
    entropy: Entropy

    @property
    def tenant(self) -> TenantId:
        return self.scope.tenant

    def now(self) -> datetime:
        return self.clock.now()

    def said_at(self) -> datetime:
        """Return when the cause was said; bounded, as the clock of a sender may be ahead."""
        return min(self.cause.occurred_at or self.now(), self.now())

    def without_marker(self) -> "Context":
        """Return this context for a decision whose documents show by themselves that it was made.

        The aggregate is the proof then; an inbox row would cost a document and add nothing.
        """
        return replace(self, cause=replace(self.cause, marker=None))


def timer_context(timer: str, tenant: TenantId, clock: Clock, entropy: Entropy) -> Context:
    """Return the context of the work that *timer* does in *tenant*."""
    caller = f"timer:{timer}"
    cause = Cause(caller, "timer", timer, trace_id(entropy), correlation_id(entropy))
    return Context(Scope(tenant, caller), cause, clock, entropy)


@dataclass(frozen=True)
class NewIds:
    """One instant and one operation id, drawn before a decision, which may be made twice."""

    now: datetime
    operation_id: OperationId

    @classmethod
    def draw(cls, ctx: Context, app: str, resource: str) -> "NewIds":
        """Return new ids of *app* (its name outside Python) for work on the resource of an id.

        Raises:
            NotFound: *resource* is no id.
        """
        now, parsed = ctx.now(), parse_id(resource)
        return cls(now, operation_id(app, parsed.environment, now, ctx.entropy, m=parsed.module))


def request_marker(entropy: Entropy) -> str:
    """Return the id of the row by which an invocation finds its own commit after a lost answer."""
    return f"request/{entropy.uuid()}"


def idempotency_marker(route: str, key: str) -> str:
    """Return the id of the row that remembers the answer to *key* on *route*."""
    return "idem/" + hashlib.sha256(f"{route}\0{key}".encode()).hexdigest()[:40]
