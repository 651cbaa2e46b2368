"""Compares the recorded resources of a stack with what is there."""

from collections.abc import Mapping
from dataclasses import replace

from shared.infrastructure.graph import Urn
from shared.infrastructure.port import RefreshResult
from shared.infrastructure.provider import DesiredResource, LiveResource, Providers
from shared.infrastructure.state import RecordedResource, StackState
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Absent, Present, Reading, Unknown

Readings = Mapping[Urn, Reading[LiveResource]]


async def read_resources(state: StackState, providers: Providers) -> Readings:
    """Return what the providers say of every recorded resource."""
    return {recorded.urn: await _read_resource(recorded, providers) for recorded in state.resources}


async def _read_resource(recorded: RecordedResource, providers: Providers) -> Reading[LiveResource]:
    provider = providers.get(recorded.type)
    if provider is None:
        return Unknown(f"no provider for {recorded.type}")
    resource = DesiredResource(recorded.urn, recorded.type, recorded.name, recorded.properties)
    try:
        reading = await provider.read(resource)
        # What is about to be forgotten is looked for twice.
        return await provider.read(resource) if isinstance(reading, Absent) else reading
    except Unavailable as away:
        return Unknown(away.message)


def with_readings(current: StackState, before: StackState, readings: Readings) -> StackState:
    """Return *current* with what was read of the resources that are still as in *before*.

    The others were changed by a step in the meantime.
    """
    after = current
    for resource in current.resources:
        if resource == before.resource(resource.urn):
            after = _with_reading(after, resource, readings[resource.urn])
    return after


def _with_reading(
    state: StackState, recorded: RecordedResource, reading: Reading[LiveResource]
) -> StackState:
    match reading:
        case Present(live):
            return state.with_resource(
                replace(recorded, properties=live.properties, outputs=live.outputs, in_doubt=None)
            )
        case Absent():
            return state.without_resource(recorded.urn)
        case Unknown():
            return state


def refreshed(before: StackState, readings: Readings) -> RefreshResult:
    """Return how *readings* differ from what was recorded."""
    return RefreshResult(
        changed=tuple(
            recorded.urn
            for recorded in before.resources
            if isinstance(reading := readings[recorded.urn], Present)
            and _differs(recorded, reading.value)
        ),
        absent=tuple(urn for urn, reading in readings.items() if isinstance(reading, Absent)),
        unknown=tuple(urn for urn, reading in readings.items() if isinstance(reading, Unknown)),
    )


def _differs(recorded: RecordedResource, live: LiveResource) -> bool:
    return recorded.properties != live.properties or recorded.outputs != live.outputs
