"""ConfigurationPublished: record a version of a layer, keep its content, roll it out."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from function_apps.deployments.errors import FactsFull
from function_apps.deployments.model import configuration_roll_out as roll_outs
from function_apps.deployments.model import facts
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import LayerFact
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS, TENANT_LAYERS
from function_apps.deployments.use_cases.configuration_content import put_content
from shared.contracts.configuration_merge import hash_of
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.roll_outs import RollOutConfiguration
from shared.contracts.values import EnvironmentId
from shared.kernel.context import Context
from shared.kernel.errors import Invalid
from shared.messaging.outbox import Audited, Row, Send
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.store import Partition, Prefix, Query

PAGE_MAX: Final = 25
"""Environments of a tenant that are read at once."""


async def record_configuration(
    event: ConfigurationPublished, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record a version of a layer, keep its content, and roll it out to releases that float.

    The tenant's own layer has a document of its own, for environments that are to come. Each that
    is there records it too: so a release that is on its way meets it, whichever is committed first.

    Raises:
        Invalid: the values are not those of the hash.
        FactsFull: there is no room for another layer in an environment.
    """
    if hash_of(event.values) != event.content_hash:
        raise Invalid(
            f"the values of version {event.version} of {event.configuration_id} are not those of"
            f" {event.content_hash}",
            target="values",
        )
    number = str(event.version)
    fact = LayerFact(
        facts.CONFIGURATION,
        event.revision,
        module=event.module_id or "",
        layer=event.layer,
        version=number,
        versions={number: event.content_hash},
        schemas={} if event.schema_ is None else {number: hash_of(event.schema_)},
        # As the layers of an environment end with it, and number anew when they are removed.
        ended_at=None if event.values or event.schema_ is not None else ctx.now(),
    )
    # First: a version that is recorded has its content, whenever this is broken off.
    for content in (event.values, event.schema_):
        if content is not None:
            await put_content(content, ctx.tenant, app)
    if event.environment_id is not None:
        return await _record(event, fact, event.environment_id, ctx, app)
    outcome = await _record_tenant_layer(event, fact, ctx, app)
    full: FactsFull | None = None
    async for environment_id in _environments(ctx, app):
        try:
            await _record(event, fact, environment_id, ctx, app)
        except FactsFull as problem:
            full = problem  # it is parked, once the others have it
    if full is not None:
        raise full
    return outcome


async def _record(
    event: ConfigurationPublished,
    fact: LayerFact,
    environment_id: EnvironmentId,
    ctx: Context,
    app: DeploymentsApp,
) -> Outcome[Json]:
    aggregate_id = event.aggregate_id

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        before = target.facts.get(aggregate_id)
        # A layer that was empty for long and goes on has a higher revision; one anew begins at 1.
        goes_on = before is not None and event.revision > before.revision
        known = (
            target.facts if goes_on else facts.without_ended(target.facts, aggregate_id, ctx.now())
        )
        recorded = facts.record_configuration(known, aggregate_id, fact)
        if recorded is None:
            return NOTHING
        is_newest = recorded[aggregate_id].revision == event.revision
        if target.environment is not None and target.environment.is_gone:
            recorded = facts.without_past(recorded)
        return Decision(
            {},
            writes=[TARGETS.put(replace(target, facts=recorded))],
            outbox=_roll_out(event, target, app.service.name) if is_newest else [],
            audited=Audited("RecordFact", aggregate_id),
        )

    return await app.service.work.change(ctx.without_marker(), TARGETS, environment_id, decide)


def _roll_out(
    event: ConfigurationPublished, target: DeploymentTarget, service: str
) -> Sequence[Row]:
    """Return the command to roll *event* out in the environment of *target*, where one floats."""
    named = (event.module_id,) if event.module_id else ()
    if not roll_outs.floating_modules(target, named):
        return []
    command = RollOutConfiguration(
        environment_id=target.environment_id,
        configuration_id=event.configuration_id,
        version=event.version,
        content_hash=event.content_hash,
        modules=named,
    )
    return [Send(service, command, project=target.project)]


async def _record_tenant_layer(
    event: ConfigurationPublished, fact: LayerFact, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    def decide(view: View) -> Decision[Json]:
        layer = view.get(TENANT_LAYERS, ctx.tenant)
        after = facts.record_layer(layer.fact, fact)
        if after is None:
            return NOTHING
        return Decision(
            {},
            writes=[TENANT_LAYERS.put(replace(layer, fact=after))],
            audited=Audited("RecordFact", event.aggregate_id),
        )

    reads = [TENANT_LAYERS.document_id(ctx.tenant)]
    partition = Partition(ctx.tenant, "-")
    return await app.service.work.commit(ctx.without_marker(), partition, reads, decide)


async def _environments(ctx: Context, app: DeploymentsApp) -> AsyncIterator[EnvironmentId]:
    """Yield the environments that the tenant has a target in."""
    continuation: str | None = None
    while True:
        query = Query(where=TARGETS.conditions, limit=PAGE_MAX, continuation=continuation)
        page = await app.service.store.query(Prefix(ctx.tenant), query)
        for _, target in TARGETS.readable(page.documents):
            yield target.environment_id
        continuation = page.continuation
        if continuation is None:
            return
