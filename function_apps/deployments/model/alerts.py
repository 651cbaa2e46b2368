"""Alerts about a module that a rollback could not bring back, until a later release of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, ModuleState
from shared.contracts.health import RuntimeAlertCleared, RuntimeAlertRaised
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ModuleId, Severity

NOTHING_TO_GO_BACK_TO: Final = "NothingToGoBackTo"


def _alert_id(component: ReleasedComponent) -> str:
    return f"{component.service_id}/{NOTHING_TO_GO_BACK_TO}"


def raised(
    deployment: Deployment, dead: Iterable[ModuleId], reasons: Iterable[str], now: datetime
) -> Iterator[RuntimeAlertRaised]:
    """Yield an alert for each of *dead*, the modules whose previous version is dead.

    Its revision is the release's.
    """
    evidence = tuple(reasons)[:20]
    for component in filter(None, map(deployment.candidate, dead)):
        yield RuntimeAlertRaised(
            aggregate_id=_alert_id(component),
            revision=component.release_revision,
            alert=NOTHING_TO_GO_BACK_TO,
            severity=Severity.CRITICAL,
            environment_id=deployment.environment_id,
            service_id=component.service_id,
            evidence=evidence,
            raised_at=now,
        )


def marked(
    target: DeploymentTarget, dead: Iterable[ModuleId], now: datetime
) -> Mapping[ModuleId, ModuleState]:
    """Return the modules of *target*, those of *dead* with an open alert."""
    alerted = {module: replace(target.module(module), alerted_at=now) for module in dead}
    return {**target.modules, **alerted}


def cleared(
    done: Deployment, before: DeploymentTarget, now: datetime
) -> Iterator[RuntimeAlertCleared]:
    """Yield the end of each alert that *done*, which is in force now, has made an end of."""
    for component in done.released_components:
        raised_at = before.module(component.module_id).alerted_at
        if raised_at is not None:
            yield RuntimeAlertCleared(
                aggregate_id=_alert_id(component),
                revision=component.release_revision,
                alert=NOTHING_TO_GO_BACK_TO,
                severity=Severity.CRITICAL,
                environment_id=done.environment_id,
                service_id=component.service_id,
                raised_at=raised_at,
                cleared_at=now,
            )
