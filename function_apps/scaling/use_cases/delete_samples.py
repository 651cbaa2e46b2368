"""The timer that deletes evaluations which are past their retention."""

from typing import Final

from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import POLICIES, sample_partition
from shared.kernel.clock import isoformat
from shared.messaging.sweep import LATE, every
from shared.persistence.store import Document
from shared.persistence.tables import delete_all_before

DELETE_SAMPLES: Final = "delete_samples"
"""The timer."""


async def delete_old_samples(app: ScalingApp) -> int:
    """Delete the samples of every policy that are past their retention; return how many."""
    service, now = app.service, app.service.clock.now()
    before = isoformat(now - service.work.retention.results)

    async def delete(policy: Document) -> int:
        key = sample_partition(policy.partition.tenant, str(policy.body.get("policy_id")))
        return await delete_all_before(app.samples, key, before)

    policies = await every(POLICIES.type_name, POLICIES.key, service.store)
    until = now + app.rules.delete_samples_every + LATE
    return await service.sweeps.attempt_each(DELETE_SAMPLES, policies, delete, until)
