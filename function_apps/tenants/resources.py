"""The resources that tenants answers over HTTP."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Final

from function_apps.tenants.model.binding import PROVED, TenantBinding
from function_apps.tenants.model.proofs import LayerProof, alert_subject
from shared.contracts.alerts import Alert, OpenAlert, open_alert
from shared.contracts.tenants import ErasureReport, IsolationProof, RuntimeTenantBinding
from shared.kernel.ids import TenantId
from shared.messaging.unit_of_work import Json

_MOVED_MAX: Final = 500
"""Of the modules that were started again, as many are shown."""


def binding_resource(binding: TenantBinding) -> RuntimeTenantBinding:
    """Return *binding* as clients see it."""
    return RuntimeTenantBinding.model_validate(
        {
            "bindingId": binding.binding_id,
            "tenantId": binding.tenant_id,
            "environmentId": binding.environment_id,
            "ownerTenantId": binding.owner_tenant_id,
            "stage": binding.stage,
            "isolationModel": binding.isolation_model,
            "requires": binding.requires,
            "namespace": binding.namespace,
            "identity": binding.identity,
            "quota": binding.quota,
            "quotaFull": _quota_full(binding) if binding.status in PROVED else (),
            "status": binding.status,
            "suspendedBy": binding.suspended_by and binding.suspended_by.shown,
            "phase": binding.move and binding.move.phase,
            "moved": binding.move.moved[:_MOVED_MAX] if binding.move else (),
            "proofs": [proof_shown(each) for each in binding.proofs],
            "reason": binding.reason,
            "revision": binding.revision,
            "createdAt": binding.created_at,
            "updatedAt": binding.updated_at,
            "lastOperationId": None,
        }
    )


def _quota_full(binding: TenantBinding) -> list[str]:
    """Return the measures of the quota of which a surface has nothing left."""
    return sorted({measure for each in binding.full_quotas for measure in each.measures})


def proof_shown(proof: LayerProof) -> IsolationProof:
    """Return the last proof of a layer as clients see it."""
    return IsolationProof.model_validate(
        {
            "layer": proof.layer,
            "verdict": proof.verdict,
            "positiveControl": proof.positive_control,
            "evidence": proof.evidence,
            "checkedAt": proof.checked_at,
            "raisedAt": proof.raised_at,
        }
    )


def erasure_shown(signed: str) -> ErasureReport:
    """Return the report whose statement *signed* signs, as clients see it."""
    _, payload, _ = signed.split(".")
    statement = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return ErasureReport.model_validate({**statement, "signature": signed})


def answer(binding: TenantBinding) -> Json:
    """Return the immediate answer of a command, as JSON."""
    return binding_resource(binding).model_dump(mode="json", by_alias=True)


def raised_alerts(binding: TenantBinding, _tenant: TenantId) -> Iterator[OpenAlert]:
    """Yield the alert of each layer that was breached and has not passed since."""
    for proof in binding.proofs:
        if proof.raised_at is not None:
            subject = alert_subject(binding.binding_id, binding.environment_id, proof)
            yield open_alert(Alert.ISOLATION_BREACHED, subject, proof.raised_at, about=proof.layer)
