"""The one context of every use case: the caller's scope, the cause, the clock and the entropy."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.kernel.cause import Cause, caused_by_timer
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.ids import EnvironmentKey, ModuleKey, OperationId, TenantId, operation_id
from shared.kernel.scope import Scope


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

    def without_marker(self) -> "Context":
        """Return this context for a decision whose documents show by themselves that it was made.

        The aggregate is the proof then: an inbox row would cost a document and tell nothing more.
        """
        return replace(self, cause=replace(self.cause, marker=None))


def timer_context(timer: str, tenant: TenantId, clock: Clock, entropy: Entropy) -> Context:
    """Return the context of the work that *timer* does in *tenant*."""
    return Context(Scope(tenant, f"timer:{timer}"), caused_by_timer(timer, entropy), clock, entropy)


@dataclass(frozen=True)
class NewIds:
    """One instant and one operation id, drawn before a decision, which may be made twice."""

    now: datetime
    operation_id: OperationId

    @classmethod
    def draw(
        cls, ctx: Context, app: str, key: EnvironmentKey, *, module: ModuleKey | None = None
    ) -> "NewIds":
        """Return new ids of *app* (its name outside Python) in the environment *key*."""
        now = ctx.now()
        return cls(now, operation_id(app, key, now, ctx.entropy, m=module))
