"""Does one step of a run: two saves around one provider call.

A kill between the saves leaves the resource *in doubt*. Whoever does the step next reads the
resource first, and touches nothing that cannot be read.
"""

from dataclasses import dataclass, replace
from typing import Final

from local_cloud.infrastructure.provider import Providers, ResourceProvider
from local_cloud.infrastructure.run_journal import RunJournal
from local_cloud.infrastructure.run_rules import holder_of, wanted_properties
from local_cloud.infrastructure.state import ResourceStep, StackRun, StackState
from shared.infrastructure.graph import RecordedResource, ResourceAction
from shared.infrastructure.local_program import KUBERNETES_SITE
from shared.infrastructure.port import RemainingResource
from shared.kernel.errors import PlanRefused, Refused, Stale, Unavailable
from shared.kernel.observation import Unknown

_LOST: Final = {
    KUBERNETES_SITE: "this installation names no cluster any more: set RUNTIME_KUBECONFIG or"
    " RUNTIME_AKS_CLUSTER_ID as it was, start the platform again, and repeat this"
}
"""By type of resource: what to do where an installation lost the setting that it was made by."""


@dataclass(frozen=True)
class StepExecutor:
    """Executes steps by their resources' providers; a step that is done already changes nothing."""

    providers: Providers

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
            await self._put(step, state, run, journal)

    async def _put(
        self, step: ResourceStep, state: StackState, run: StackRun, journal: RunJournal
    ) -> None:
        assert run.graph is not None, step
        provider = self._provider(step)
        node = next(node for node in run.graph.nodes if node.urn == step.urn)
        before = state.resource(step.urn)
        wanted = wanted_properties(state, node, before, step.action)
        resource = opened = RecordedResource(
            node.urn, node.type, node.name, wanted, before.outputs if before else {},
            node.dependencies, node.protected,
        )  # fmt: skip
        is_in_doubt = before is not None and before.in_doubt is not None
        if before is not None and step.action is ResourceAction.UPDATE and not is_in_doubt:
            if before.properties == wanted:
                # What it refers to turned out to be as before.
                await journal.close(step, before)
                return
            opened = before
        if not await journal.open(step, replace(opened, in_doubt=step.action)):
            return
        reading = await provider.read(resource) if is_in_doubt else None
        if isinstance(reading, Unknown):
            raise Unavailable(f"{step.name}: cannot tell whether it exists: {reading.reason}")
        live = await provider.put(resource, journal.fence)
        await journal.close(step, replace(resource, outputs=live.outputs))

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
            await journal.close(step, RemainingResource(step.urn, step.name, "HeldBy", reason))
            return
        left = None
        try:
            provider = self._provider(step)
            if not await journal.open(step, replace(before, in_doubt=ResourceAction.DELETE)):
                return
            await provider.delete(before, journal.fence)
        except Stale:
            raise
        except Refused as refused:
            if run.graph is not None:
                raise
            left = RemainingResource(step.urn, step.name, refused.code, refused.message)
        await journal.close(step, left)

    def _provider(self, step: ResourceStep) -> ResourceProvider:
        """Return what makes the resource of *step*.

        Raises:
            PlanRefused: nothing does any more: the settings were others when it was made.
        """
        provider = self.providers.get(step.type)
        if provider is None:
            what = _LOST.get(step.type, f"this engine has no provider for {step.type} any more")
            raise PlanRefused(what, code="ProviderMissing")
        return provider
