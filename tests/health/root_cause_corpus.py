"""The root causes that health finds in generated incidents, held against what really broke.

`python -m tests.health.root_cause_corpus 1000` prints the table of `docs/root-causes.md`.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Final

from function_apps.health.model.alerts import record_alerts
from function_apps.health.model.explanations import explain
from function_apps.health.model.probe_target import ProbeTarget
from function_apps.health.model.restarts import record_restarts
from function_apps.health.model.status_hysteresis import ProbeOutcome, record_outcome
from shared.contracts.alerts import Alert
from shared.contracts.health import HealthDefaults, HealthStatus
from shared.kernel.clock import isoformat
from shared.surfaces.observed_state import Instance
from tests.health.incidents import SERVICES, SWEEP_S, UNDECLARED, Answer, Incident
from tests.kit.virtual_time import EPOCH

RULES: Final = HealthDefaults()
AFTER_S: Final = 330.0
"""An alert may come so long after an outage as its root may explain it, and a sweep."""
_LETTERS: Final = str.maketrans("0123456789", "abcdefghij")
_PASSES: Final = "200"


@dataclass(frozen=True)
class Found:
    """What health found of incidents. A service is named when it is alerted without a root."""

    incidents: int = 0
    roots: int = 0
    roots_named: int = 0
    own_faults: int = 0
    own_faults_named: int = 0
    dependants: int = 0
    """Services that failed by what they need alone."""
    dependants_silent: int = 0
    dependants_right: int = 0
    """That named what really broke them, last."""
    dependants_declared: int = 0
    """Of them those whose way to what broke them has no edge that nobody declared."""
    declared_silent: int = 0

    def plus(self, more: "Found") -> "Found":
        return Found(
            *(a + b for a, b in zip(vars(self).values(), vars(more).values(), strict=True))
        )


@dataclass
class Watched:
    """Health of one environment through an incident, by the decisions that the sweep makes."""

    incident: Incident

    def __post_init__(self) -> None:
        at = isoformat(EPOCH)
        self.targets = [
            ProbeTarget(
                service_of(number), "acme", "env-1", module_of(number), "prod", at, at,
                HealthStatus.HEALTHY, released_at=at,
                component={
                    "replicas": 2,
                    "dependsOn": [module_of(edge.to) for edge in edges if edge.is_declared],
                },
            )
            for number, edges in enumerate(self.incident.edges)
        ]  # fmt: skip
        self.restarts = [0] * SERVICES
        self.alerted: list[list[float]] = [[] for _ in range(SERVICES)]
        """The times at which each was alerted and named nobody else."""
        self.named: list[str | None] = [None] * SERVICES
        """The root that each named last."""
        self.failed: set[int] = set()

    def watch(self) -> None:
        for at_s, answers in self.incident.sweeps():
            now = EPOCH + timedelta(seconds=at_s)
            outcomes = {}
            for number, target in enumerate(self.targets):
                answer = answers.get(number)
                outcome = _outcome(answer)
                outcomes[target.service_id] = outcome
                self.targets[number] = self._probed(number, target, answer, outcome, now)
            if not any(target.failing_since for target in self.targets):
                continue
            causes = explain(self.targets, outcomes, now, RULES)
            for number, target in enumerate(self.targets):
                if target.failing_since is None and not target.alerts:
                    continue
                explained = replace(target, root_cause=causes.get(target.service_id))
                self.targets[number] = after = record_alerts(explained, (), now)[0]
                self._note(number, after, at_s)

    def _probed(
        self,
        number: int,
        target: ProbeTarget,
        answer: Answer | None,
        outcome: ProbeOutcome,
        now: datetime,
    ) -> ProbeTarget:
        if answer is not None and (answer.restarts or target.restarts):
            self.restarts[number] += answer.restarts
            instance = Instance(
                "1", 1, is_ready=True, is_live=True, started_at=now,
                restarts=self.restarts[number], exit_code=1, exit_reason="Exited",
            )  # fmt: skip
            restarts = record_restarts(target.restarts, [instance], now, RULES)
            target = replace(target, restarts=restarts)
        is_quiet = target.status is HealthStatus.HEALTHY and target.pending is None
        if outcome is ProbeOutcome.PASS and is_quiet and not target.restarts:
            return replace(target, failing_since=None) if target.failing_since else target
        return record_outcome(target, outcome, _checks(answer), "", now, RULES)

    def _note(self, number: int, target: ProbeTarget, at_s: float) -> None:
        if target.status not in {HealthStatus.HEALTHY, HealthStatus.UNKNOWN}:
            self.failed.add(number)
            self.named[number] = target.root_cause.service_id if target.root_cause else None
        states = [target.alerts.get(each) for each in (Alert.UNHEALTHY, Alert.DEGRADED)]
        if any(state and state.raised_at for state in states) and target.root_cause is None:
            self.alerted[number].append(at_s)


def found_in(incident: Incident) -> Found:
    """Watch *incident* and return what was found of it."""
    watched = Watched(incident)
    watched.watch()

    def is_named(outage: Any) -> bool:
        last_s = outage.ends_s + AFTER_S
        return any(outage.begins_s <= at_s <= last_s for at_s in watched.alerted[outage.service])

    broke = {outage.service for outage in incident.outages}
    dependants = [each for each in watched.failed if each in incident.broken and each not in broke]
    silent = {each for each in dependants if not watched.alerted[each]}
    declared = {each for each in dependants if _is_declared(incident, each)}
    return Found(
        incidents=1,
        roots=len(incident.roots),
        roots_named=sum(map(is_named, incident.roots)),
        own_faults=len(incident.own_faults),
        own_faults_named=sum(map(is_named, incident.own_faults)),
        dependants=len(dependants),
        dependants_silent=len(silent),
        dependants_right=sum(_is_right(watched, each) for each in dependants),
        dependants_declared=len(declared),
        declared_silent=len(declared & silent),
    )


def _is_right(watched: Watched, number: int) -> bool:
    incident = watched.incident
    by = {incident.outages[outage].service for _, _, _, outage in incident.broken[number]}
    return watched.named[number] in {service_of(each) for each in by}


def _is_declared(incident: Incident, number: int) -> bool:
    """Return whether each edge on the ways by which *number* breaks was declared."""
    return all(
        edge.is_declared
        for _, _, _, outage in incident.broken[number]
        for edge in incident.way(number, outage)
    )


def found_in_all(seeds: Iterable[int]) -> Found:
    return reduce(Found.plus, (found_in(Incident(seed)) for seed in seeds), Found())


def service_of(number: int) -> str:
    return f"svc-{'a' * 12}-{f'{number:010d}'.translate(_LETTERS)}"


def module_of(number: int) -> str:
    return f"module-s{number:03d}"


def _outcome(answer: Answer | None) -> ProbeOutcome:
    if answer is None:
        return ProbeOutcome.NOTHING
    passing = answer.codes.count(_PASSES)
    if passing == len(answer.codes) and passing:
        return ProbeOutcome.PASS
    return ProbeOutcome.PARTLY if passing else ProbeOutcome.FAIL


def _checks(answer: Answer | None) -> list[Mapping[str, Any]]:
    if answer is None:
        return []
    entries = ", ".join(f"s{each:03d} is Unhealthy: no answer" for each in answer.named)
    return [
        {
            "status": HealthStatus.HEALTHY if code == _PASSES else HealthStatus.UNHEALTHY,
            "code": code,
            "description": "" if code == _PASSES else entries,
        }
        for code in answer.codes
    ]


def table(found: Found) -> str:
    """Return *found* as the rows of a page."""

    def row(name: str, part: int, whole: int) -> str:
        return f"| {name} | {part:,} of {whole:,} | {part / whole:.2%} |"

    title = (
        f"{found.incidents:,} incidents of {SERVICES} services, {UNDECLARED:.0%} of the edges not"
        f" declared, a sweep every {SWEEP_S:g} s:"
    )
    return "\n".join(
        [
            title,
            "",
            "| | services | |",
            "|---|---|---|",
            row("roots named, of two at once", found.roots_named, found.roots),
            row("own faults of dependants raised", found.own_faults_named, found.own_faults),
            row("dependants silent", found.dependants_silent, found.dependants),
            row("… where all edges to the root are declared", found.declared_silent,
                found.dependants_declared),
            row("dependants that name what broke them", found.dependants_right, found.dependants),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(table(found_in_all(range(int(sys.argv[1])))) + "\n")
