"""The timer that deletes evaluations which are past their retention."""

from typing import Final

from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import POLICIES, sample_partition
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import Failure
from shared.messaging.sweep import LATE, every
from shared.persistence.tables import delete_all_before

DELETE_SAMPLES: Final = "delete_samples"
"""The timer."""


async def delete_old_samples(app: ScalingApp) -> int:
    """Delete the samples of every policy that are past their retention; return how many."""
    service, deleted = app.service, 0
    now = service.clock.now()
    before = isoformat(now - service.work.retention.results)
    for document in await every(POLICIES.type_name, POLICIES.key, service.store):
        key = sample_partition(document.partition.tenant, str(document.body.get("policy_id")))
        count = await service.sweeps.attempt(
            DELETE_SAMPLES,
            (document.partition, document.id),
            delete_all_before(app.samples, key, before),
            now + app.rules.delete_samples_every + LATE,
        )
        deleted += 0 if isinstance(count, Failure) else count
    return deleted
