"""The harness of the contract suite: one surface with a site, for each adapter."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from shared.kernel.clock import Clock
from shared.kernel.fence import Fence
from shared.kernel.ids import (
    EnvironmentId,
    ModuleId,
    ProjectId,
    TenantId,
    environment_id,
    environment_key,
)
from shared.kernel.observation import Absent, Present
from shared.surfaces.observed_state import Instance, LiveComponent, Phase
from shared.surfaces.port import Sites, Surface
from shared.surfaces.spec import (
    HttpProbe,
    ReleaseQuestion,
    RevisionSpec,
    SiteSpec,
    SurfaceComponent,
)
from tests.kit.patience import PATIENCE_S

ACME = TenantId("acme")
ENVIRONMENT: EnvironmentId = environment_id(environment_key(ACME, ProjectId("proj-shop"), "test"))
SITE = SiteSpec(ENVIRONMENT, ACME, "test", "test", {"region": "here"})
SHOP = SurfaceComponent(ENVIRONMENT, ACME, ModuleId("module-shop"))


class SurfaceAndSites(Surface, Sites, Protocol):
    """Both ports, which each adapter implements in one object."""


def fence(token: int, step: str = "step") -> Fence:
    return Fence(token, f"op-{token}", step)


def _no_jobs(spec: RevisionSpec, _exit_code: int | None) -> RevisionSpec:
    raise AssertionError(f"this surface declares no jobs: {spec}")


@dataclass
class SurfaceHarness:
    """One surface with a site; `restart` kills its host and starts another."""

    surface: SurfaceAndSites
    clock: Clock
    template: RevisionSpec
    restart_host: Callable[[], Any]
    kill_host: Callable[[], Any]
    break_reads: Callable[[], Any]
    ending: Callable[[RevisionSpec, int | None], RevisionSpec] = _no_jobs
    """Makes a spec run to its end with an exit code; None: it never ends."""
    keeps_instances: bool = True
    """Its instances are processes that go on when a removal is undone; pods are made anew."""
    tokens: int = field(default=1)
    ask: Callable[[Instance, str], Awaitable[Mapping[str, Any]]] | None = None
    """Returns what an instance answers at a path, where there are processes that answer."""

    def spec(self, revision: int = 1, **changes: Any) -> RevisionSpec:
        version = changes.get("version", f"{revision}.0")
        numbered = replace(
            self.template, revision=revision, version=version, environ={"VERSION": version}
        )
        return replace(numbered, **changes)

    def worker(self, revision: int = 1, **changes: Any) -> RevisionSpec:
        """Return a component without a port: no traffic, no probes, no answers."""
        bare = {"port": None, "readiness": None, "release": None, "path_prefix": None}
        return self.spec(revision, **{**bare, **changes})

    async def restart(self) -> None:
        self.surface = await self.restart_host()

    async def until(
        self, holds: Callable[[LiveComponent], bool], component: SurfaceComponent = SHOP
    ) -> LiveComponent:
        """Return the first observation for which *holds*; the last one is in the failure."""
        give_up_at_s = self.clock.monotonic_s() + PATIENCE_S
        while True:
            reading = await self.surface.observe(component)
            if isinstance(reading, Present) and holds(reading.value):
                return reading.value
            assert self.clock.monotonic_s() < give_up_at_s, f"never came: last reading {reading}"
            await self.clock.sleep(0.05)

    async def until_gone(self, component: SurfaceComponent = SHOP) -> None:
        give_up_at_s = self.clock.monotonic_s() + PATIENCE_S
        while not isinstance(reading := await self.surface.observe(component), Absent):
            assert self.clock.monotonic_s() < give_up_at_s, f"never went: last reading {reading}"
            await self.clock.sleep(0.05)

    async def serve(self, *specs: RevisionSpec, weights: dict[int, int] | None = None) -> None:
        """Apply *specs*, wait until all are ready, and give them *weights*."""
        for spec in specs:
            await self.surface.apply(spec, fence(self.tokens, "apply"))
        numbers = {spec.revision for spec in specs}
        await self.until(
            lambda live: numbers <= {r.revision for r in live.revisions if r.phase is Phase.READY},
            specs[0].component,
        )
        if weights is not None:
            await self.surface.set_weights(specs[0].component, weights, fence(self.tokens, "set"))


OpenHarness = Callable[[], AbstractAsyncContextManager[SurfaceHarness]]

TEMPLATE = RevisionSpec(
    component=SHOP,
    revision=1,
    version="1.0",
    artifact="sha256:" + "a" * 64,
    command=("python", "server.py"),
    path_prefix="/",
    readiness=HttpProbe("/ready", period_s=0.1, timeout_s=2),
    release=ReleaseQuestion("/version", "release.version"),
    unit={"configurationHash": "c0ffee"},
    drain_s=0.3,
    grace_s=2,
)
