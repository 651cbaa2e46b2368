"""Checks of a policy: each rule has the settings that its signal needs, and no others.

A violation has the place, what was expected and what came. Pure; the contract has checked shapes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from function_apps.scaling.model.cost import hourly_cost
from function_apps.scaling.model.cron_windows import check_cron, is_zone
from function_apps.scaling.model.native_rules import TRIGGER, native_violations, violation
from function_apps.scaling.model.scaled_service import ScaledService
from shared.contracts.metrics import DIALECTS, RESOURCE_ID, MetricSource, placeholders
from shared.contracts.scaling import Actuator, ScalingPolicyChange, ScalingRule, Signal
from shared.kernel.errors import Violation
from shared.surfaces.capabilities import Capabilities, Feature

SOURCES: Final[Mapping[Signal, tuple[MetricSource, ...]]] = {
    Signal.CPU: (MetricSource.KUBERNETES, MetricSource.PROMETHEUS),
    Signal.MEMORY: (MetricSource.KUBERNETES, MetricSource.PROMETHEUS),
    Signal.REQUESTS: (MetricSource.SURFACE, MetricSource.PROMETHEUS),
    Signal.CONCURRENCY: (MetricSource.SURFACE, MetricSource.PROMETHEUS),
    Signal.LATENCY: (MetricSource.SURFACE, MetricSource.PROMETHEUS),
    Signal.QUEUE_LENGTH: (MetricSource.PROMETHEUS, MetricSource.AZURE_MONITOR),
}
"""The providers that measure a signal; the first one where the rule does not say."""
_MEASURED: Final = frozenset({"source", "query"})
SETTINGS: Final[Mapping[Signal, frozenset[str]]] = {
    Signal.CPU: _MEASURED,
    Signal.MEMORY: _MEASURED,
    Signal.REQUESTS: _MEASURED,
    Signal.CONCURRENCY: _MEASURED,
    Signal.LATENCY: _MEASURED | {"percentile", "latencyUnit"},
    Signal.QUEUE_LENGTH: _MEASURED | {"resource", "namespace"},
    Signal.SCHEDULE: frozenset({"start", "end", "timeZone"}),
    Signal.BURN_RATE: frozenset({"sli"}),
}
_OF_AZURE: Final[Mapping[str, tuple[str, str]]] = {
    "resource": (
        RESOURCE_ID,
        "the id of the Azure resource, /subscriptions/…/resourceGroups/…/providers/…",
    ),
    "namespace": (
        r"[A-Za-z0-9./]{1,128}",
        "the namespace of the metric, such as Microsoft.ServiceBus/namespaces",
    ),
}
AT_ZERO: Final = frozenset({Signal.QUEUE_LENGTH, Signal.SCHEDULE})
"""Signals that are there also while no instance is."""


def violations(
    policy: ScalingPolicyChange, service: ScaledService | None, capabilities: Capabilities | None
) -> tuple[Violation, ...]:
    """Return every reason to refuse *policy*; what needs the service is left out without it."""
    return (
        *_of_rules(policy),
        *_of_min_zero(policy, service, capabilities),
        *(_of_service(policy, service, capabilities) if service and capabilities else ()),
    )


def _of_min_zero(
    policy: ScalingPolicyChange, service: ScaledService | None, capabilities: Capabilities | None
) -> Iterator[Violation]:
    """Check a minimum of none, with the first reason against it; others would contradict that."""
    if policy.min:
        return
    is_platform = policy.actuator is Actuator.PLATFORM
    if service and capabilities and service.serves_requests:
        # Nothing would start an instance for the first request: no surface of ours activates.
        yield violation("/min", "1 or more of a service that answers requests", 0)
    elif service and capabilities and not capabilities.supports(Feature.SCALE_TO_ZERO):
        yield violation("/min", f"1 or more on {capabilities.surface}", 0)
    elif is_platform and not any(rule.signal in AT_ZERO for rule in policy.rules):
        yield violation("/min", "1, or a rule of queueLength or schedule, which see work at 0", 0)


def _of_rules(policy: ScalingPolicyChange) -> Iterator[Violation]:
    if policy.actuator is Actuator.NATIVE:
        yield from native_violations(policy)
        for place, rule in enumerate(policy.rules):
            if rule.signal is Signal.SCHEDULE:
                yield from _schedule(rule, f"/rules/{place}")
        return
    for place, rule in enumerate(policy.rules):
        target = f"/rules/{place}"
        unknown = sorted({*rule.settings} - SETTINGS[rule.signal])
        if unknown:
            known = ", ".join(sorted(SETTINGS[rule.signal]))
            yield violation(f"{target}/settings", f"of {rule.signal}: {known}", unknown[0])
        check = _CHECKS.get(rule.signal, _measured)
        yield from check(rule, target)


def _measured(rule: ScalingRule, target: str) -> Iterator[Violation]:
    """Check the source of a signal that is measured, and its query."""
    sources = SOURCES[rule.signal]
    name = rule.settings.get("source", sources[0].value)
    if name not in {each.value for each in sources}:
        expected = " or ".join(each.value for each in sources)
        yield violation(f"{target}/settings/source", expected, name)
        return
    source, query = MetricSource(name), rule.settings.get("query")
    place = f"{target}/settings/query"
    if (source in DIALECTS) is (query is None):
        expected = f"a query of {name}" if query is None else f"none: {name} takes no query"
        yield violation(place, expected, query or "none")
    elif query is not None:
        try:
            list(placeholders(query, DIALECTS[source]))
        except ValueError as problem:
            yield violation(place, str(problem), query)
    if source is MetricSource.AZURE_MONITOR:
        for setting, (shape, expected) in _OF_AZURE.items():
            given = rule.settings.get(setting, "")
            if not re.fullmatch(shape, given):
                yield violation(f"{target}/settings/{setting}", expected, given or "none")


def _latency(rule: ScalingRule, target: str) -> Iterator[Violation]:
    yield from _measured(rule, target)
    percentile = rule.settings.get("percentile", "95")
    if not percentile.isdecimal() or not 1 <= int(percentile) <= 99:  # noqa: PLR2004  percent
        yield violation(f"{target}/settings/percentile", "a number from 1 to 99", percentile)
    unit = rule.settings.get("latencyUnit", "s")
    if unit not in {"s", "ms"}:
        yield violation(f"{target}/settings/latencyUnit", "s or ms", unit)


def _schedule(rule: ScalingRule, target: str) -> Iterator[Violation]:
    for name in ("start", "end"):
        text, place = rule.settings.get(name, ""), f"{target}/settings/{name}"
        try:
            check_cron(text)
        except ValueError:
            yield violation(place, "five fields of cron, such as 0 8 * * mon-fri", text or "none")
    zone = rule.settings.get("timeZone", "UTC")
    if not is_zone(zone):
        yield violation(f"{target}/settings/timeZone", "a time zone such as Europe/Berlin", zone)
    if rule.target != round(rule.target):
        yield violation(f"{target}/target", "a whole number of instances", rule.target)


def _burn_rate(rule: ScalingRule, target: str) -> Iterator[Violation]:
    del rule, target
    yield from ()


_CHECKS: Final[Mapping[Signal, Callable[[ScalingRule, str], Iterator[Violation]]]] = {
    Signal.LATENCY: _latency,
    Signal.SCHEDULE: _schedule,
    Signal.BURN_RATE: _burn_rate,
}


def _of_service(
    policy: ScalingPolicyChange, service: ScaledService, capabilities: Capabilities
) -> Iterator[Violation]:
    if service.ends:
        yield violation("/serviceId", "a service whose instances go on", "one that runs to its end")
    if policy.max > capabilities.replicas_max:
        expected = f"at most {capabilities.replicas_max} on {capabilities.surface}"
        yield violation("/max", expected, policy.max)
    ceiling = policy.cost_ceiling
    if ceiling is not None and not hourly_cost(ceiling.prices, service.resources):
        expected = "a price of instance, or limits of cpu or memoryMib that have one"
        yield violation("/costCeiling/prices", expected, "an instance that costs nothing")
    requests = {Signal.REQUESTS, Signal.CONCURRENCY, Signal.LATENCY}
    for place, rule in enumerate(policy.rules):
        is_counted = rule.settings.get("source", MetricSource.SURFACE) == MetricSource.SURFACE
        if rule.signal in requests and is_counted and not service.serves_requests:
            yield violation(f"/rules/{place}/signal", "a signal of a worker", rule.signal.value)
        limit = {Signal.CPU: "cpu", Signal.MEMORY: "memory_mib"}.get(rule.signal)
        if limit and getattr(service.resources, limit) is None:
            field = {"cpu": "cpu", "memory_mib": "memoryMib"}[limit]
            expected = f"a component with resources.{field}: the target is a share of it"
            yield violation(f"/rules/{place}/signal", expected, rule.signal.value)
    if policy.actuator is Actuator.NATIVE:
        yield from _of_native(policy, capabilities)


def _of_native(policy: ScalingPolicyChange, capabilities: Capabilities) -> Iterator[Violation]:
    feature = Feature.NATIVE_SCALING
    if any(rule.settings.get(TRIGGER) or rule.signal in AT_ZERO for rule in policy.rules):
        feature = Feature.EVENT_SCALING
    if not capabilities.supports(feature):
        why = capabilities.lacks[feature]
        yield violation("/actuator", f"platform on {capabilities.surface}: {why}", "native")
