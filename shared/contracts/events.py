"""Every event: its name, who publishes it, who consumes it. Subscriptions come from here.

The name is that of the payload's type, which is not imported: an app imports this table at its cold
start, and of the types those of its own messages only.
The rows are the specification's. `BUILT` and `UNHANDLED` say how much of it exists.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from shared.contracts.entities import FACTORY_EVENTS, RUNTIME_EVENTS
from shared.contracts.values import Service
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class EventType:
    """One row of the published language. No producers: it comes from outside."""

    name: str
    """The `eventType` of the envelope: the payload type's name."""
    producers: frozenset[Service]
    consumers: frozenset[Service]

    @property
    def topic(self) -> str:
        return RUNTIME_EVENTS if self.producers else FACTORY_EVENTS


_S = Service
_OWNERS_OF_PLANES: Final = {
    _S.ENVIRONMENTS,
    _S.DEPLOYMENTS,
    _S.CONFIGURATIONS,
    _S.SECRET_BINDINGS,
    _S.TENANTS,
    _S.SCALING,
}
_KEEP_SOMETHING_PER_ENVIRONMENT: Final = set(Service) - {_S.ENVIRONMENTS}
_FOLLOW_DEPLOYMENTS: Final = {_S.CATALOG, _S.SCALING, _S.DRIFT}
_FOLLOW_RELEASES: Final = {
    _S.CATALOG,
    _S.HEALTH,
    _S.DRIFT,
    _S.SCALING,
    _S.CONFIGURATIONS,
    _S.SECRET_BINDINGS,
    _S.TENANTS,
}
_DEPLOYS_OR_COMPARES: Final = {_S.DEPLOYMENTS, _S.DRIFT}


def _row(name: str, producers: Iterable[Service], consumers: Iterable[Service]) -> EventType:
    return EventType(name, frozenset(producers), frozenset(consumers))


_ROWS: Final = (
    _row(
        "RuntimeEnvironmentProvisioned",
        {_S.ENVIRONMENTS},
        {
            _S.DEPLOYMENTS,
            _S.CATALOG,
            _S.TENANTS,
            _S.CONFIGURATIONS,
            _S.SECRET_BINDINGS,
            _S.SCALING,
            _S.DRIFT,
        },
    ),
    _row(
        "RuntimeEnvironmentStatusChanged",
        {_S.ENVIRONMENTS},
        {_S.DEPLOYMENTS, _S.CATALOG, _S.TENANTS, _S.DRIFT},
    ),
    _row("RuntimeEnvironmentFailed", {_S.ENVIRONMENTS}, _KEEP_SOMETHING_PER_ENVIRONMENT),
    _row(
        "RuntimeEnvironmentDecommissioned",
        {_S.ENVIRONMENTS},
        _KEEP_SOMETHING_PER_ENVIRONMENT,
    ),
    _row("RuntimeEnvironmentDrained", {_S.DEPLOYMENTS}, {_S.ENVIRONMENTS}),
    _row(
        "RuntimeTenantBound",
        {_S.TENANTS},
        {_S.ENVIRONMENTS, _S.DEPLOYMENTS, _S.SECRET_BINDINGS, _S.CATALOG, _S.DRIFT},
    ),
    _row("TenantIsolationProofCompleted", {_S.TENANTS}, _DEPLOYS_OR_COMPARES),
    _row("ConfigurationPublished", {_S.CONFIGURATIONS}, _DEPLOYS_OR_COMPARES),
    _row("ConfigurationSynced", {_S.CONFIGURATIONS}, _DEPLOYS_OR_COMPARES),
    _row("ConfigurationSyncFailed", {_S.CONFIGURATIONS}, _DEPLOYS_OR_COMPARES),
    _row("SecretBound", {_S.SECRET_BINDINGS}, _DEPLOYS_OR_COMPARES),
    _row("SecretRotated", {_S.SECRET_BINDINGS}, _DEPLOYS_OR_COMPARES),
    _row("SecretRotationFailed", {_S.SECRET_BINDINGS}, _DEPLOYS_OR_COMPARES),
    _row("SecretExpiring", {_S.SECRET_BINDINGS}, _DEPLOYS_OR_COMPARES),
    _row("RuntimeDeploymentRequested", {_S.DEPLOYMENTS}, _FOLLOW_DEPLOYMENTS),
    _row("RuntimeDeploymentStepChanged", {_S.DEPLOYMENTS}, _FOLLOW_DEPLOYMENTS),
    _row("RuntimeDeploymentCompleted", {_S.DEPLOYMENTS}, _FOLLOW_RELEASES),
    _row("RuntimeDeploymentRolledBack", {_S.DEPLOYMENTS}, _FOLLOW_RELEASES),
    _row("RuntimeDeploymentFailed", {_S.DEPLOYMENTS}, _FOLLOW_RELEASES),
    _row("RuntimeDeploymentCancelled", {_S.DEPLOYMENTS}, _FOLLOW_RELEASES),
    _row(
        "RuntimeInventoryUpdated",
        {_S.CATALOG},
        {_S.HEALTH, _S.SCALING, _S.DRIFT, _S.CONFIGURATIONS},
    ),
    _row("HealthCheckCompleted", {_S.HEALTH}, {_S.DEPLOYMENTS, _S.SCALING, _S.DRIFT}),
    # An alert of its own kind: who listens is a person.
    _row("RuntimeInstancesRestarted", {_S.HEALTH}, ()),
    # Sinks are signed webhooks, and catalog keeps their subscriptions.
    _row(
        "RuntimeAlertRaised",
        {_S.DEPLOYMENTS, _S.HEALTH, _S.SECRET_BINDINGS, _S.TENANTS, _S.DRIFT, _S.SCALING},
        {_S.CATALOG},
    ),
    _row(
        "RuntimeAlertCleared",
        {_S.DEPLOYMENTS, _S.HEALTH, _S.SECRET_BINDINGS, _S.TENANTS, _S.DRIFT, _S.SCALING},
        {_S.CATALOG},
    ),
    _row("ScalingPolicyApplied", {_S.SCALING}, {_S.DRIFT, _S.CATALOG, _S.DEPLOYMENTS}),
    _row("RuntimeDriftDetected", {_S.DRIFT}, _OWNERS_OF_PLANES),
    _row("RuntimeDriftResolved", {_S.DRIFT}, _OWNERS_OF_PLANES),
    _row("TenantProvisioned", (), {_S.ENVIRONMENTS, _S.TENANTS}),
)

EVENTS: Final[Mapping[str, EventType]] = MappingProxyType({row.name: row for row in _ROWS})

BUILT: Final = frozenset(
    {
        _S.ENVIRONMENTS,
        _S.DEPLOYMENTS,
        _S.CATALOG,
        _S.HEALTH,
        _S.CONFIGURATIONS,
        _S.SECRET_BINDINGS,
        _S.TENANTS,
        _S.SCALING,
        _S.DRIFT,
    }
)
"""The services that exist; a producer or consumer that is not among them is not built yet."""
_DRIFT: Final = {"RuntimeDriftDetected", "RuntimeDriftResolved"}
_ALERTS: Final = {"RuntimeAlertRaised", "RuntimeAlertCleared"}
UNHANDLED: Final[Mapping[Service, frozenset[str]]] = MappingProxyType(
    {
        _S.ENVIRONMENTS: frozenset({*_DRIFT, "TenantProvisioned"}),
        _S.DEPLOYMENTS: frozenset(
            {
                *_DRIFT,
                "ConfigurationSynced",
                "ConfigurationSyncFailed",
                "SecretExpiring",
            }
        ),
        _S.CATALOG: frozenset(
            {
                *_ALERTS,
                "RuntimeDeploymentRequested",
                "RuntimeDeploymentStepChanged",
                "RuntimeDeploymentFailed",
                "RuntimeDeploymentCancelled",
                "RuntimeEnvironmentStatusChanged",
                "RuntimeEnvironmentFailed",
                "RuntimeTenantBound",
            }
        ),
        _S.HEALTH: frozenset({"RuntimeEnvironmentFailed", "RuntimeEnvironmentDecommissioned"}),
        _S.CONFIGURATIONS: frozenset(
            {
                *_DRIFT,
                "RuntimeDeploymentFailed",
                "RuntimeDeploymentCancelled",
                "RuntimeEnvironmentFailed",
            }
        ),
        _S.SECRET_BINDINGS: frozenset({*_DRIFT, "RuntimeEnvironmentFailed"}),
        _S.TENANTS: frozenset(_DRIFT),
        # Of the environment it hears by its services, which catalog retires.
        _S.SCALING: frozenset(
            {
                *_DRIFT,
                "RuntimeDeploymentRequested",
                "RuntimeEnvironmentProvisioned",
                "RuntimeEnvironmentFailed",
                "RuntimeEnvironmentDecommissioned",
            }
        ),
        _S.DRIFT: frozenset(
            {
                "ConfigurationSynced",
                "ConfigurationSyncFailed",
                "SecretBound",
                "SecretExpiring",
                "SecretRotated",
                "SecretRotationFailed",
            }
        ),
    }
)
"""The events that a built service is to consume and so far settles without effect.

Alerts have no consumer yet: catalog is to have the subscriptions of their sinks.
"""


def subscription(topic: str, service: Service) -> tuple[str, ...]:
    """Return the event types that *service*'s subscription to *topic* lets through, sorted.

    Each becomes one correlation filter on `cs-event-type`; empty: there is no subscription.
    """
    return tuple(
        sorted(row.name for row in _ROWS if row.topic == topic and service in row.consumers)
    )
