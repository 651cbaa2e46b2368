"""Alerts about a module that a rollback could not bring back, until a later release of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, ModuleState
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId


def components_without_previous(
    deployment: Deployment, dead: Iterable[ModuleId]
) -> Iterator[ReleasedComponent]:
    """Yield what *deployment* brought of *dead*, the modules whose previous version is dead."""
    yield from filter(None, map(deployment.candidate, dead))


def with_open_alerts(
    target: DeploymentTarget, dead: Iterable[ModuleId], now: datetime
) -> Mapping[ModuleId, ModuleState]:
    """Return the modules of *target*, those of *dead* with an open alert."""
    alerted = {module: replace(target.module(module), alerted_at=now) for module in dead}
    return {**target.modules, **alerted}


def components_that_end_an_alert(
    done: Deployment, before: DeploymentTarget
) -> Iterator[tuple[ReleasedComponent, datetime]]:
    """Yield what is in force with *done* and ends an alert, with when that was raised."""
    for component in done.released_components:
        raised_at = before.module(component.module_id).alerted_at
        if raised_at is not None:
            yield component, raised_at
