"""Proofs count on when a tenant is bound again, and none is made of what is not looked at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from function_apps.deployments.model.facts import BindingProjection, RecordedProof, record_proof
from function_apps.deployments.use_cases.record_tenant import record_isolation_proof
from function_apps.tenants.events import isolation_proved
from function_apps.tenants.model.binding import TenantBinding, new_binding, request
from function_apps.tenants.model.environment import EnvironmentProjection
from function_apps.tenants.model.proofs import LayerProof, Look, judge, proof_results
from function_apps.tenants.repository import BINDINGS
from function_apps.tenants.use_cases.prove_isolation import prove_isolation
from shared.contracts.environments import (
    ComputeTarget,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.tenants import BindTenant, ProofVerdict, TenantIsolationProofCompleted
from shared.contracts.tenants import TenantBindingStatus as Status
from shared.contracts.values import ComputeTargetKind, IsolationModel, Stage
from shared.kernel.observation import Absent, Present, Reading
from shared.surfaces.boundaries import Boundary, BoundarySpec, boundary_properties
from shared.surfaces.boundaries import Quota as BoundaryQuota
from shared.surfaces.capabilities import Feature
from tests.deployments.driven import TEST, driven
from tests.deployments.test_facts_for_the_next_unit import BINDING as OF_TEST
from tests.deployments.test_facts_for_the_next_unit import bound as bound_to
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.tenants.bound import BINDING, Tenants, tenants, told

ABLE = (Feature.NAMESPACES, Feature.NETWORK_POLICY, Feature.QUOTAS)
CLUSTER = ComputeTarget(kind=ComputeTargetKind.AKS, capabilities=ABLE)
CLOSED = Present(Boundary(ENVIRONMENT, TENANT, "acme-shop", True))
OPENED = Present(Boundary(ENVIRONMENT, TENANT, "acme-shop", False))
NETWORK = IsolationLayer.NETWORK


def _proofs(*readings: Reading[Boundary], known: Sequence[LayerProof] = ()) -> tuple[Any, Any]:
    """Return the proofs after these readings of a cluster, and all that was told of them."""
    proofs, told_of = tuple(known), []
    for reading in readings:
        proofs, news = judge(proofs, proof_results([(CLUSTER, reading)], Quota()), EPOCH)
        told_of += news
    return proofs, told_of


def _bound_again(proofs: Sequence[LayerProof]) -> TenantBinding:
    known = EnvironmentProjection(
        ENVIRONMENT, 1, True, TENANT, Stage.TEST, "local", IsolationModel.SHARED
    )
    asked = BindTenant.model_validate({"environmentId": ENVIRONMENT})
    fresh = new_binding(
        asked, IsolationModel.SHARED, BINDING, tenant_id=TENANT, environment=known, now=EPOCH
    )
    return request(replace(fresh, status=Status.UNBOUND, proofs=tuple(proofs)), fresh)


def _heard(news: Sequence[LayerProof]) -> BindingProjection:
    """Return the binding as deployments knows it after these proofs."""
    known = BindingProjection(BINDING, 1, Status.ENFORCED)
    for proof in news:
        recorded = RecordedProof(proof.revision, proof.verdict)
        known = record_proof(known, BINDING, proof.layer, recorded) or known
    return known


def test_binding_a_tenant_again_ends_a_breach_at_the_next_reading() -> None:
    proofs, before = _proofs(OPENED, OPENED)
    again = _bound_again(proofs)
    _, after = _proofs(CLOSED, known=again.proofs)

    assert _heard(before).breach is NETWORK
    assert _heard([*before, *after]).breach is None


def test_a_breach_after_a_tenant_was_bound_again_is_heard() -> None:
    proofs, before = _proofs(CLOSED, OPENED, OPENED, CLOSED)
    again = _bound_again(proofs)
    _, after = _proofs(OPENED, OPENED, known=again.proofs)

    assert _heard(before).breach is None
    assert _heard([*before, *after]).breach is NETWORK


def test_a_layer_that_no_surface_isolates_any_more_passes_once_and_counts_on() -> None:
    proofs, before = _proofs(OPENED, OPENED)
    alone, told_of = judge(proofs, proof_results([], Quota()), EPOCH)
    same, again = judge(alone, proof_results([], Quota()), EPOCH)
    _, later = _proofs(OPENED, OPENED, known=same)

    assert _heard([*before, *told_of]).breach is None
    assert [proof.verdict for proof in told_of] == [ProofVerdict.PASS]
    assert "no surface" in told_of[0].evidence[0]
    assert (same, again) == (alone, ())
    assert _heard([*before, *told_of, *later]).breach is NETWORK


@pytest.mark.parametrize(
    "quota",
    [
        pytest.param(Quota(memory_mib=2_000_000), id="of-a-million-mib"),
        pytest.param(Quota(instances=100_000), id="of-many-instances"),
        pytest.param(Quota(cpu=0.001), id="of-a-thousandth-of-a-core"),
        pytest.param(Quota(cpu=99_999.125), id="of-many-cores"),
    ],
)
def test_a_quota_is_not_differing_by_how_it_is_written(quota: Quota) -> None:
    made = BoundaryQuota(quota.cpu, quota.memory_mib, quota.instances)
    properties = boundary_properties(BoundarySpec(ENVIRONMENT, TENANT, made))
    live = Present(Boundary(ENVIRONMENT, TENANT, "acme-shop", True, properties=properties))

    found = proof_results([(CLUSTER, live)], quota)

    assert {finding.layer: finding.is_kept for finding in found}[IsolationLayer.QUOTA] is True


@pytest.mark.parametrize("cpu", [0.0004, 1.23456])
def test_a_quota_has_no_finer_cores_than_a_cluster_counts(cpu: float) -> None:
    with pytest.raises(ValidationError, match="multiple of"):
        Quota(cpu=cpu)


def _status(revision: int, status: str) -> RuntimeEnvironmentStatusChanged:
    content = told(revision).model_dump(mode="json", by_alias=True)
    return RuntimeEnvironmentStatusChanged.model_validate({**content, "status": status})


def _failed(revision: int) -> RuntimeEnvironmentFailed:
    content = told(revision).model_dump(mode="json", by_alias=True)
    reason = {"code": "Unavailable", "message": "the cluster is away"}
    status = "DecommissionFailed"
    return RuntimeEnvironmentFailed.model_validate({**content, "status": status, "reason": reason})


async def _verdicts(on: Tenants) -> set[str]:
    """Return the verdicts after three proofs of a tenant that has no boundary."""
    for _ in range(3):
        await on.app.service.clock.sleep(on.app.rules.prove_every.total_seconds() + 1)
        assert await prove_isolation(on.app) == 1
    binding = await on.app.service.work.load(BINDINGS, BINDING, TENANT)
    return {proof.verdict.value for proof in binding.proofs}


async def _without_boundary() -> Tenants:
    on = await tenants(reads_boundaries=True)
    await on.enforced()
    return on


def test_a_boundary_that_goes_with_its_environment_is_no_breach() -> None:
    async def main() -> Any:
        on = await _without_boundary()
        await on.hear(_status(3, "Decommissioning"))
        leaving = await _verdicts(on)
        await on.hear(_failed(4))
        return leaving, await _verdicts(on)

    assert run_virtual(main()) == (set(), set())


def test_a_boundary_that_is_gone_from_an_environment_that_stays_is_one() -> None:
    async def main() -> Any:
        on = await _without_boundary()
        await on.hear(_status(3, "Updating"))
        return await _verdicts(on)

    assert run_virtual(main()) == {"Breach"}


def test_a_surface_without_a_setting_ends_no_breach() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        return await _verdicts(on)

    assert run_virtual(main()) == {"Indeterminate"}


def test_what_is_absent_in_two_readings_is_a_breach() -> None:
    look: Look = (CLUSTER, Absent())
    proofs: Any = ()
    for _ in range(2):
        proofs, _news = judge(proofs, proof_results([look], Quota()), EPOCH)

    assert {proof.verdict for proof in proofs} == {ProofVerdict.BREACH}


def test_a_layer_that_no_surface_isolates_any_more_holds_no_deployment() -> None:
    """As a quota that was opened, after the tenant was bound again without one."""

    async def main() -> None:
        world = driven()
        await world.tell(stage=Stage.PROD)
        await bound_to(world, "Enforced")
        proofs, opened = _proofs(OPENED, OPENED)
        _, ended = judge(proofs, proof_results([], Quota()), EPOCH)
        binding = replace(_bound_again(proofs), binding_id=OF_TEST, environment_id=TEST)

        for proof in (*opened, *ended):
            event = isolation_proved(binding, proof).payload
            assert isinstance(event, TenantIsolationProofCompleted)
            await record_isolation_proof(event, world.bench.ctx(), world.app)

        known = (await world.target()).binding
        assert known is not None
        assert known.breach is None

    run_virtual(main())
