"""Alerts about a module that a rollback could not bring back, until it is released or gone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, ModuleState
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class EndedAlert:
    """An alert that has ended; `revision` is above that of the release that it was raised by."""

    module_id: ModuleId
    revision: int
    raised_at: datetime


def components_without_previous(
    deployment: Deployment, dead: Iterable[ModuleId], before: DeploymentTarget
) -> Iterator[ReleasedComponent]:
    """Yield what *deployment* brought of *dead*, the modules whose previous version is dead.

    Not of those that have an open alert already: that stays as it was raised.
    """
    new = (module for module in dead if before.module(module).alerted_at is None)
    yield from filter(None, map(deployment.candidate, new))


def with_open_alerts(
    target: DeploymentTarget, dead: Iterable[ModuleId], now: datetime
) -> Mapping[ModuleId, ModuleState]:
    """Return the modules of *target*, those of *dead* with an open alert."""
    states = {module: target.module(module) for module in dead}
    alerted = {
        module: replace(state, alerted_at=state.alerted_at or now)
        for module, state in states.items()
    }
    return {**target.modules, **alerted}


def ended_alerts(before: DeploymentTarget, after: DeploymentTarget) -> Iterator[EndedAlert]:
    """Yield the alerts that were open in *before* and are not in *after*."""
    for module, state in before.modules.items():
        if state.alerted_at is not None and after.module(module).alerted_at is None:
            yield EndedAlert(module, after.module(module).last, state.alerted_at)
