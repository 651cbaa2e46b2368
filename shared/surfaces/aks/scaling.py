"""Rules by which the cluster itself sets a revision's number of pods: a HorizontalPodAutoscaler.

The rules stand in an annotation of the Deployment from before the autoscaler is there until after
it has gone: whoever reads that knows who owns the number.
"""

import math
from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter, ValidationError

from shared.kernel.errors import Invalid
from shared.surfaces.aks.cluster_api import AUTOSCALERS, DEPLOYMENTS, Object
from shared.surfaces.aks.names import MANAGER
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.errors import ObjectRefused
from shared.surfaces.scaling import EventRule, Measure, ScalingRules, UtilizationRule

RULES: Final = f"{MANAGER}/scaling"
COOLDOWN_MAX_S: Final = 3600
"""Kubernetes' longest stabilization window."""
_RESOURCES: Final = {Measure.CPU: "cpu", Measure.MEMORY: "memoryMib"}
"""Of each measure the limit of a component, which is its request too."""
_RULES: TypeAdapter[ScalingRules] = TypeAdapter(ScalingRules)


def rules_of(deployment: Object) -> ScalingRules | None:
    """Return the rules that own the number of *deployment*; None while the platform does.

    Raises:
        Unreadable.
    """
    text = (deployment["metadata"].get("annotations") or {}).get(RULES)
    try:
        return None if not text else _RULES.validate_json(text)
    except (ValidationError, Invalid) as damaged:
        name = deployment["metadata"]["name"]
        raise Unreadable(f"Deployment {name} has no readable rules in {RULES}") from damaged


def written(rules: ScalingRules) -> str:
    return _RULES.dump_json(rules).decode()


def autoscaler(rules: ScalingRules, deployment: Object) -> Object:
    """Return the autoscaler of *deployment*, which it goes with.

    Raises:
        Invalid: Kubernetes has no such rules, or the pods no request that a rule is a share of.
        ObjectRefused: a rule is of events, which an autoscaler does not read.
    """
    _check(rules, deployment)
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


def _check(rules: ScalingRules, deployment: Object) -> None:
    """Refuse by name what the cluster would refuse, or take and never follow. Raises Invalid."""
    if rules.minimum < 1:
        raise Invalid(
            f"minimum of the scaling rules must be 1 or more on AKS, got {rules.minimum}: an"
            " autoscaler of pods never goes to 0",
            target="/minimum",
        )
    if rules.cooldown_s > COOLDOWN_MAX_S:
        raise Invalid(
            f"cooldown of the scaling rules must be {COOLDOWN_MAX_S} seconds or less on AKS,"
            f" got {rules.cooldown_s:g}",
            target="/cooldown",
        )
    containers = deployment["spec"]["template"]["spec"]["containers"]
    for index, rule in enumerate(rules.rules):
        if not isinstance(rule, UtilizationRule):
            continue
        target, measure = f"/rules/{index}", rule.measure.value
        if rule.target_percent < 1:
            raise Invalid(
                f"target of a scaling rule must be 1 percent or more, got {rule.target_percent}",
                target=target,
            )
        if any(measure not in _requests(each) for each in containers):
            raise Invalid(
                f"a rule of {measure} is a share of what a pod asks for, and these ask for none:"
                f" set resources.{_RESOURCES[rule.measure]} of the component",
                target=target,
            )


def _requests(container: Object) -> Object:
    resources = container.get("resources") or {}
    requests: Object = resources.get("requests") or {}
    return requests


def _metric(rule: UtilizationRule | EventRule) -> Mapping[str, object]:
    if isinstance(rule, EventRule):
        raise ObjectRefused(f"an autoscaler of pods reads no events: {rule.trigger}")
    target = {"type": "Utilization", "averageUtilization": rule.target_percent}
    return {"type": "Resource", "resource": {"name": rule.measure.value, "target": target}}
