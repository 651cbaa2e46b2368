"""Three failures in a row to worsen, two passes to improve; absent data is Unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.sample import Sample
from function_apps.health.model.status_hysteresis import (
    STATUS_OF,
    ProbeOutcome,
    is_prober_outage,
    record_outcome,
)
from function_apps.health.use_cases.probe_service import ServiceProbe
from shared.contracts.health import HealthDefaults, HealthStatus
from shared.kernel.clock import isoformat
from shared.persistence.table_rules import TEXT_MAX, checked_rows
from shared.persistence.tables import TableRow
from tests.kit.virtual_time import EPOCH

P, Y, F, N = ProbeOutcome.PASS, ProbeOutcome.PARTLY, ProbeOutcome.FAIL, ProbeOutcome.NOTHING
RULES = HealthDefaults()


def a_target(status: HealthStatus, **probe: Any) -> ProbeTarget:
    at = isoformat(EPOCH)
    component = {"replicas": 2, "probes": {"readiness": {"path": "/", **probe}}}
    return ProbeTarget(
        "svc-1", "acme", "env-1", "module-web", "test", at, at, status, component=component
    )  # fmt: skip


def after(status: HealthStatus, looks: Sequence[ProbeOutcome], **probe: Any) -> list[str]:
    """Return the status after each of *looks*, by its first letter."""
    target, found = a_target(status, **probe), []
    for number, look in enumerate(looks):
        now = EPOCH + timedelta(seconds=30 * (number + 1))
        target = record_outcome(target, look, (), "", now, RULES)
        found.append(target.status.value)
    return found


H, D, U, X = "Healthy", "Degraded", "Unhealthy", "Unknown"


@pytest.mark.parametrize(
    ("status", "looks", "found"),
    [
        pytest.param(H, [P, P], [H, H], id="stays-healthy"),
        pytest.param(H, [F, F, F], [H, H, U], id="three-failures-worsen"),
        pytest.param(H, [F, F, P, F, F, F], [H, H, H, H, H, U], id="a-pass-in-between-forgives"),
        pytest.param(H, [Y, Y, Y], [H, H, D], id="three-half-failures-degrade"),
        pytest.param(H, [F, Y, F, F, F], [H, H, H, H, U], id="looks-that-differ-are-no-row"),
        pytest.param(H, [N, N, N], [H, H, X], id="three-looks-at-nothing-are-unknown"),
        pytest.param(U, [P, P], [U, H], id="two-passes-improve"),
        pytest.param(U, [P, F, P, P], [U, U, U, H], id="a-failure-in-between-begins-anew"),
        pytest.param(U, [Y, Y], [U, D], id="two-half-passes-improve-to-degraded"),
        pytest.param(D, [F, F, F], [D, D, U], id="degraded-worsens"),
        pytest.param(D, [P, P], [D, H], id="degraded-improves"),
        pytest.param(D, [Y, Y, Y], [D, D, D], id="stays-degraded"),
        pytest.param(X, [P], [H], id="the-first-pass-of-an-unknown-one"),
        pytest.param(X, [F, F, F], [X, X, U], id="an-unknown-one-fails-like-any"),
        pytest.param(X, [N, N, N, N], [X, X, X, X], id="absent-data-is-never-healthy"),
        pytest.param(U, [N, N, N], [U, U, X], id="unhealthy-and-then-unseen"),
    ],
)
def test_looks_in_a_row_change_the_status(
    status: str, looks: list[ProbeOutcome], found: list[str]
) -> None:
    assert after(HealthStatus(status), looks) == found


@pytest.mark.parametrize(
    ("probe", "status", "looks", "found"),
    [
        pytest.param({"failureThreshold": 1}, H, [F], [U], id="one-failure"),
        pytest.param({"failureThreshold": 5}, H, [F] * 5, [H, H, H, H, U], id="five-do"),
        pytest.param({"successThreshold": 4}, U, [P] * 4, [U, U, U, H], id="four-passes"),
        pytest.param({"successThreshold": 1}, U, [P, P], [U, H], id="never-fewer-than-two-passes"),
    ],
)  # fmt: skip
def test_the_thresholds_are_the_components_own(
    probe: dict[str, int], status: str, looks: list[ProbeOutcome], found: list[str]
) -> None:
    assert after(HealthStatus(status), looks, **probe) == found


@given(st.sampled_from(HealthStatus), st.lists(st.sampled_from(ProbeOutcome), max_size=30))
def test_a_change_is_to_what_was_probed_and_makes_a_revision(
    status: HealthStatus, looks: list[ProbeOutcome]
) -> None:
    target = a_target(status)
    for look in looks:
        then = record_outcome(target, look, (), "", EPOCH, RULES)
        assert then.status in {target.status, STATUS_OF[look]}
        assert (then.revision > target.revision) == (then.status is not target.status)
        target = then


@given(st.sampled_from(HealthStatus), st.lists(st.sampled_from([F, N]), max_size=30))
def test_without_a_pass_nothing_becomes_healthy(
    status: HealthStatus, looks: list[ProbeOutcome]
) -> None:
    found = after(status, looks)

    assert status is HealthStatus.HEALTHY or H not in found


def test_every_outcome_has_a_status() -> None:
    assert set(STATUS_OF) == set(ProbeOutcome)


@pytest.mark.parametrize(
    ("lost", "is_outage"),
    [
        pytest.param("LLLL", True, id="all-lost"),
        pytest.param("LLL.", True, id="three-of-four-lost"),
        pytest.param("LL..", False, id="half-is-not-more-than-half"),
        pytest.param("LLL", False, id="of-three-it-may-be-a-deployment"),
        pytest.param("....", False, id="none-lost"),
    ],
)
def test_more_than_half_of_the_healthy_lost_at_once_is_the_probers_outage(
    lost: str,
    is_outage: bool,  # noqa: FBT001  what is expected
) -> None:
    before = [a_target(HealthStatus.HEALTHY) for _ in lost]

    assert is_prober_outage(before, [each == "L" for each in lost], 0.5) is is_outage


@pytest.mark.parametrize(
    ("lost", "is_outage"),
    [
        pytest.param({"acme": "LLLLLLLLL", "globex": "."}, False, id="one-tenant-stops-its-own"),
        pytest.param({"acme": "LLLLLLLLL", "globex": "L"}, True, id="both-are-lost"),
        pytest.param({"acme": "LLLLL", "globex": "L", "initech": "."}, True, id="most-are"),
    ],
)
def test_what_one_tenant_does_to_its_services_is_no_outage_for_another(
    lost: Mapping[str, str],
    is_outage: bool,  # noqa: FBT001  what is expected
) -> None:
    before = [
        replace(a_target(HealthStatus.HEALTHY), tenant_id=tenant)
        for tenant, each in lost.items()
        for _ in each
    ]

    found = is_prober_outage(before, [each == "L" for each in "".join(lost.values())], 0.5)

    assert found is is_outage


@pytest.mark.parametrize(
    ("outcome", "codes", "is_lost"),
    [
        pytest.param(F, ["Timeout", "Refused"], True, id="no-answer"),
        pytest.param(F, [], True, id="nothing-runs"),
        pytest.param(N, [], True, id="an-unreadable-surface"),
        pytest.param(F, ["503", "Timeout"], False, id="an-error-is-an-answer"),
        pytest.param(Y, ["200", "Timeout"], False, id="half-up"),
    ],
)
def test_a_service_that_answers_an_error_is_not_lost_to_the_prober(
    outcome: ProbeOutcome,
    codes: list[str],
    is_lost: bool,  # noqa: FBT001  what is expected
) -> None:
    checks = [{"code": code} for code in codes]

    assert ServiceProbe(outcome, checks, "").is_lost is is_lost


def test_what_was_unhealthy_before_says_nothing_of_an_outage() -> None:
    before = [a_target(HealthStatus.UNHEALTHY) for _ in range(6)]

    assert not is_prober_outage(before, [True] * 6, 0.5)


@pytest.mark.parametrize(
    ("description", "kept"), [("short", 50), ("\u540d" * 300, 17)], ids=["short", "long"]
)
def test_a_sample_has_as_many_checks_as_a_row_of_a_table_holds(description: str, kept: int) -> None:
    check = {"instance": "web-1", "status": D, "description": description, "latencyMs": 5}
    target = replace(a_target(HealthStatus.DEGRADED), checks=(check,) * 60)

    sample = Sample.of(target, isoformat(EPOCH))

    assert sample.checks == [check] * kept
    checked_rows([TableRow("p", sample.at, sample.values)])


@pytest.mark.parametrize(
    ("deployment", "shown"),
    [pytest.param("dep-1", "dep-1", id="released"), pytest.param(None, "", id="never-released")],
)
def test_a_sample_says_of_which_release_it_is_what_was_found_and_why(
    deployment: str | None, shown: str
) -> None:
    target = replace(
        a_target(HealthStatus.DEGRADED), deployment_id=deployment, reason="1 of 2 instances pass"
    )

    sample = Sample.of(target, isoformat(EPOCH))

    assert sample.at == isoformat(EPOCH)
    assert sample.values == {
        "status": D, "reason": "1 of 2 instances pass", "checks": "[]", "deploymentId": shown,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("length", "kept"),
    [
        pytest.param(TEXT_MAX, 2, id="exactly-as-long-as-a-text-may-be"),
        pytest.param(TEXT_MAX + 1, 1, id="one-character-more"),
    ],
)
def test_the_checks_of_a_sample_are_cut_where_their_text_is_too_long(
    length: int, kept: int
) -> None:
    quoted = len('[{"of": ""}, {"of": ""}]')
    checks = ({"of": "x" * 100}, {"of": "x" * (length - quoted - 100)})

    sample = Sample.of(replace(a_target(HealthStatus.DEGRADED), checks=checks), isoformat(EPOCH))

    assert sample.checks == [*checks[:kept]]
    assert len(sample.values["checks"]) <= TEXT_MAX
