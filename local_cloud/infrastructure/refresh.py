"""Reads the recorded resources of a stack and compares them with the record."""

from collections.abc import Mapping
from dataclasses import replace

from local_cloud.infrastructure.provider import LiveResource, Providers
from local_cloud.infrastructure.state import StackState
from shared.infrastructure.graph import RecordedResource, Urn
from shared.infrastructure.port import RefreshResult
from shared.kernel.errors import Unavailable
from shared.kernel.observation import Absent, Present, Reading, Unknown

Readings = Mapping[Urn, Reading[LiveResource]]


async def read_resources(state: StackState, providers: Providers) -> Readings:
    """Return the providers' reading of every recorded resource."""
    return {recorded.urn: await _read_resource(recorded, providers) for recorded in state.resources}


async def _read_resource(recorded: RecordedResource, providers: Providers) -> Reading[LiveResource]:
    provider = providers.get(recorded.type)
    if provider is None:
        return Unknown(f"no provider for {recorded.type}")
    try:
        reading = await provider.read(recorded)
        # A resource that is about to be forgotten is read twice.
        return await provider.read(recorded) if isinstance(reading, Absent) else reading
    except Unavailable as away:
        return Unknown(away.message)


def with_readings(current: StackState, before: StackState, readings: Readings) -> StackState:
    """Return *current* with the readings of the resources that are still as in *before*.

    The others were changed by a step in the meantime.
    """
    after = current
    for recorded in current.resources:
        if recorded == before.resource(recorded.urn):
            reading = readings[recorded.urn]
            if isinstance(reading, Present):
                read = _as_read(recorded, reading.value)
                after = after.with_resource(replace(read, in_doubt=None))
            elif isinstance(reading, Absent):
                after = after.without_resource(recorded.urn)
    return after


def refreshed(before: StackState, readings: Readings) -> RefreshResult:
    """Return the differences of *readings* from the record."""
    live = {urn: reading.value for urn, reading in readings.items() if isinstance(reading, Present)}
    return RefreshResult(
        changed=tuple(
            recorded.urn
            for recorded in before.resources
            if recorded.urn in live and _as_read(recorded, live[recorded.urn]) != recorded
        ),
        absent=tuple(urn for urn, reading in readings.items() if isinstance(reading, Absent)),
        unknown=tuple(urn for urn, reading in readings.items() if isinstance(reading, Unknown)),
    )


def _as_read(recorded: RecordedResource, live: LiveResource) -> RecordedResource:
    return replace(recorded, properties=live.properties, outputs=live.outputs)
