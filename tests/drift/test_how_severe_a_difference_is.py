"""The class of a difference: its severity, the risk of its repair, its owner, and its cause."""

from typing import Any, Final

import pytest

from function_apps.drift.model.classification import Circumstances, classify
from function_apps.drift.model.comparison import Change
from shared.contracts.drift import DriftKind, DriftSeverity, Plane, RepairRisk
from shared.contracts.drift import RemediationPolicy as Policy
from shared.contracts.values import Service, Stage

LOW, MEDIUM, HIGH, CRITICAL = DriftSeverity
CHANGED, MISSING, UNMANAGED = DriftKind.CHANGED, DriftKind.MISSING, DriftKind.UNMANAGED
SAFE, DISRUPTIVE, DESTRUCTIVE = RepairRisk.SAFE, RepairRisk.DISRUPTIVE, RepairRisk.DESTRUCTIVE
WORKLOAD, TENANCY = Plane.WORKLOAD, Plane.TENANCY
TEST: Final = Circumstances(Stage.TEST)


def change(path: str, kind: DriftKind = CHANGED) -> Change:
    return Change(path, kind, "1", "2")


@pytest.mark.parametrize(
    ("plane", "changed", "severity"),
    [
        pytest.param(WORKLOAD, change("git/version"), LOW, id="git-says-another-version"),
        pytest.param(WORKLOAD, change("revision", MISSING), CRITICAL, id="it-is-gone"),
        pytest.param(WORKLOAD, change("revision", UNMANAGED), HIGH, id="what-nobody-released"),
        pytest.param(WORKLOAD, change("revision/3", UNMANAGED), HIGH, id="beside-the-release"),
        pytest.param(WORKLOAD, change("service", UNMANAGED), HIGH, id="a-whole-service"),
        pytest.param(WORKLOAD, change("image"), HIGH, id="what-runs"),
        pytest.param(WORKLOAD, change("command/0"), HIGH, id="a-part-of-what-runs"),
        pytest.param(WORKLOAD, change("instances"), HIGH, id="what-instances-prove"),
        pytest.param(WORKLOAD, change("environ/version"), MEDIUM, id="a-word-of-its-own"),
        pytest.param(Plane.CONFIGURATION, change("version"), MEDIUM, id="of-another-plane"),
        pytest.param(Plane.ROUTING, change("weight"), HIGH, id="who-gets-requests"),
        pytest.param(Plane.SECRETS, change("key"), HIGH, id="secrets"),
        pytest.param(Plane.REPLICAS, change("replicas"), LOW, id="how-many"),
        pytest.param(TENANCY, change("AKS/closed"), HIGH, id="an-open-boundary"),
        pytest.param(TENANCY, change("AKS/quota/cpu"), MEDIUM, id="a-quota"),
        pytest.param(Plane.CONFIGURATION, change("AKS/closed"), MEDIUM, id="words-alike"),
        pytest.param(Plane.INFRASTRUCTURE, change("AKS/site"), HIGH, id="what-is-around"),
    ],
)
def test_what_weighs_how_much(plane: Plane, changed: Change, severity: DriftSeverity) -> None:
    assert classify(plane, changed, TEST).severity is severity


@pytest.mark.parametrize(
    ("known", "severity"),
    [
        pytest.param(Circumstances(Stage.TEST), LOW, id="as-it-is"),
        pytest.param(Circumstances(None), LOW, id="of-an-unknown-stage"),
        pytest.param(Circumstances(Stage.PROD), MEDIUM, id="in-prod"),
        pytest.param(Circumstances(Stage.TEST, is_healthy=False), MEDIUM, id="unhealthy"),
        pytest.param(Circumstances(Stage.PROD, is_healthy=False), HIGH, id="both"),
    ],
)
def test_in_prod_and_of_an_unhealthy_service_it_weighs_one_step_more(
    known: Circumstances, severity: DriftSeverity
) -> None:
    assert classify(Plane.REPLICAS, change("replicas"), known).severity is severity


def test_nothing_weighs_more_than_critical() -> None:
    known = Circumstances(Stage.PROD, is_healthy=False)

    assert classify(WORKLOAD, change("revision", MISSING), known).severity is CRITICAL
    assert classify(WORKLOAD, change("image"), known).severity is CRITICAL


@pytest.mark.parametrize(
    ("plane", "changed", "risk"),
    [
        pytest.param(WORKLOAD, change("environ/A", UNMANAGED), DISRUPTIVE, id="a-new-start"),
        pytest.param(WORKLOAD, change("revision", MISSING), DISRUPTIVE, id="what-is-gone"),
        pytest.param(WORKLOAD, change("revision", UNMANAGED), DESTRUCTIVE, id="what-is-foreign"),
        pytest.param(WORKLOAD, change("service", UNMANAGED), DESTRUCTIVE, id="a-foreign-service"),
        pytest.param(TENANCY, change("AKS/folder"), SAFE, id="around-workloads"),
        pytest.param(Plane.INFRASTRUCTURE, change("local/site"), SAFE, id="what-is-around"),
        pytest.param(Plane.INFRASTRUCTURE, change("local/data/folder"), DESTRUCTIVE,
                     id="a-folder-of-data-would-be-empty"),
    ],
)  # fmt: skip
def test_what_a_repair_may_cost(plane: Plane, changed: Change, risk: RepairRisk) -> None:
    assert classify(plane, changed, TEST).risk is risk


DEPLOYMENTS, ENVIRONMENTS = Service.DEPLOYMENTS, Service.ENVIRONMENTS


@pytest.mark.parametrize(
    ("plane", "changed", "policy", "asked", "command", "owner"),
    [
        pytest.param(WORKLOAD, change("git/values/a"), Policy.AUTO, Policy.NEVER,
                     "PublishConfiguration", Service.CONFIGURATIONS, id="a-value-of-git"),
        pytest.param(WORKLOAD, change("git/version"), Policy.AUTO, Policy.NEVER, "Deploy",
                     DEPLOYMENTS, id="a-version-of-git"),
        pytest.param(TENANCY, change("a/quota"), Policy.AUTO, Policy.ASK, "RepairEnvironment",
                     ENVIRONMENTS, id="a-whole-environment-is-not-repaired-unasked"),
        pytest.param(TENANCY, change("a/quota"), Policy.NEVER, Policy.NEVER, "RepairEnvironment",
                     ENVIRONMENTS, id="nor-at-all-where-nothing-is"),
        pytest.param(WORKLOAD, change("service", UNMANAGED), Policy.AUTO, Policy.NEVER,
                     "RemediateDrift", DEPLOYMENTS, id="what-nobody-released-has-no-owner"),
        pytest.param(WORKLOAD, change("revision", UNMANAGED), Policy.AUTO, Policy.ASK,
                     "RemediateDrift", DEPLOYMENTS, id="what-would-be-lost-is-asked-for"),
        pytest.param(WORKLOAD, change("revision", UNMANAGED), Policy.NEVER, Policy.NEVER,
                     "RemediateDrift", DEPLOYMENTS, id="or-not-done-at-all"),
        pytest.param(WORKLOAD, change("image"), Policy.AUTO, Policy.AUTO, "RemediateDrift",
                     DEPLOYMENTS, id="anything-else-as-the-policy-says"),
        pytest.param(WORKLOAD, change("image"), Policy.ASK, Policy.ASK, "RemediateDrift",
                     DEPLOYMENTS, id="also-where-it-is-to-be-asked-for"),
    ],
)  # fmt: skip
def test_who_repairs_it_and_whether_unasked(
    plane: Plane, changed: Change, policy: Policy, asked: Policy, command: str, owner: Service
) -> None:
    found = classify(plane, changed, Circumstances(Stage.TEST, policy=policy)).remediation

    assert (found.policy, found.command, found.owner) == (asked, command, owner)


@pytest.mark.parametrize(
    ("path", "known", "cause"),
    [
        pytest.param("git/version", {"desired_by": "commit 1"}, "commit 1", id="of-git"),
        pytest.param("service", {"failed_deployment": "dep-1"}, "no deployment released it",
                     id="unreleased"),
        pytest.param("image", {"failed_deployment": "dep-1"},
                     "dep-1 failed, and may have left it so", id="after-a-failure"),
        pytest.param("image", {"since": "2026-01-01"},
                     "changed outside the platform, after 2026-01-01", id="by-somebody"),
        pytest.param("image", {}, "changed outside the platform, after its release",
                     id="of-an-unknown-time"),
    ],
)  # fmt: skip
def test_why_it_differs(path: str, known: dict[str, Any], cause: str) -> None:
    assert classify(WORKLOAD, change(path), Circumstances(Stage.TEST, **known)).cause == cause
