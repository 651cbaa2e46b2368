"""What must hold at each write to a surface, and when a version of a secret is disabled."""

from dataclasses import dataclass
from inspect import signature
from typing import Any, Final

from shared.kernel.fence import Fence, StaleFence
from shared.surfaces.port import NativeScaling, Restarts, Schedules, Surface
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.mortal import MortalSurface
from tests.simulator.history import History

WRITES: Final = frozenset(
    name
    for port in (Surface, NativeScaling, Restarts, Schedules)
    for name, method in vars(port).items()
    if callable(method) and "fence" in signature(method).parameters
)
"""Every write to a component; its fence is the last argument."""


@dataclass
class RecordedSurface(MortalSurface):
    """A surface that compares each write with those before it."""

    cluster: MemoryCluster
    history: History

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name not in WRITES:
            return found

        async def write(*arguments: Any) -> Any:
            try:
                return await self._written(found, name, *arguments)
            except StaleFence:
                self.history.sometimes("a stale writer was refused by a surface")
                raise

        return write

    async def _written(self, found: Any, name: str, *arguments: Any) -> Any:
        try:
            result = await found(*arguments)
        except Exception as problem:
            if str(problem) == "simulated: surface's answer lost":
                self.history.sometimes("the answer of a surface was lost after its write")
                self._check(name, *arguments)
            raise
        self._check(name, *arguments)
        return result

    def _check(self, name: str, *arguments: Any) -> None:
        component = arguments[0].component if name == "apply" else arguments[0]
        fence: Fence = arguments[-1]
        tokens = self.history.tokens
        if fence.token < tokens.get(component, 0):
            why = f"{fence} wrote {name} to {component} after token {tokens[component]}"
            self.history.broke("6", why)
        tokens[component] = max(fence.token, tokens.get(component, 0))
        if name == "set_weights":
            self._check_readiness(component, arguments[1])

    def _check_readiness(self, component: Any, weights: Any) -> None:
        before = self.history.weights.get(component, {})
        live = self.cluster.component(component)
        for number, percent in weights.items():
            revision = live.revisions.get(number)
            instances = self.cluster.instances(revision) if revision else ()
            is_more = percent > before.get(number, 0)
            if is_more and not any(each.is_ready for each in instances):
                why = f"{percent} % of {component} goes to revision {number}: none is ready"
                self.history.broke("10", why)
        self.history.weights[component] = dict(weights)


def check_consumers(cluster: MemoryCluster, version: str, history: History) -> None:
    """Note each consumer that has traffic and is given *version*, which was disabled now."""
    for site in cluster.sites.values():
        for component, live in site.components.items():
            for number, revision in live.revisions.items():
                given = {each.version for each in revision.spec.secrets}
                if live.weights.get(number) and version in given:
                    why = f"{component} runs revision {number} with a version disabled now"
                    history.broke("9", why)
