"""The last lines of revisions are kept before they are removed; no activity of its own."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from function_apps.deployments.model.stored_output import (
    INSTANCES_MAX,
    InstanceOutput,
    Share,
    StoredOutput,
    newest_lines,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import find_output, put_output
from function_apps.deployments.use_cases.read_output import read_output
from shared.kernel.concurrency import Failure, answered_within, bounded_map, isolate
from shared.kernel.context import Context
from shared.kernel.fence import Fence
from shared.surfaces.observed_state import LiveRevision
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent

READ_WITHIN: Final = timedelta(seconds=10)
"""For the surface to answer with what all instances of all revisions wrote."""
KEPT_WITHIN: Final = timedelta(seconds=20)
"""For all of it, with the blobs: a removal waits for it."""
_INSTANCES_AT_ONCE: Final = 16
_BLOBS_AT_ONCE: Final = 8


class Removed(NamedTuple):
    """A revision that is about to be removed."""

    workload: SurfaceComponent
    revision: LiveRevision

    @property
    def subject(self) -> str:
        return f"the output of {self.workload.module} r{self.revision.revision} is not kept"

    @property
    def instances(self) -> Sequence[str]:
        """Return the names of its instances, first of those that are not ready.

        The reason why it is removed may stand there.
        """
        return [each.id for each in sorted(self.revision.instances, key=lambda one: one.is_ready)]


async def keep_output(
    removed: Sequence[Removed],
    surface: Surface,
    fence: Fence,
    ctx: Context,
    app: DeploymentsApp,
) -> None:
    """Keep the last lines that each of *removed* wrote, which are all on *surface*.

    Together they hold up a removal for `KEPT_WITHIN` at most, and fail nothing: what could not be
    read says why instead, what could not be stored is logged. The same operation again keeps what
    it kept first, and one that was overtaken replaces nothing of its successor.
    """
    keeping = _keep(removed, surface, fence, ctx, app)
    subject = "; ".join(each.subject for each in removed)
    await isolate(keeping, subject, within_s=KEPT_WITHIN.total_seconds())


async def _keep(
    removed: Sequence[Removed],
    surface: Surface,
    fence: Fence,
    ctx: Context,
    app: DeploymentsApp,
) -> None:
    async def is_wanted(each: Removed) -> bool:
        known = await find_output(each.workload, each.revision.revision, app)
        return known is None or not known.is_final(fence.operation)

    async def store(each: Removed) -> None:
        instances = tuple(read[each.workload, name] for name in each.instances)
        output = StoredOutput(fence.operation, ctx.now(), instances, fence.token)
        # Read again: a later operation may have stored its own meanwhile.
        known = await find_output(each.workload, each.revision.revision, app)
        if output.instances and output.replaces(known):
            await put_output(each.workload, each.revision.revision, output, app)

    answers = await bounded_map(
        removed, lambda each: isolate(is_wanted(each), each.subject), at_once=_BLOBS_AT_ONCE
    )
    wanted = [each for each, answer in zip(removed, answers, strict=True) if answer is True]
    read = await _read(wanted, surface)
    await bounded_map(
        wanted, lambda each: isolate(store(each), each.subject), at_once=_BLOBS_AT_ONCE
    )


async def _read(
    removed: Sequence[Removed], surface: Surface
) -> Mapping[tuple[SurfaceComponent, str], InstanceOutput]:
    """Return the output of each instance of *removed*, or why there is none."""
    why = f"the output of {INSTANCES_MAX} instances is kept"
    read = {
        (each.workload, name): InstanceOutput(name, reason=why)
        for each in removed
        for name in each.instances[INSTANCES_MAX:]
    }

    async def ask(one: tuple[SurfaceComponent, str, Share]) -> None:
        workload, name, share = one
        output = await read_output(surface, workload, name, share.lines)
        lines = newest_lines(output.lines, share)
        read[workload, name] = InstanceOutput(name, lines, output.reason)

    asked = [
        (each.workload, name, Share.of(len(each.instances)))
        for each in removed
        for name in each.instances[:INSTANCES_MAX]
    ]
    asking = bounded_map(asked, ask, at_once=_INSTANCES_AT_ONCE)
    answer = await answered_within(asking, READ_WITHIN, "its surface")
    late = answer.reason if isinstance(answer, Failure) else None
    return {
        **{(workload, name): InstanceOutput(name, reason=late) for workload, name, _ in asked},
        **read,
    }
