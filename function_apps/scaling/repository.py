"""The stored documents of scaling: the policy of a service, and what is known of the service."""

from datetime import datetime
from typing import Any, Final

from function_apps.scaling.errors import PolicyNotFound
from function_apps.scaling.events import alert_changed, policy_applied
from function_apps.scaling.model.policy import PolicyIds, ScalingPolicy, State, with_alert
from function_apps.scaling.model.scaled_service import ScaledService
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.resources import answer
from shared.contracts.retention import Kept
from shared.kernel.context import Context
from shared.kernel.ids import environment_id, parse_id, scaling_policy_id, service_id
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import partition_of

_EVALUATED: Final = frozenset(State) - {State.SUPERSEDED}


def _due(policy: ScalingPolicy) -> dict[str, Any]:
    """Return the time from which every run of the timer evaluates *policy*."""
    is_due = policy.status in _EVALUATED or policy.is_to_be_taken_back
    return {"dueAt": policy.created_at} if is_due else {}


POLICIES: Final = DocumentCodec(
    ScalingPolicy,
    "policy",
    key="service_id",
    document="policy",
    missing=PolicyNotFound,
    queried=_due,
    overwritten=lambda policy: [
        policy.created_at,
        policy.policy_revision,
        policy.status is State.SUPERSEDED,
        policy.pauses,
    ],
)
"""A service has a partition of its own, and one policy in it."""
SERVICES: Final = DocumentCodec(
    ScaledService,
    "scaledService",
    key="service_id",
    document="service",
    kept=Kept.RETIRED,
    has_ended=lambda service: service.is_retired,
)
DOCUMENTS: Final = ("policy", "service")
"""Of a partition: what each decision reads."""


def ids_of(identity: str, ctx: Context) -> PolicyIds:
    """Return the ids of the policy that is named by its own id, or by that of its service.

    Raises NotFound.
    """
    parsed = parse_id(identity, "sp", "svc")
    assert parsed.module is not None, identity
    key, module = parsed.environment, parsed.module
    return PolicyIds(
        scaling_policy_id(key, module), service_id(key, module), environment_id(key), ctx.tenant
    )


def known_policy(view: View, ids: PolicyIds) -> ScalingPolicy:
    """Return the policy that *view* has. Raises PolicyNotFound, also for one that has ended."""
    policy = view.find(POLICIES, ids.service_id)
    if policy is None or policy.status is State.SUPERSEDED:
        raise PolicyNotFound(ids.policy_id)
    return policy


def changed(
    before: ScalingPolicy | None,
    after: ScalingPolicy,
    action: str,
    now: datetime,
    app: ScalingApp,
    *,
    reason: str = "",
) -> Decision[Json]:
    """Return the decision that stores *after* and publishes it, with the alerts that it changes.

    A policy of a service that is not known yet is not published.
    """
    after, alerts = with_alert(after, now, app.rules.alert_after)
    rows = [] if after.module_id is None else [policy_applied(after)]
    rows += [alert_changed(after, each) for each in alerts]
    is_same = before is not None and before.status is after.status
    outcome = f"{after.desired}" if is_same and after.desired is not None else after.status.value
    return Decision(
        answer(after),
        writes=[POLICIES.put(after)],
        outbox=rows,
        audited=Audited(action, after.policy_id, outcome, reason),
    )


async def load_view(identity: str, ctx: Context, app: ScalingApp) -> tuple[PolicyIds, View]:
    """Return the documents of the policy *identity*. Raises NotFound."""
    ids = ids_of(identity, ctx)
    partition = partition_of(ctx.tenant, ids.service_id)
    return ids, await app.service.work.read(partition, *DOCUMENTS)


def sample_partition(tenant: str, policy_id: str) -> str:
    """Return the key of the table's partition with the samples of a policy."""
    return f"{tenant}|{policy_id}"
