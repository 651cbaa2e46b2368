"""Releases that run and that no record explains, as after an older copy of the store was put back.

What runs is newer than the records then: it is left alone, and nothing is rolled back over it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from function_apps.deployments.model.deployment_target import DeploymentTarget
from shared.kernel.ids import ModuleId
from shared.surfaces.observed_state import LiveComponent

TOKENS_SKIPPED: Final = 1_000_000
"""More fencing tokens than a lost store gave out since its copy: the next one counts again."""


def unknown_revisions(
    target: DeploymentTarget, live: Mapping[ModuleId, LiveComponent]
) -> Mapping[ModuleId, int]:
    """Return the newest revision of each *live* module that *target* never gave out."""
    newest = {
        module: max((each.revision for each in component.revisions), default=0)
        for module, component in live.items()
    }
    return {
        module: revision
        for module, revision in newest.items()
        if revision > target.module(module).last
    }


def caught_up(target: DeploymentTarget, unknown: Mapping[ModuleId, int]) -> DeploymentTarget:
    """Return *target* giving out revisions above those of *unknown*, and tokens above theirs."""
    modules = {
        module: replace(target.module(module), last=revision)
        for module, revision in unknown.items()
    }
    fence = target.fence + TOKENS_SKIPPED
    return replace(target, fence=fence, modules={**target.modules, **modules})
