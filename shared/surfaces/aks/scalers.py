"""What scales a revision in a cluster: a HorizontalPodAutoscaler, or KEDA's ScaledObject.

A Deployment that is scaled by one says so in an annotation, so that each read shows who owns its
number of replicas. Each is owned by its Deployment, and goes with it.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import AUTOSCALERS, Kind
from shared.surfaces.aks.names import MANAGER, Installation
from shared.surfaces.aks.revisions import head_of, reference_to
from shared.surfaces.scaling import (
    EventRule,
    Measure,
    ReplicasOwner,
    ScalingRule,
    ScalingRules,
    UtilizationRule,
    rules_in_words,
)
from shared.surfaces.spec import RevisionSpec

SCALED_OBJECTS: Final = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects")
OWNER: Final = f"{MANAGER}/replicas-owner"
"""The annotation of a Deployment whose number of replicas the platform does not write."""
MINIMUM: Final = f"{MANAGER}/replicas-minimum"
"""The annotation of such a Deployment with the minimum of the rules that scale it."""
KEDA_PREFIX: Final = "keda-hpa-"
"""Of the HorizontalPodAutoscaler that KEDA makes for a ScaledObject."""

COOLDOWN_MAX_S: Final = 3600
"""Kubernetes' longest stabilization window."""
_LIMITS: Final = {Measure.CPU: "cpu", Measure.MEMORY: "memoryMib"}
"""Of each measure the limit of a component, which is its request too."""


@dataclass(frozen=True)
class Bounds:
    """Between which numbers somebody scales a Deployment, and by what."""

    minimum: int
    maximum: int
    rules: str = ""


def owner_of(deployment: Object) -> ReplicasOwner:
    """Return who writes the number of replicas."""
    annotations = deployment["metadata"].get("annotations") or {}
    is_given = annotations.get(OWNER) == ReplicasOwner.SURFACE
    return ReplicasOwner.SURFACE if is_given else ReplicasOwner.PLATFORM


def minimum_of(deployment: Object) -> int | None:
    """Return the fewest replicas that the rules allow; None where nobody says it."""
    said = (deployment["metadata"].get("annotations") or {}).get(MINIMUM, "")
    is_said = owner_of(deployment) is ReplicasOwner.SURFACE and said.isdecimal()
    return int(said) if is_said else None


def scaler_kind(rules: ScalingRules) -> Kind:
    has_events = any(isinstance(rule, EventRule) for rule in rules.rules)
    return SCALED_OBJECTS if has_events else AUTOSCALERS


def scaler(
    spec: RevisionSpec, rules: ScalingRules, installation: Installation, owner: Object
) -> Object:
    """Return what scales the revision of *spec*, whose Deployment is *owner*, by *rules*.

    Raises:
        Invalid: Kubernetes has no such rules, or the pods no request that a rule is a share of.
    """
    _check(rules, owner)
    kind = scaler_kind(rules)
    manifest = head_of(kind, spec, installation)
    manifest["metadata"]["ownerReferences"] = [reference_to(owner)]
    make = _scaled_object if kind is SCALED_OBJECTS else _autoscaler
    return {**manifest, "spec": make(owner["metadata"]["name"], rules)}


def bounds_by_deployment(
    autoscalers: Iterable[Object], scaled_objects: Iterable[Object]
) -> Mapping[str, Bounds]:
    """Return the bounds of each Deployment that anybody scales; KEDA's count before its HPA's."""
    found = {}
    for each in autoscalers:
        spec = each["spec"]
        if spec["scaleTargetRef"].get("kind") == "Deployment":
            minimum = int(spec.get("minReplicas", 1))
            rules = rules_in_words(map(_of_metric, spec.get("metrics") or ()))
            bounds = Bounds(minimum, int(spec["maxReplicas"]), rules)
            found[spec["scaleTargetRef"]["name"]] = bounds
    for each in scaled_objects:
        spec = each["spec"]
        if spec["scaleTargetRef"].get("kind", "Deployment") == "Deployment":
            minimum, maximum = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
            rules = rules_in_words(map(_of_trigger, spec.get("triggers") or ()))
            found[spec["scaleTargetRef"]["name"]] = Bounds(int(minimum), int(maximum), rules)
    return found


def _of_metric(metric: Object) -> tuple[str, int | Mapping[str, str]]:
    """Return the rule that a metric of an autoscaler is, in the words of rules where it is one."""
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    if metric.get("type") == "Resource" and target.get("type") == "Utilization":
        return str(resource.get("name")), int(target.get("averageUtilization", 0))
    return str(metric.get("type")), metric


def _of_trigger(trigger: Object) -> tuple[str, int | Mapping[str, str]]:
    name, metadata = str(trigger.get("type")), trigger.get("metadata") or {}
    value = str(metadata.get("value", ""))
    is_measure = name in {each.value for each in Measure} and value.isdecimal()
    return name, int(value) if is_measure else metadata


def _autoscaler(deployment: str, rules: ScalingRules) -> Object:
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicas": rules.minimum,
        "maxReplicas": rules.maximum,
        "metrics": [_metric(rule) for rule in rules.rules],
        "behavior": _behavior(rules),
    }


def _scaled_object(deployment: str, rules: ScalingRules) -> Object:
    return {
        "scaleTargetRef": {"name": deployment},
        "minReplicaCount": rules.minimum,
        "maxReplicaCount": rules.maximum,
        "cooldownPeriod": math.ceil(rules.cooldown_s),
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(rules)}},
        "triggers": [_trigger(rule) for rule in rules.rules],
    }


def _behavior(rules: ScalingRules) -> Object:
    return {"scaleDown": {"stabilizationWindowSeconds": math.ceil(rules.cooldown_s)}}


def _metric(rule: ScalingRule) -> Object:
    assert not isinstance(rule, EventRule), "those are KEDA's"
    target = {"type": "Utilization", "averageUtilization": rule.target_percent}
    return {"type": "Resource", "resource": {"name": rule.measure.value, "target": target}}


def _trigger(rule: ScalingRule) -> Object:
    if isinstance(rule, EventRule):
        name = rule.authentication
        reference = {} if name is None else {"authenticationRef": {"name": name}}
        return {"type": rule.trigger, "metadata": dict(rule.metadata), **reference}
    return {
        "type": rule.measure.value,
        "metricType": "Utilization",
        "metadata": {"value": str(rule.target_percent)},
    }


def _check(rules: ScalingRules, deployment: Object) -> None:
    """Refuse by name what the cluster would refuse, or take and never follow. Raises Invalid."""
    if rules.minimum < 1 and scaler_kind(rules) is AUTOSCALERS:
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
                f" set resources.{_LIMITS[rule.measure]} of the component",
                target=target,
            )


def _requests(container: Object) -> Object:
    resources = container.get("resources") or {}
    requests: Object = resources.get("requests") or {}
    return requests
