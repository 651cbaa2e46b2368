"""From the targets of one environment in a sweep to the root causes of their failures."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from function_apps.health.model.fault_signs import dependencies_named, has_own_fault
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.root_cause import ServiceState, find_root_causes
from function_apps.health.model.status_hysteresis import ProbeOutcome
from shared.contracts.health import HealthDefaults, RootCause
from shared.kernel.clock import parse_instant


def by_environment(targets: Iterable[ProbeTarget]) -> Sequence[Sequence[ProbeTarget]]:
    """Return *targets* by their tenant and environment."""
    environments = defaultdict[tuple[str, str], list[ProbeTarget]](list)
    for target in targets:
        environments[target.tenant_id, target.environment_id].append(target)
    return list(environments.values())


def explain(
    targets: Sequence[ProbeTarget],
    outcomes: Mapping[str, ProbeOutcome],
    now: datetime,
    rules: HealthDefaults,
) -> Mapping[str, RootCause]:
    """Return the root cause of each service of *targets* that another one explains, by its id.

    They are of one environment. A target without an outcome was not probed this time, and counts as
    it was.
    """
    return find_root_causes(_states(targets, outcomes, rules), now, rules)


def _states(
    targets: Sequence[ProbeTarget],
    outcomes: Mapping[str, ProbeOutcome],
    rules: HealthDefaults,
) -> Sequence[ServiceState]:
    modules = frozenset(target.module_id for target in targets)
    states = []
    for target in targets:
        since = min(filter(None, (target.failing_since, target.burning_since)), default=None)
        if since is None:
            states.append(_well(target))
            continue
        outcome, failing_since = outcomes.get(target.service_id), parse_instant(since)
        states.append(
            ServiceState(
                target.service_id,
                target.module_id,
                target.status,
                parse_instant(target.since),
                dependencies_named(target.checks, modules).union(
                    target.component.get("dependsOn", ())
                ),
                failing_since,
                _passing_since(target),
                outcome is not None and has_own_fault(target, outcome, failing_since, rules),
                target.root_cause,
            )
        )
    return states


def _well(target: ProbeTarget) -> ServiceState:
    return ServiceState(
        target.service_id,
        target.module_id,
        target.status,
        parse_instant(target.since),
        frozenset(target.component.get("dependsOn", ())),
        passing_since=_passing_since(target),
    )


def _passing_since(target: ProbeTarget) -> datetime | None:
    """Return since when *target* breaks nobody who calls it, by its probes and its requests."""
    if target.passing_since is None or target.burning_since is not None:
        return None
    return parse_instant(target.passing_since)
