"""Somebody changes what runs in a world behind the platform's back, and drift finds it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.kernel.ids import EnvironmentId
from tests.kit.world import World


async def tampered(world: World, environment: str) -> Mapping[str, Any]:
    """Have a variable of each service differ; return the finding, once it is there."""
    site = world.surface.sites[EnvironmentId(environment)]
    for component in site.components.values():
        for revision in component.revisions.values():
            revision.spec = replace(revision.spec, environ={"MODE": "odd"})

    async def found() -> Any:
        _, report = await world.call("GET", f"/runtime/drift/{environment}")
        return report.get("value")

    (finding,) = await world.until(found)
    changed: Mapping[str, Any] = finding
    return changed
