"""The resources of catalog: a service, a row of its history, a dependency."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from function_apps.catalog.model.description import description
from function_apps.catalog.model.history import Facts, HistoryRow
from function_apps.catalog.model.service import RuntimeService
from shared.contracts import catalog as published
from shared.surfaces.properties import Properties


def current_service(service: RuntimeService, scanned_at: str | None) -> published.RuntimeService:
    """Return the resource of *service*, whose environment was last scanned at *scanned_at*."""
    facts = service.facts
    assert facts is not None, service
    observed_at = service.last_observed_at
    # A scan without differences writes nothing to the service, but it did observe it.
    if scanned_at is not None and scanned_at > facts.valid_from and service.retired_at is None:
        observed_at = max(observed_at or scanned_at, scanned_at)
    return _resource(service, facts, observed_at)


def past_service(service: RuntimeService, facts: Facts) -> published.RuntimeService:
    """Return the resource of *service* at the time of *facts*, without its instances."""
    return _resource(replace(service, instances=()), facts, None)


def _resource(
    service: RuntimeService, facts: Facts, observed_at: str | None
) -> published.RuntimeService:
    component = facts.release.component
    return published.RuntimeService.model_validate(
        {
            **description(service, facts),
            "tenantId": service.tenant_id,
            "projectId": service.project_id,
            "image": component.get("image"),
            "tier": None,
            "links": (),
            "validUntil": None,
            "knownFrom": facts.known_from,
            "lastObservedAt": observed_at,
            "retiredAt": (
                facts.valid_from if facts.status is published.ServiceStatus.RETIRED else None
            ),
        }
    )


def live_revision(number: int, properties: Properties) -> published.LiveRevision:
    """Return the resource of what a revision is; what somebody made too long is cut."""
    planes = {
        plane: {
            _cut(path): _cut(value)
            for path, value in sorted(values.items())[: published.LIVE_VALUES_MAX]
        }
        for plane, values in properties.items()
    }
    is_whole = planes == properties
    return published.LiveRevision(release_revision=number, properties=planes, is_whole=is_whole)


def _cut(text: str) -> str:
    most = published.LIVE_TEXT_MAX
    return text if len(text) <= most else f"{text[: most - 1]}…"


_SHOWN: Final = (
    "componentType", "version", "digest", "computeTarget", "replicas", "configuration",
)  # fmt: skip


def require_release(row: HistoryRow) -> None:
    """Raise KeyError if the release of *row* lacks what every view of it shows."""
    for name in _SHOWN:
        row.component[name]


def history_row(facts: Facts, row: HistoryRow, valid_until: str | None) -> Mapping[str, Any]:
    """Return the resource of one row of history, with its cause."""
    component = facts.release.component
    return {
        "status": row.status,
        "version": component["version"],
        "digest": component["digest"],
        "releaseRevision": facts.release.release_revision,
        "deploymentId": facts.release.deployment_id,
        "cause": {"kind": row.cause_kind, "id": row.cause_id},
        "validFrom": row.valid_from,
        "validUntil": valid_until,
        "knownFrom": row.known_from,
    }


def dependency(module: str, service: RuntimeService | None) -> published.Dependency:
    """Return one end of a dependency; a service without a known release is Unknown."""
    return published.Dependency.model_validate(
        {
            "module_id": module,
            "service_id": service.service_id if service else None,
            "status": (service.status if service else None) or published.ServiceStatus.UNKNOWN,
        }
    )
