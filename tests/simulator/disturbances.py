"""What goes on around the platform: instances crash, reads fail, load changes, people tamper."""

from dataclasses import replace

from shared.kernel.ids import TenantId
from shared.surfaces.boundaries import Quota
from shared.surfaces.spec import Resources
from tests.simulator.operators import HOUR_S, MODULES, Operator


async def break_an_instance(operator: Operator) -> None:
    for environment, site in list(operator.world.surface.sites.items()):
        for component in site.components:
            revisions = operator.world.surface.component(component).revisions.values()
            instances = [each for found in revisions for each in found.instances]
            if instances and operator.drawn.random() < 0.2:
                operator.world.history.note(f"crash in {environment}")
                operator.world.surface.crash(component, operator.drawn.choice(instances).id)


async def make_the_surface_unreadable(operator: Operator) -> None:
    world = operator.world
    world.surface.unreadable = "simulated: the surface cannot be read"
    if world.history.is_rolling_out():
        world.history.sometimes("the surface could not be read during a rollout")
    try:
        await world.clock.sleep(operator.drawn.random() * HOUR_S / 4)
    finally:
        world.surface.unreadable = ""


async def tear_the_listing(operator: Operator) -> None:
    """Let one component be missing from what the surface lists, as unread."""
    found = sorted(
        component for site in operator.world.surface.sites.values() for component in site.components
    )
    if not found:
        return
    component = operator.drawn.choice(found)
    operator.world.surface.torn.add(component)
    try:
        await operator.world.clock.sleep(operator.drawn.random() * HOUR_S / 4)
    finally:
        operator.world.surface.torn.discard(component)


async def make_probes_fail(operator: Operator) -> None:
    module = operator.drawn.choice(MODULES)
    operator.world.prober.failing.add(module)
    try:
        await operator.world.clock.sleep(operator.drawn.random() * HOUR_S / 4)
    finally:
        operator.world.prober.failing.discard(module)


async def tamper(operator: Operator) -> None:
    """Change what runs behind the platform's back: a variable, a limit, or how many there are."""
    cluster = operator.world.surface
    found = [
        (component, revision)
        for site in cluster.sites.values()
        for component in site.components
        for revision in cluster.component(component).revisions.values()
        if revision.instances and revision.removed_at is None
    ]
    if not found:
        return
    component, revision = operator.drawn.choice(found)
    spec = revision.spec
    change = operator.drawn.choice(("variable", "limit", "number"))
    if change == "variable":
        revision.spec = replace(spec, environ={**spec.environ, "ADDED": "by hand"})
    elif change == "limit":
        revision.spec = replace(spec, resources=Resources(cpu=2.0))
    else:
        revision.spec = replace(spec, replicas=spec.replicas + 1)
        cluster.resize(revision)
    operator.world.history.tampered(component, change)


async def tamper_with_a_boundary(operator: Operator) -> None:
    """Take away what keeps the tenant apart, or change its quota, behind the platform's back."""
    tenant = TenantId(operator.tenant)
    found = [
        (environment, site.boundaries[tenant])
        for environment, site in operator.world.surface.sites.items()
        if tenant in site.boundaries
    ]
    live = [(environment, each, each.spec) for environment, each in found if each.spec]
    if not live:
        return
    environment, boundary, spec = operator.drawn.choice(live)
    is_removed = operator.drawn.random() < 0.5
    boundary.spec = None if is_removed else replace(spec, quota=Quota(instances=40))
    operator.world.history.boundary_changed(environment, tenant)


async def change_load(operator: Operator) -> None:
    """Let clients send more requests, or less, and more or fewer of them fail."""
    operator.world.surface.requests_per_s = operator.drawn.choice((0.3, 1.0, 3.0))
    operator.world.provider.error_ratio = operator.drawn.choice((0.0, 0.0, 0.2))
