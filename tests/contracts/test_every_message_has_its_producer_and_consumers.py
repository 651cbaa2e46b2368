"""The table is the specification's; it is written down here a second time on purpose."""

import pytest

from shared.contracts.commands import COMMANDS, command_queue
from shared.contracts.events import EVENTS, FACTORY_EVENTS, RUNTIME_EVENTS, subscription
from shared.contracts.values import Service
from shared.kernel.ids import APPS

REST = "deployments catalog configurations secret_bindings tenants health scaling drift"
RELEASES = "catalog health drift scaling configurations secret_bindings"
OWNERS = "environments deployments configurations secret_bindings tenants scaling"
ALERTING = "deployments health secret_bindings tenants drift scaling"

EVENT_TABLE = {
    "RuntimeEnvironmentProvisioned": (
        "environments",
        "deployments catalog tenants configurations secret_bindings scaling drift",
    ),
    "RuntimeEnvironmentStatusChanged": ("environments", "deployments catalog"),
    "RuntimeEnvironmentFailed": ("environments", REST),
    "RuntimeEnvironmentDecommissioned": ("environments", REST),
    "RuntimeEnvironmentDrained": ("deployments", "environments"),
    "RuntimeTenantBound": ("tenants", "environments deployments secret_bindings catalog"),
    "TenantIsolationProofCompleted": ("tenants", "deployments drift"),
    "ConfigurationPublished": ("configurations", "deployments drift"),
    "ConfigurationSynced": ("configurations", "deployments drift"),
    "ConfigurationSyncFailed": ("configurations", "deployments drift"),
    "SecretBound": ("secret_bindings", "deployments drift"),
    "SecretRotated": ("secret_bindings", "deployments drift"),
    "SecretRotationFailed": ("secret_bindings", "deployments drift"),
    "SecretExpiring": ("secret_bindings", "deployments drift"),
    "RuntimeDeploymentRequested": ("deployments", "catalog scaling drift"),
    "RuntimeDeploymentStepChanged": ("deployments", "catalog scaling drift"),
    "RuntimeDeploymentCompleted": ("deployments", RELEASES),
    "RuntimeDeploymentRolledBack": ("deployments", RELEASES),
    "RuntimeDeploymentFailed": ("deployments", RELEASES),
    "RuntimeDeploymentCancelled": ("deployments", RELEASES),
    "RuntimeInventoryUpdated": ("catalog", "health scaling drift configurations"),
    "HealthCheckCompleted": ("health", "deployments scaling drift"),
    "RuntimeInstancesRestarted": ("health", ""),
    "RuntimeAlertRaised": (ALERTING, "catalog"),
    "RuntimeAlertCleared": (ALERTING, "catalog"),
    "ScalingPolicyApplied": ("scaling", "drift catalog deployments"),
    "RuntimeDriftDetected": ("drift", OWNERS),
    "RuntimeDriftResolved": ("drift", OWNERS),
    "TenantProvisioned": ("", "environments tenants"),
}
# Ours: WithdrawSecretVersions, ConfirmCutOver, and their answers (ADR 0817).
HANDLERS = {
    "environments": (
        "ProvisionEnvironment UpdateEnvironment RepairEnvironment DecommissionEnvironment"
    ),
    "deployments": (
        "Deploy RollbackDeployment PromoteDeployment RollOutConfiguration RollOutSecretVersion "
        "RelocateWorkload RemediateDrift WithdrawSecretVersions ConfirmCutOver"
    ),
    "configurations": "PublishConfiguration",
    "secret_bindings": "BindSecret RotateSecret ConfirmWithdrawal",
    "tenants": "BindTenant MoveTenant UnbindTenant AdvanceMove",
    "health": "EvaluateGate",
    "scaling": "ApplyScalingPolicy",
}
INTERACTIONS = (  # the twelve that the specification names
    ("environments", "catalog"),
    ("environments", "deployments"),
    ("tenants", "environments"),
    ("configurations", "deployments"),
    ("secret_bindings", "deployments"),
    ("deployments", "catalog"),
    ("deployments", "health"),
    ("health", "scaling"),
    ("health", "drift"),
    ("scaling", "drift"),
    ("catalog", "drift"),
)

MORE_CONSUMERS = {
    "RuntimeEnvironmentStatusChanged": frozenset({Service.TENANTS, Service.DRIFT}),
    "RuntimeTenantBound": frozenset({Service.DRIFT}),
    **{
        f"RuntimeDeployment{end}": frozenset({Service.TENANTS})
        for end in ("Completed", "RolledBack", "Failed", "Cancelled")
    },
}
"""Beyond the specification: tenants proves nothing of an environment that goes (ADR 0590), and
hears which modules of a moved tenant were started again (ADR 0671); drift compares boundaries with
their binding, and not while they are made (ADR 0660)."""


def services(names: str) -> frozenset[Service]:
    return frozenset(Service(name) for name in names.split())


def test_every_event_of_the_specification_is_registered_and_no_other() -> None:
    assert set(EVENTS) == set(EVENT_TABLE)


@pytest.mark.parametrize("name", EVENT_TABLE)
def test_an_event_has_the_producers_and_consumers_of_the_specification(name: str) -> None:
    producers, consumers = EVENT_TABLE[name]

    assert EVENTS[name].producers == services(producers)
    assert EVENTS[name].consumers == services(consumers) | MORE_CONSUMERS.get(name, frozenset())


@pytest.mark.parametrize(("service", "names"), HANDLERS.items(), ids=list(HANDLERS))
def test_a_command_of_the_specification_has_one_handler(service: str, names: str) -> None:
    for name in names.split():
        assert COMMANDS[name].handler is Service(service)


def test_a_command_that_the_specification_does_not_name_is_sent_by_its_handler_only() -> None:
    named = {name for names in HANDLERS.values() for name in names.split()}

    for command in COMMANDS.values():
        if command.name not in named:
            assert command.senders == {command.handler}, command.name


@pytest.mark.parametrize(("producer", "consumer"), INTERACTIONS, ids="-to-".join)
def test_the_interactions_of_the_specification_are_events(producer: str, consumer: str) -> None:
    assert any(
        Service(producer) in event.producers and Service(consumer) in event.consumers
        for event in EVENTS.values()
    )


def test_drift_asks_deployments_by_command() -> None:
    assert Service.DRIFT in COMMANDS["RemediateDrift"].senders
    assert COMMANDS["RemediateDrift"].handler is Service.DEPLOYMENTS


def test_a_subscription_lets_through_what_its_service_consumes_and_nothing_else() -> None:
    for service in Service:
        for topic in (RUNTIME_EVENTS, FACTORY_EVENTS):
            through = subscription(topic, service)
            assert set(through) == {
                name
                for name, event in EVENTS.items()
                if service in event.consumers and event.topic == topic
            }


def test_only_what_comes_from_outside_is_on_the_factory_topic() -> None:
    assert [event.name for event in EVENTS.values() if event.topic == FACTORY_EVENTS] == [
        "TenantProvisioned"
    ]


def test_a_queue_is_named_for_its_service_with_dashes() -> None:
    assert command_queue(Service.SECRET_BINDINGS) == "runtime-secret-bindings-commands"
    assert COMMANDS["Deploy"].queue == "runtime-deployments-commands"


@pytest.mark.parametrize("service", list(Service))
def test_every_service_has_a_name_that_ids_can_carry(service: Service) -> None:
    assert service.public_name in APPS
