"""The plane tenancy: what isolates the tenant on each surface, and what its binding wants. Pure.

Compared is what a proof of tenants reads of a boundary, and what it may reach outside. Where the
binding has no quota nothing is said of one: earlier versions kept an environment's capacity as one.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from function_apps.drift.model.environment_content import EnvironmentContent, why_not_compared
from function_apps.drift.model.plane_scan import Part, PlaneReading, unread_surface
from shared.contracts.drift import Plane
from shared.contracts.environments import ComputeTarget, IsolationState
from shared.contracts.tenants import TenantBindingStatus
from shared.contracts.values import ComputeTargetKind, Reason
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import (
    GATEWAYS,
    WAY_TO_PLATFORM,
    Boundary,
    bound_quota,
    quota_properties,
)
from shared.surfaces.capabilities import Feature

BOUNDARY: Final = "boundary"
CLOSED: Final = "closed"
_THERE: Final = "there"
_REACH: Final = "mayReach/"
_IDENTITY: Final = "identity"
_ENFORCED: Final = frozenset({TenantBindingStatus.ENFORCED, TenantBindingStatus.SUSPENDED})
_NOT_BOUND: Final = frozenset({None, TenantBindingStatus.UNBOUND})
Looks = Mapping[ComputeTargetKind, Reading[Boundary]]


def bounded_targets(content: EnvironmentContent) -> list[ComputeTarget]:
    """Return the surfaces with a boundary of the tenant, which is all of its quota on some."""
    has_quota = bool(quota_properties(bound_quota(content.binding.quota)))
    return [
        each
        for each in content.targets
        if Feature.NAMESPACES in each.capabilities
        or (has_quota and Feature.QUOTAS in each.capabilities)
    ]


def why_not_judged(content: EnvironmentContent) -> PlaneReading | None:
    """Return that nothing of the plane is compared now, and why; None where it is."""
    if (not_compared := why_not_compared(content)) is not None:
        return PlaneReading(Plane.TENANCY, reason=not_compared[0], is_unfinished=not_compared[1])
    if content.binding.status in _NOT_BOUND:
        message = "the tenant itself is not bound, so no isolation of it was asked for"
        return PlaneReading(Plane.TENANCY, reason=Reason(code="NotBound", message=message))
    if (at_work := _work(content)) is not None:
        reason = Reason(code="OwnWork", message=at_work)
        return PlaneReading(Plane.TENANCY, reason=reason, is_unfinished=True)
    if not bounded_targets(content):
        message = "no surface of the environment has boundaries that could be read"
        return PlaneReading(Plane.TENANCY, reason=Reason(code="NoBoundaries", message=message))
    return None


def _work(content: EnvironmentContent) -> str | None:
    """Return what the platform is at work on, or has not told the end of; None without any."""
    if content.binding.status not in _ENFORCED:
        return f"the tenant's binding is {content.binding.status}"
    state = content.isolation.state if content.isolation else "not heard of yet"
    return None if state is IsolationState.APPLIED else f"the tenant's isolation is {state}"


def tenancy_reading(content: EnvironmentContent, looks: Looks) -> PlaneReading:
    """Return the plane as *looks* show it: one at each surface that has boundaries."""
    if (not_judged := why_not_judged(content)) is not None:
        return not_judged
    parts, unread = [], {}
    for target in bounded_targets(content):
        desired = dict(_desired(content, target))
        match looks[target.kind]:
            case Unknown(reason):
                unread[target.kind.value] = unread_surface(target.kind, reason)
            case Absent():
                # What it lacks besides follows from that, and is not told.
                parts.append(Part(target.kind, {BOUNDARY: _THERE}, {}))
            case Present(boundary):
                if WAY_TO_PLATFORM in boundary.properties:
                    desired[WAY_TO_PLATFORM] = "open"
                if GATEWAYS in boundary.properties:
                    desired[GATEWAYS] = "those of the settings"
                live = dict(_live(boundary, desired))
                parts.append(Part(target.kind, desired, live, boundary.fence))
    return PlaneReading(Plane.TENANCY, tuple(parts), unread)


def _desired(content: EnvironmentContent, target: ComputeTarget) -> Iterator[tuple[str, str]]:
    assert content.isolation is not None, "it is in force"
    yield BOUNDARY, _THERE
    if Feature.NETWORK_POLICY in target.capabilities:
        yield CLOSED, "yes"
    if Feature.QUOTAS in target.capabilities:
        yield from quota_properties(bound_quota(content.binding.quota)).items()
    if content.isolation.identity is not None:
        yield _IDENTITY, content.isolation.identity


def _live(boundary: Boundary, desired: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield BOUNDARY, _THERE
    if CLOSED in desired:
        yield CLOSED, "yes" if boundary.is_ready else "opened, or a part of it is missing"
    for path, value in boundary.properties.items():
        if path in desired or path == _IDENTITY or path.startswith(_REACH):
            yield path, value
