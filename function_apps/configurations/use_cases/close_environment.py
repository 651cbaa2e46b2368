"""The end of an environment: its layers say nothing any more, and nobody is to run them.

So one of the same name begins without them. What was published is kept as what was replaced is.
"""

from datetime import datetime

from function_apps.configurations import repository
from function_apps.configurations.model.adoption import end_release
from function_apps.configurations.model.configuration import (
    Configuration,
    Layer,
    publish,
    says_nothing,
    write,
)
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ADOPTIONS, ENVIRONMENTS, HEADS
from function_apps.configurations.use_cases import put_in_force
from shared.contracts.configuration_merge import LayerContent
from shared.contracts.configurations import ConfigurationLayer
from shared.kernel.context import Context
from shared.kernel.ids import parse_id
from shared.messaging.unit_of_work import NOTHING, Decision, Json, View
from shared.persistence.store import Partition


async def close_environment(
    environment_id: str, ended_at: datetime, ctx: Context, app: ConfigurationsApp
) -> None:
    """Close what an environment had until *ended_at*; a repeat finds what is left.

    Each is changed for itself, and only while the environment is closed.
    """
    quietly = ctx.without_marker()
    of_all = Layer(ConfigurationLayer.ENVIRONMENT, environment_id)
    for adoption in await repository.adoptions_below(of_all, ctx, app):
        await _end_release(adoption.service_id, environment_id, ended_at, quietly, app)
    for _, head in await repository.heads_of(environment_id, ctx, app):
        await _close_layer(head, environment_id, quietly, app)


async def _end_release(
    service_id: str, environment_id: str, ended_at: datetime, ctx: Context, app: ConfigurationsApp
) -> None:
    def decide(view: View) -> Decision[Json]:
        after = end_release(view.get(ADOPTIONS, service_id), ended_at)
        if after is None or not _has_ended(view, environment_id):
            return NOTHING
        return Decision({}, writes=[ADOPTIONS.put(after)])

    key = parse_id(environment_id, "env").environment
    reads = [ADOPTIONS.document_id(service_id), ENVIRONMENTS.document_id(environment_id)]
    await app.service.work.commit(ctx, Partition(ctx.tenant, key), reads, decide)


async def _close_layer(
    known: Configuration, environment_id: str, ctx: Context, app: ConfigurationsApp
) -> None:
    """Put an empty version in force, which also overtakes drafts."""

    async def decide(view: View) -> Decision[Json]:
        head = view.get(HEADS, known.configuration_id)
        in_force = put_in_force.last_version(view, head, is_draft=False)
        if says_nothing(head, in_force) or not _has_ended(view, environment_id):
            return NOTHING
        version = write(
            head,
            LayerContent(head.version),
            by=ctx.scope.caller,
            comment=f"{environment_id} was decommissioned",
            now=ctx.now(),
        )
        after = publish(head, version, ctx.now())
        return await put_in_force.decided(head, after, version, "CloseConfiguration", ctx, app)

    await put_in_force.change(known.configuration_id, known.layer, ctx, app, decide)


def _has_ended(view: View, environment_id: str) -> bool:
    environment = view.find(ENVIRONMENTS, environment_id)
    return environment is not None and not environment.is_open
