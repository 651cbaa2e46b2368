"""The events that tenants publishes, as rows of the outbox."""

from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.proofs import LayerProof, alert_subject
from shared.contracts import alerts as contracts
from shared.contracts.alerts import Alert
from shared.contracts.tenants import RuntimeTenantBound, TenantIsolationProofCompleted
from shared.messaging.outbox import Publish


def tenant_bound(binding: TenantBinding) -> Publish:
    """Return the event that carries the state of *binding*."""
    return Publish(
        RuntimeTenantBound.model_validate(
            {
                "aggregateId": binding.binding_id,
                "revision": binding.revision,
                "bindingId": binding.binding_id,
                "environmentId": binding.environment_id,
                "ownerTenantId": binding.owner_tenant_id,
                "isolationModel": binding.isolation_model,
                "namespace": binding.namespace,
                "identity": binding.identity,
                "quota": binding.quota,
                "status": binding.status,
                "askedRevision": binding.asked_revision,
                "phase": binding.move and binding.move.phase,
                "suspendedBy": binding.suspended_by and binding.suspended_by.shown,
                "stage": binding.stage,
                "computeTargets": binding.compute_targets,
            }
        )
    )


def isolation_proved(binding: TenantBinding, proof: LayerProof) -> Publish:
    """Return the event that one layer of *binding* was looked at, with another verdict."""
    return Publish(
        TenantIsolationProofCompleted.model_validate(
            {
                "aggregateId": f"{binding.binding_id}/{proof.layer}",
                "revision": proof.revision,
                "bindingId": binding.binding_id,
                "environmentId": binding.environment_id,
                "layer": proof.layer,
                "verdict": proof.verdict,
                "positiveControl": proof.positive_control,
                "evidence": proof.evidence,
                "checkedAt": proof.checked_at,
            }
        )
    )


def alert_event(binding: TenantBinding, raised_at: str, proof: LayerProof) -> Publish:
    """Return the event that the alert of a layer was raised at *raised_at*, or ends with *proof*.

    It is raised as long as the proof has it so.
    """
    event = contracts.alert_event(
        Alert.ISOLATION_BREACHED,
        alert_subject(binding.binding_id, binding.environment_id, proof),
        proof.revision,
        raised_at,
        cleared_at=None if proof.raised_at is not None else proof.checked_at,
        evidence=(f"{proof.layer}: {each}" for each in proof.evidence),
    )
    return Publish(event)
