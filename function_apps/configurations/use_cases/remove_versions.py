"""The timer that removes versions of configurations which were replaced long ago."""

import logging
from collections.abc import Sequence
from typing import Final

from function_apps.configurations import repository
from function_apps.configurations.model.configuration import Version, version_id
from function_apps.configurations.model.version_retention import past_versions, pinned_versions
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import HEADS, VERSIONS
from shared.contracts.retention import Kept
from shared.kernel.clock import isoformat
from shared.kernel.concurrency import isolate
from shared.kernel.context import timer_context
from shared.kernel.errors import Unavailable
from shared.kernel.ids import TenantId
from shared.messaging.removal import every_document, remove
from shared.persistence.store import BATCH_MAX_OPERATIONS, Comparison, Document, Where

REMOVE: Final = "remove_versions"
Stored = tuple[Document, Version]
_log = logging.getLogger(__name__)


async def remove_past_versions(app: ConfigurationsApp) -> None:
    """Remove the versions of every layer that nobody can come back to.

    A layer that fails does not stop the others, and is looked at again by the next run.
    """
    service = app.service
    before = isoformat(service.clock.now() - service.work.retention.span(Kept.ENDED))
    written = Where("at", Comparison.LE, before)
    layer: list[Stored] = []
    try:
        async for document, version in every_document(VERSIONS, service, written, is_whole=False):
            if layer and layer[0][1].configuration_id != version.configuration_id:
                await _isolated(layer, app)
                layer = []
            layer.append((document, version))
    except Unavailable as unknown:
        _log.warning("the layers that follow are looked at by the next run: %s", unknown)
        return
    if layer:
        await _isolated(layer, app)


async def _isolated(layer: Sequence[Stored], app: ConfigurationsApp) -> None:
    await isolate(_remove(layer, app), f"{REMOVE}: {layer[0][1].configuration_id}")


async def _remove(layer: Sequence[Stored], app: ConfigurationsApp) -> None:
    """Remove those of *layer* that are past, which are versions of one configuration."""
    document, first = layer[0]
    tenant, service = TenantId(document.partition.tenant), app.service
    ctx = timer_context(f"configurations_{REMOVE}", tenant, service.clock, service.entropy)
    head = await service.work.find(HEADS, first.configuration_id, tenant)
    if head is None:
        return
    view = await service.work.read(
        document.partition, version_id(head.configuration_id, head.version)
    )
    in_force = view.find(VERSIONS, version_id(head.configuration_id, head.version))
    is_open = await repository.open_environments(head.layer, ctx, app)
    adoptions = [
        each
        for each in await repository.adoptions_below(head.layer, ctx, app)
        if each.environment_id in is_open
    ]
    past = past_versions(
        head,
        [version for _, version in layer],
        before=in_force.against if in_force else 0,
        pinned=pinned_versions(head, adoptions),
    )
    documents = [each for each, version in layer if version.number in past]
    for start in range(0, len(documents), BATCH_MAX_OPERATIONS):
        await remove(documents[start : start + BATCH_MAX_OPERATIONS], service)
