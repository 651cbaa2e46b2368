"""What a binding asks of the surfaces of an environment, and each thing that is lacking by name."""

from typing import Any

import pytest

from function_apps.tenants.errors import IsolationNotSupported
from function_apps.tenants.model.isolation import isolates, require_isolated
from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.tenants import BindTenant
from shared.contracts.values import ComputeTargetKind, IsolationModel
from shared.surfaces.capabilities import Feature
from tests.kit.told import ENVIRONMENT

SHARED, POOL, SILO = IsolationModel.SHARED, IsolationModel.POOL, IsolationModel.SILO


def target(*features: Feature, kind: ComputeTargetKind = ComputeTargetKind.AKS) -> ComputeTarget:
    return ComputeTarget(kind=kind, capabilities=features)


def lacking(
    model: IsolationModel,
    *targets: ComputeTarget,
    is_owner: bool = True,
    admits: tuple[str, ...] = (),
    **asked: Any,
) -> list[tuple[str, str]]:
    """Return where the request is refused, and what came there."""
    command = BindTenant(environment_id=ENVIRONMENT, **asked)
    try:
        require_isolated(
            command.requires, command.quota, model, targets, is_owner=is_owner, admits=admits
        )
    except IsolationNotSupported as refused:
        return [
            (each.target, each.received) for each in refused.details if each.code == "NotSupported"
        ]
    return []


def test_nothing_is_needed_where_nothing_is_asked() -> None:
    assert lacking(SHARED, target()) == []
    assert lacking(SHARED, target(), is_owner=False, admits=("b",)) == []


@pytest.mark.parametrize("feature", [Feature.NAMESPACES, Feature.OWN_PROCESSES])
def test_a_layer_is_isolated_by_any_of_its_features(feature: Feature) -> None:
    assert isolates(target(feature), IsolationLayer.COMPUTE)
    assert lacking(POOL, target(feature)) == []
    assert lacking(POOL, target()) == [("/isolationModel", "compute")]
    assert lacking(SILO, target()) == [("/isolationModel", "compute")]


def test_each_target_isolates_each_layer_that_is_required() -> None:
    both = (target(Feature.NETWORK_POLICY), target(kind=ComputeTargetKind.FUNCTIONS))
    asked = (IsolationLayer.NETWORK, IsolationLayer.DATA)

    assert lacking(SHARED, *both, requires=asked) == [
        ("/requires/0", "network"), ("/requires/1", "data"), ("/requires/1", "data"),
    ]  # fmt: skip


def test_what_is_lacking_is_said_with_the_surface_and_the_reason() -> None:
    command = BindTenant(environment_id=ENVIRONMENT)

    with pytest.raises(IsolationNotSupported) as refused:
        require_isolated(
            command.requires, command.quota, POOL, [target()], is_owner=True, admits=()
        )
    [found] = refused.value.details
    assert found.message == (
        "AKS does not isolate tenants by compute, which pool needs: it has no namespaces or"
        " ownProcesses"
    )
    assert found.expected == "an environment whose targets all have namespaces or ownProcesses"


def test_a_quota_is_kept_by_a_surface_that_counts() -> None:
    assert lacking(SHARED, target(), quota=Quota(cpu=1)) == [("/quota", "quota")]
    assert lacking(SHARED, target(Feature.QUOTAS), quota=Quota(cpu=1)) == []
    assert lacking(SHARED, target(Feature.QUOTAS), quota=Quota(requests_per_second=5)) == [
        ("/quota/requestsPerSecond", "5.0")
    ]


def test_a_silo_is_of_an_owner_who_admits_nobody() -> None:
    able = target(Feature.NAMESPACES)

    assert lacking(SILO, able) == []
    assert lacking(SILO, able, admits=("b",)) == [("/isolationModel", "silo")]
    assert lacking(SILO, able, is_owner=False) == [("/isolationModel", "silo")]
    assert lacking(SILO, able, is_owner=False, admits=("b",)) == [("/isolationModel", "silo")]
    assert lacking(POOL, able, admits=("b",)) == []
