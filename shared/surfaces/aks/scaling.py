"""Rules by which the cluster itself sets a revision's number of pods: a HorizontalPodAutoscaler.

The rules stand in an annotation of the Deployment from before the autoscaler is there until after
it has gone: whoever reads that knows who owns the number.
"""

import math
from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter, ValidationError

from shared.surfaces.aks.cluster_api import AUTOSCALERS, DEPLOYMENTS, Object
from shared.surfaces.aks.names import MANAGER
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.errors import ObjectRefused
from shared.surfaces.scaling import EventRule, ScalingRules, UtilizationRule

RULES: Final = f"{MANAGER}/scaling"
_RULES: TypeAdapter[ScalingRules] = TypeAdapter(ScalingRules)


def rules_of(deployment: Object) -> ScalingRules | None:
    """Return the rules that own the number of *deployment*; None while the platform does.

    Raises:
        Unreadable.
    """
    text = (deployment["metadata"].get("annotations") or {}).get(RULES)
    try:
        return None if not text else _RULES.validate_json(text)
    except ValidationError as damaged:
        name = deployment["metadata"]["name"]
        raise Unreadable(f"Deployment {name} has no readable rules in {RULES}") from damaged


def written(rules: ScalingRules) -> str:
    return _RULES.dump_json(rules).decode()


def autoscaler(rules: ScalingRules, deployment: Object) -> Object:
    """Return the autoscaler of *deployment*, which it goes with.

    Raises:
        ObjectRefused: a rule is of events, which an autoscaler does not read.
    """
    metadata = deployment["metadata"]
    target = {"apiVersion": DEPLOYMENTS.version, "kind": DEPLOYMENTS.name, "name": metadata["name"]}
    window = {"stabilizationWindowSeconds": math.ceil(rules.cooldown_s)}
    return {
        "apiVersion": AUTOSCALERS.version,
        "kind": AUTOSCALERS.name,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata["labels"],
            "ownerReferences": [{**target, "uid": metadata["uid"]}],
        },
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": rules.minimum,
            "maxReplicas": rules.maximum,
            "metrics": [_metric(rule) for rule in rules.rules],
            "behavior": {"scaleDown": window},
        },
    }


def _metric(rule: UtilizationRule | EventRule) -> Mapping[str, object]:
    if isinstance(rule, EventRule):
        raise ObjectRefused(f"an autoscaler of pods reads no events: {rule.trigger}")
    target = {"type": "Utilization", "averageUtilization": rule.target_percent}
    return {"type": "Resource", "resource": {"name": rule.measure.value, "target": target}}
