"""What a promotion asks for in the next environment, what stays behind, and when it is too soon."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.deployments.errors import EvidenceRequired, NotPromotable
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.promotion import (
    Source,
    left_policies,
    left_settings,
    promotion_command,
    require_soak_time,
    require_source_in_force,
    scaled_modules,
    soak_evidence,
)
from shared.contracts.deployments import DeploymentStatus
from shared.contracts.gates import Gate
from shared.contracts.health import HealthStatus, ServiceHealth
from shared.contracts.promotions import PromoteDeployment, SoakDefaults, SoakEvidence
from shared.contracts.releases import (
    ConfigurationPin,
    ReleasedComponent,
    ReleasedSecret,
    ReleaseUnit,
)
from shared.contracts.strategies import OnConflict, Strategy
from shared.contracts.values import ComputeTargetKind, SecretDelivery, Stage
from tests.deployments.driven import SHOP, TEST, WEB, environment
from tests.deployments.test_what_an_undo_asks_for import completed, component, in_force, released
from tests.deployments.told_secrets import BINDING, VAULT
from tests.kit.service import TENANT
from tests.kit.virtual_time import EPOCH

LOCAL, AKS = ComputeTargetKind.LOCAL_PROCESS, ComputeTargetKind.AKS
STAGING: Final = environment("staging")
SOAK: Final = SoakDefaults()
HOUR: Final = timedelta(hours=1)
PINNED: Final = ConfigurationPin(environment=4, hash="sha256:" + "4" * 64)
RELEASE: Final = replace(
    completed(component()),
    stage=Stage.TEST,
    unit=ReleaseUnit(components=(released(SHOP, 2),)),
    ended_at=EPOCH,
)
SOURCE: Final = Source.of(RELEASE)


def secret(name: str) -> ReleasedSecret:
    return ReleasedSecret(
        name=name,
        version="v1",
        vault_uri=VAULT,
        delivery=SecretDelivery.FILE,
        target=name,
        binding_id=BINDING,
    )


def with_secrets(made: ReleasedComponent, *names: str) -> ReleasedComponent:
    return made.model_copy(update={"secrets": tuple(map(secret, names))})


def source(*components: ReleasedComponent) -> Source:
    return replace(SOURCE, unit=ReleaseUnit(components=components))


def promoted(*offered: ComputeTargetKind, of: Source = SOURCE, **more: Any) -> Any:
    command = PromoteDeployment(deployment_id=of.deployment_id, to_environment_id=STAGING, **more)
    return promotion_command(of, command, offered)


def test_a_completed_release_is_a_source_as_it_stands_in_its_environment() -> None:
    found = Source.of(RELEASE)

    assert (found.deployment_id, found.environment_id) == (RELEASE.deployment_id, TEST)
    assert (found.stage, found.release_ref, found.unit) == (Stage.TEST, "two", RELEASE.unit)
    assert found.completed_at == EPOCH


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"status": DeploymentStatus.FAILED}, "is Failed; only Completed", id="failed"),
        pytest.param({"unit": ReleaseUnit(components=())}, "only removed modules", id="a-removal"),
    ],
)
def test_what_released_nothing_is_not_promoted(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(NotPromotable, match=f"{RELEASE.deployment_id} {why}"):
        Source.of(replace(RELEASE, **changes))


@pytest.mark.parametrize("by", ["dep-other", "nothing"])
def test_what_something_else_has_replaced_is_not_promoted(by: str) -> None:
    other = replace(RELEASE, deployment_id="dep-other")  # type: ignore[arg-type]
    target = DeploymentTarget(TEST) if by == "nothing" else in_force(other)

    require_source_in_force(SOURCE, in_force(RELEASE))
    with pytest.raises(NotPromotable, match=f"no longer in force: {by} is"):
        require_source_in_force(SOURCE, target)


# The command.


def test_the_same_versions_are_asked_for_under_the_same_name_where_they_are_to_go() -> None:
    command = promoted(LOCAL)

    assert (command.environment_id, command.release_ref) == (STAGING, "two")
    assert [(each.version, each.compute_target) for each in command.components] == [("2.0", LOCAL)]
    assert (command.strategy, command.gate) == (Strategy(), Gate())
    assert (command.on_conflict, command.dry_run) == (OnConflict.QUEUE, False)


def test_steps_gate_and_order_are_those_that_the_promotion_names() -> None:
    strategy, gate = Strategy.model_validate({"kind": "recreate"}), Gate(min_samples=9)

    command = promoted(
        LOCAL, strategy=strategy, gate=gate, on_conflict=OnConflict.REJECT, dry_run=True
    )

    assert (command.strategy, command.gate) == (strategy, gate)
    assert (command.on_conflict, command.dry_run) == (OnConflict.REJECT, True)


def test_on_a_surface_that_is_not_offered_it_is_placed_anew_by_what_it_asked_for() -> None:
    (placed,) = promoted(AKS, of=source(released(SHOP, 2, scheduled=True))).components

    assert (placed.compute_target, placed.scheduled) == (None, True)


def test_nothing_is_promoted_to_where_it_is() -> None:
    command = PromoteDeployment(deployment_id=RELEASE.deployment_id, to_environment_id=TEST)

    with pytest.raises(NotPromotable, match=f"in {TEST} already") as refused:
        promotion_command(SOURCE, command, [LOCAL])

    assert refused.value.target == "/toEnvironmentId"


# What stays behind.


def test_a_policy_stays_behind_unless_there_is_one_where_it_goes() -> None:
    of = source(released(SHOP, 2, scalingPolicyRevision=3), released(WEB, 2))
    scaled = scaled_modules(of)

    (reason,) = left_policies(scaled, [released(SHOP, 1, replicas=4), released(WEB, 1)])

    assert scaled == (SHOP,)
    assert reason.code == "ScalingPolicyNotPromoted"
    assert f"{SHOP} gets 4 instances here, until svc-" in reason.message
    assert left_policies(scaled, [released(SHOP, 1, scalingPolicyRevision=1)]) == ()


def test_configuration_and_secrets_that_the_next_environment_lacks_are_named() -> None:
    had = with_secrets(released(SHOP, 2), "mail", "card", "key").model_copy(
        update={"configuration": PINNED}
    )

    (warning,) = left_settings(source(had), [with_secrets(released(SHOP, 1), "mail")])

    assert warning == (
        f"{SHOP} has no configuration, no secret card, no secret key in this environment, as it has"
        f" in {TEST}: a promotion takes none along; publish and bind first"
    )


def test_of_many_secrets_as_many_are_named_as_can_be_read() -> None:
    had = with_secrets(released(SHOP, 2), *(f"{number:02}-{'x' * 120}" for number in range(50)))

    (warning,) = left_settings(source(had), [released(SHOP, 1)])

    assert ", no secret 09-" in warning
    assert ", … in this environment" in warning
    assert len(warning) <= 2048


def test_layers_that_are_lacked_beside_one_of_the_tenant_are_named() -> None:
    everywhere = ConfigurationPin(tenant=2, environment=4, module=1, hash="sha256:" + "4" * 64)
    of_tenant = ConfigurationPin(tenant=2, hash="sha256:" + "5" * 64)
    had, planned = (
        released(SHOP, 1).model_copy(update={"configuration": pin})
        for pin in (everywhere, of_tenant)
    )

    (warning,) = left_settings(source(had), [planned])

    assert warning.startswith(
        f"{SHOP} has no configuration of the environment, no configuration of the module in this"
    )


def test_where_nothing_stays_behind_nothing_is_said() -> None:
    same = with_secrets(released(SHOP, 2), "mail").model_copy(update={"configuration": PINNED})

    assert left_settings(source(same), [same, released(WEB, 1)]) == ()


# Its time.


def health(since: Any = EPOCH, **changes: Any) -> ServiceHealth:
    made = ServiceHealth(
        service_id=SOURCE.unit.components[0].service_id, tenant_id=TENANT, environment_id=TEST,
        stage=Stage.TEST, module_id=SHOP, deployment_id=None, release_revision=2, digest=None,
        status=HealthStatus.HEALTHY, previous_status=None, reason="slow", since=since,
        checked_at=None, checks=(), window=None, slo_burn=(), root_cause=None, revision=1,
    )  # fmt: skip
    return made.model_copy(update=changes)


def test_a_release_is_healthy_since_the_last_of_its_services_is() -> None:
    both = source(released(SHOP, 2), released(WEB, 2))

    found = soak_evidence(both, [health(EPOCH + HOUR), health()], HOUR, EPOCH + 2 * HOUR)

    assert found == SoakEvidence(
        deployment_id=RELEASE.deployment_id,
        stage=Stage.TEST,
        healthy_since=EPOCH + HOUR,
        checked_at=EPOCH + 2 * HOUR,
        required=HOUR,
    )


def test_it_is_healthy_from_when_it_was_completed_on() -> None:
    found = soak_evidence(SOURCE, [health(EPOCH - HOUR)], HOUR, EPOCH + HOUR)

    assert found.healthy_since == EPOCH


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param(
            {"status": HealthStatus.DEGRADED},
            rf"{SHOP} is Degraded at test \(slow\)",
            id="degraded",
        ),
        pytest.param(
            {"release_revision": 3}, f"probes release revision 3 of {SHOP}", id="another-release"
        ),
    ],
)
def test_what_is_not_healthy_or_not_looked_at_is_not_promoted(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(NotPromotable, match=why):
        soak_evidence(SOURCE, [health(**changes)], HOUR, EPOCH)


def evidence(checked_at: Any, **changes: Any) -> SoakEvidence:
    made = soak_evidence(SOURCE, [health()], SOAK.test, checked_at)
    return made.model_copy(update=changes)


@pytest.mark.parametrize(
    ("after", "left"),
    [
        pytest.param(SOAK.test - timedelta(seconds=1), "1", id="a-second-too-soon"),
        pytest.param(SOAK.test - timedelta(seconds=1.5), "2", id="rounded-up"),
    ],
)
def test_before_its_time_it_is_told_how_long_is_left(after: timedelta, left: str) -> None:
    now = EPOCH + after

    with pytest.raises(NotPromotable) as refused:
        require_soak_time(SOURCE, evidence(now), SOAK, now)

    assert refused.value.code == "SoakTimeLeft"
    assert refused.value.headers["Retry-After"] == left


def test_when_its_time_has_come_it_is_promoted() -> None:
    now = EPOCH + SOAK.test

    require_soak_time(SOURCE, evidence(now), SOAK, now)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="none"),
        pytest.param({"stage": Stage.DEV}, id="of-another-stage"),
        pytest.param({"deployment_id": "dep-other"}, id="of-another-deployment"),
    ],
)
def test_a_promotion_needs_evidence_about_its_deployment_where_it_is(
    given: dict[str, Any] | None,
) -> None:
    about = None if given is None else evidence(EPOCH + HOUR, **given)

    with pytest.raises(EvidenceRequired) as refused:
        require_soak_time(SOURCE, about, SOAK, EPOCH + HOUR)

    assert refused.value.target == "/evidence"


def test_evidence_counts_for_its_time_and_no_longer() -> None:
    said = evidence(EPOCH + HOUR)
    oldest = EPOCH + HOUR + SOAK.evidence_age_max

    require_soak_time(SOURCE, said, SOAK, oldest)
    with pytest.raises(NotPromotable, match="promote again"):
        require_soak_time(SOURCE, said, SOAK, oldest + timedelta(seconds=1))
