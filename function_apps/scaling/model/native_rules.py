"""A policy in the words of the port `NativeScaling`, for a surface that scales by itself.

CPU and memory become rules of utilization; a queue and a schedule become KEDA's triggers.
https://keda.sh/docs/latest/scalers/ has the triggers and the fields of their metadata.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from shared.contracts.scaling import ScalingPolicyChange, ScalingRule, Signal
from shared.kernel.errors import Violation
from shared.surfaces.scaling import EventRule, Measure, ScalingRules, UtilizationRule
from shared.surfaces.scaling import ScalingRule as NativeRule

TRIGGER: Final = "trigger"
_AUTHENTICATION: Final = "authentication"
_TARGETS: Final[Mapping[str, str]] = {
    "azure-queue": "queueLength",
    "azure-servicebus": "messageCount",
    "kafka": "lagThreshold",
    "prometheus": "threshold",
    "rabbitmq": "value",
    "redis": "listLength",
}
"""By the type of a trigger the field of its metadata that is the target of one instance."""
_MEASURES: Final = {Signal.CPU: Measure.CPU, Signal.MEMORY: Measure.MEMORY}
_TIMES: Final = frozenset({"start", "end", "timeZone"})


def native_rules(policy: ScalingPolicyChange) -> ScalingRules:
    """Return *policy*, of which `native_violations` has none, as a surface follows it.

    Raises:
        Invalid: no surface could.
    """
    return ScalingRules(
        policy.min,
        policy.max,
        tuple(_native(rule) for rule in policy.rules),
        max(policy.stabilisation, policy.cooldown).total_seconds(),
    )


def _native(rule: ScalingRule) -> NativeRule:
    if rule.signal in _MEASURES:
        return UtilizationRule(_MEASURES[rule.signal], round(rule.target))
    settings, amount = rule.settings, f"{rule.target:g}"
    if rule.signal is Signal.SCHEDULE:
        return EventRule(
            "cron",
            {
                "timezone": settings.get("timeZone", "UTC"),
                "start": settings["start"],
                "end": settings["end"],
                "desiredReplicas": amount,
            },
        )
    trigger = settings[TRIGGER]
    metadata = {
        name: value for name, value in settings.items() if name not in {TRIGGER, _AUTHENTICATION}
    }
    return EventRule(
        trigger, {**metadata, _TARGETS[trigger]: amount}, settings.get(_AUTHENTICATION)
    )


def native_violations(policy: ScalingPolicyChange) -> Iterator[Violation]:
    """Yield what no surface can follow by itself."""
    if not policy.rules:
        yield violation("/rules", "at least one rule of the surface", "none")
    if policy.cost_ceiling is not None:
        yield violation("/costCeiling", "none: a surface knows no prices; lower max", "one")
    for place, rule in enumerate(policy.rules):
        target = f"/rules/{place}"
        if rule.signal in _MEASURES:
            if rule.settings:
                yield violation(f"{target}/settings", "none", next(iter(rule.settings)))
        elif rule.signal is Signal.SCHEDULE:
            if not {"start", "end"} <= {*rule.settings} <= _TIMES:
                yield violation(f"{target}/settings", "start, end and timeZone", str(rule.settings))
        elif rule.signal is not Signal.QUEUE_LENGTH:
            expected = "cpu, memory, queueLength or schedule, which a surface measures itself"
            yield violation(f"{target}/signal", expected, rule.signal.value)
        elif rule.settings.get(TRIGGER) not in _TARGETS:
            expected = f"one of {', '.join(sorted(_TARGETS))}"
            got = rule.settings.get(TRIGGER, "none")
            yield violation(f"{target}/settings/{TRIGGER}", expected, got)


def violation(target: str, expected: str, received: object) -> Violation:
    """Return that *received* stands at *target*, where *expected* belongs."""
    text = str(received)[:200]
    return Violation("PolicyInvalid", target, f"expected {expected}, got {text}", expected, text)
