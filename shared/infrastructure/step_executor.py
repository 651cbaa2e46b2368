"""Does one step of a run: two saves around one provider call.

A kill between the saves leaves the resource *in doubt*: the next one to come reads the world first
and then goes on, so nothing is made twice.
"""

from collections.abc import Mapping
from dataclasses import replace

from shared.infrastructure.graph import Node
from shared.infrastructure.port import RemainingResource, ResourceAction
from shared.infrastructure.provider import DesiredResource, LiveResource, Providers
from shared.infrastructure.run_journal import RunJournal
from shared.infrastructure.run_rules import holder_of, wanted_properties
from shared.infrastructure.state import RecordedResource, ResourceStep, StackRun, StackState
from shared.kernel.errors import Refused, Stale, Unavailable
from shared.kernel.fence import Fence
from shared.kernel.observation import Absent, Present, Unknown


class StepExecutor:
    """Executes steps by their resources' providers; a step that is done already changes nothing."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    async def execute(self, step: ResourceStep, journal: RunJournal) -> None:
        """Do *step*, after those before it.

        Raises:
            Refused: its provider refused it; a destroy records that and goes on.
            Unavailable: its provider is away; execute it again.
        """
        state, run = await journal.load()
        if step.index in run.done:
            return
        if step.action is ResourceAction.DELETE:
            await self._delete(step, state, run, journal)
        else:
            await self._make(step, state, run, journal)

    async def _make(
        self, step: ResourceStep, state: StackState, run: StackRun, journal: RunJournal
    ) -> None:
        node = run.graph.node(step.urn) if run.graph else None
        assert node is not None, step
        before = state.resource(step.urn)
        wanted = wanted_properties(state, node, before, step.action)
        is_certain = before is not None and before.in_doubt is None
        is_update = step.action is ResourceAction.UPDATE and is_certain
        if is_update and before is not None and before.properties == wanted:
            # What it refers to turned out to be as before.
            await journal.close(step, before)
            return
        made = _recorded(node, wanted, before)
        opened = before if is_update and before is not None else made
        if not await journal.open(step, replace(opened, in_doubt=step.action)):
            return
        resource = DesiredResource(node.urn, node.type, node.name, wanted)
        was_in_doubt = before is not None and before.in_doubt is not None
        live = await self._converge(resource, step.action, journal.fence, was_in_doubt=was_in_doubt)
        await journal.close(step, replace(made, outputs=live.outputs))

    async def _converge(
        self, resource: DesiredResource, action: ResourceAction, fence: Fence, *, was_in_doubt: bool
    ) -> LiveResource:
        provider = self._providers[resource.type]
        is_there = action is ResourceAction.UPDATE
        if was_in_doubt:
            match await provider.read(resource):
                case Present():
                    is_there = True
                case Absent():
                    is_there = False
                case Unknown(reason):
                    raise Unavailable(f"{resource.name}: cannot tell whether it exists: {reason}")
        write = provider.update if is_there else provider.create
        return await write(resource, fence)

    async def _delete(
        self, step: ResourceStep, state: StackState, run: StackRun, journal: RunJournal
    ) -> None:
        before = state.resource(step.urn)
        if before is None:
            await journal.close(step, None)
            return
        holder = holder_of(state, run, step.urn)
        if holder is not None:
            reason = f"{holder} needs it and is still there"
            await journal.leave(step, RemainingResource(step.urn, step.name, "HeldBy", reason))
            return
        if not await journal.open(step, replace(before, in_doubt=ResourceAction.DELETE)):
            return
        resource = DesiredResource(before.urn, before.type, before.name, before.properties)
        try:
            await self._providers[before.type].delete(resource, journal.fence)
        except Stale:
            raise
        except Refused as refused:
            if run.graph is not None:
                raise
            left = RemainingResource(step.urn, step.name, refused.code, refused.message)
            await journal.leave(step, left)
            return
        await journal.close(step, None)


def _recorded(
    node: Node, wanted: Mapping[str, object], before: RecordedResource | None
) -> RecordedResource:
    outputs = before.outputs if before else {}
    return RecordedResource(
        node.urn, node.type, node.name, wanted, outputs, node.dependencies, node.protected
    )
