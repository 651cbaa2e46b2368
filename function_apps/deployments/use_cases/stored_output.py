"""The output of removed revisions: `<tenant>/<environment>/<module>/<revision>.json` in blobs.

A revision is of one deployment and one component, for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from pydantic import TypeAdapter, ValidationError

from function_apps.deployments.model.stored_output import (
    INSTANCES_MAX,
    InstanceOutput,
    Share,
    StoredOutput,
    newest_lines,
)
from function_apps.deployments.ports import DeploymentsApp
from shared.durable.activity import ActivityContext
from shared.kernel.concurrency import Failure, answered_within, bounded_map, isolate
from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.observation import Present, Unknown
from shared.surfaces.observed_state import LiveRevision
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent

READ_WITHIN: Final = timedelta(seconds=10)
"""For the surface to answer with all instances of a revision."""
KEPT_WITHIN_S: Final = 20.0
"""For all: what waits for it is a removal."""
_INSTANCES_AT_ONCE: Final = 4
_STORED_BYTES_MAX: Final = 4 * 2**20
"""More than one is with every character escaped."""
_STORED: Final = TypeAdapter(StoredOutput)


async def keep_output(
    workload: SurfaceComponent,
    revision: LiveRevision,
    surface: Surface,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> None:
    """Keep the last lines that *revision* wrote, which is about to be removed.

    It holds up nothing for long and fails nothing: what could not be read says why instead, what
    could not be stored is logged. The same operation again keeps what it kept first.
    """
    subject = f"the output of {workload.module} r{revision.revision} is not kept"
    await isolate(_keep(workload, revision, surface, ctx, app), subject, within_s=KEPT_WITHIN_S)


async def _keep(
    workload: SurfaceComponent,
    revision: LiveRevision,
    surface: Surface,
    ctx: ActivityContext,
    app: DeploymentsApp,
) -> None:
    known = await find_output(workload, revision.revision, app)
    if known is not None and known.is_final(ctx.operation_id):
        return
    # Those that are not ready first: the reason why it is removed may stand there.
    names = [each.id for each in sorted(revision.instances, key=lambda each: each.is_ready)]
    share, first = Share.of(len(names)), names[:INSTANCES_MAX]
    reading = read_output(surface, workload, first, share.lines)
    read = await answered_within(reading, READ_WITHIN, "its surface")
    if isinstance(read, Failure):
        read = [InstanceOutput(name, reason=read.reason) for name in first]
    why = f"the output of {INSTANCES_MAX} instances is kept"
    others = [InstanceOutput(name, reason=why) for name in names[INSTANCES_MAX:]]
    bounded = [replace(each, lines=newest_lines(each.lines, share)) for each in read]
    output = StoredOutput(ctx.operation_id, ctx.now(), (*bounded, *others))
    if output.instances and output.replaces(known):
        await app.logs.put(_blob(workload, revision.revision), _content(output))


async def read_output(
    surface: Surface, workload: SurfaceComponent, instances: Sequence[str], tail: int
) -> Sequence[InstanceOutput]:
    """Return the last *tail* lines of each of *instances*, as its surface has them, or why not."""

    async def read(name: str) -> InstanceOutput:
        match await surface.logs(workload, name, tail):
            case Present(lines):
                return InstanceOutput(name, lines)
            case Unknown(reason):
                return InstanceOutput(name, reason=reason)
            case _:
                return InstanceOutput(name)

    return await bounded_map(instances, read, at_once=_INSTANCES_AT_ONCE)


async def find_output(
    workload: SurfaceComponent, revision: int, app: DeploymentsApp
) -> StoredOutput | None:
    """Return what was kept of *revision*; None: nothing.

    Raises:
        Unavailable: the blobs are away, or what is stored is no output.
    """
    name, text = _blob(workload, revision), bytearray()
    try:
        async for chunk in await app.logs.open(name):
            text += chunk
            if len(text) > _STORED_BYTES_MAX:
                raise Unavailable(f"the blob {name} of logs is too large")
        return await asyncio.to_thread(_STORED.validate_json, bytes(text))
    except NotFound:
        return None
    except ValidationError as damaged:
        raise Unavailable(f"the blob {name} of logs is damaged") from damaged


def _blob(workload: SurfaceComponent, revision: int) -> str:
    return f"{workload.tenant}/{workload.environment}/{workload.module}/{revision}.json"


async def _content(output: StoredOutput) -> AsyncIterator[bytes]:
    yield _STORED.dump_json(output)
