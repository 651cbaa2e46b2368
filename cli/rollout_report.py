"""A rollout as lines: its steps with weights and verdicts, the traffic, and how it ended.

Pure: from the resource of a deployment and the traffic since its running step began.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.progress_display import Line
from cli.traffic import milliseconds, said
from shared.surfaces.traffic import RevisionTraffic

Deployment = Mapping[str, Any]
ENDED: Final = frozenset({"Completed", "RolledBack", "Failed", "Cancelled"})
_STYLES: Final[Mapping[str | None, str]] = {
    "Pass": "green",
    "Completed": "green",
    "Fail": "red",
    "Failed": "red",
    "RolledBack": "red",
    "Inconclusive": "yellow",
    "Cancelled": "yellow",
}
_MARKS: Final[Mapping[str | None, str]] = {"Pass": "✓", "Fail": "✗", "Inconclusive": "?"}


def rollout_lines(
    deployment: Deployment,
    traffic: Mapping[str, tuple[int, Mapping[int, RevisionTraffic]]] | None = None,
) -> list[Line]:
    """Return the picture of *deployment*.

    *traffic* is by module: the release revision it brings, and what each revision was asked since
    the running step began.
    """
    status = deployment["status"]
    is_over = status in ENDED
    lines = [_step_line(step, is_over=is_over) for step in deployment["steps"]]
    for step in deployment["steps"]:
        lines += _evidence_lines(step)
    lines.sort(key=_place)
    if waiting := deployment.get("waitingFor"):
        holder = f" ({deployment['holder']})" if deployment.get("holder") else ""
        lines.append(Line("waiting", f"… waiting for {waiting}{holder}", "yellow", settled=False))
    if not is_over:
        lines.append(_now_line(deployment))
        lines += _traffic_lines(traffic or {})
        return lines
    return [*lines, *_end_lines(deployment)]


def measured(evidence: Mapping[str, Any]) -> str:
    """Return what was measured of one component, new beside old."""
    new, old = evidence["candidate"], evidence.get("baseline")
    text = f"new {_samples(new)}"
    return f"{text} | old {_samples(old)}" if old else text


def verdict_of(evidence: Mapping[str, Any]) -> str:
    """Return what decided, each with its value and limit; of a pass, everything."""
    found = evidence["analyses"]
    failing = [_analysis(each) for each in found if each["verdict"] != "Pass"]
    return "; ".join(failing or [_analysis(each) for each in found])


def _place(line: Line) -> tuple[int, int]:
    _, index, *rest = line.key.split("-")
    return int(index), len(rest)


def _step_line(step: Mapping[str, Any], *, is_over: bool) -> Line:
    verdict, key = step.get("verdict"), f"step-{step['index']}"
    if step.get("startedAt") is None:
        return Line(key, f"· {step['name']}", "dim", settled=False, is_ahead=True)
    is_done = is_over or step.get("endedAt") is not None
    text = f"{_MARKS.get(verdict, '✓' if is_done else '…')} {step['name']}"
    if verdict:
        text += f"  {verdict}" + (" (marked)" if step.get("marked") else "")
    return Line(key, text, _STYLES.get(verdict, ""), is_done)


def _evidence_lines(step: Mapping[str, Any]) -> list[Line]:
    lines = []
    for each in step.get("evidence", ()):
        key = f"step-{step['index']}-{each['moduleId']}"
        lines.append(Line(f"{key}-samples", f"    {each['moduleId']} {measured(each)}", "dim"))
        lines.append(Line(f"{key}-verdict", f"    {verdict_of(each)}", "dim"))
    return lines


def _samples(samples: Mapping[str, Any]) -> str:
    probes = f" + {samples['probes']} probes" if samples["probes"] else ""
    return (
        f"{samples['requests']} requests{probes}, {samples['errors']} errors, "
        f"p50 {milliseconds(samples.get('p50Ms'))}, p95 {milliseconds(samples.get('p95Ms'))}"
    )


_LEAST: Final = frozenset({"readiness", "samples"})
"""Measures whose threshold is a minimum."""
_PERCENTILE: Final = re.compile(r"p\d+")


def _analysis(analysis: Mapping[str, Any]) -> str:
    measure, unit = analysis["measure"], analysis["unit"]
    percentile = _PERCENTILE.match(analysis["reason"])
    text = f"{measure} {percentile[0]}" if percentile else str(measure)
    if analysis.get("value") is not None:
        text += f" {_quantity(analysis['value'], unit)}"
    if analysis.get("baseline") is not None:
        text += f" (old {_quantity(analysis['baseline'], unit)})"
    if analysis.get("threshold") is not None:
        bound = "needs" if measure in _LEAST else "limit"
        text += f", {bound} {_quantity(analysis['threshold'], unit)}"
    return f"{text}: {analysis['verdict']}"


def _quantity(value: float, unit: str) -> str:
    match unit:
        case "ms":
            return milliseconds(value)
        case "ratio":
            return f"{value:.2%}"
        case "count":
            return f"{value:g}"
        case _:
            return f"{value:.1f} {unit}"


def _now_line(deployment: Deployment) -> Line:
    text = f"{deployment['status']}: new {deployment['weight']} %"
    return Line("now", f"→ {text}", "bold", settled=False)


def _traffic_lines(
    traffic: Mapping[str, tuple[int, Mapping[int, RevisionTraffic]]],
) -> list[Line]:
    lines = []
    for module, (candidate, revisions) in traffic.items():
        for number, counters in sorted(revisions.items(), reverse=True):
            if number != candidate and not counters.requests:
                continue
            which = "new" if number == candidate else "old"
            text = f"    {module} {which} r{number}: {said(counters)}"
            lines.append(Line(f"traffic-{module}-{number}", text, "cyan", settled=False))
    return lines


def _end_lines(deployment: Deployment) -> list[Line]:
    status = deployment["status"]
    lines = []
    if reason := deployment.get("reason"):
        lines.append(Line("reason", f"{reason['code']}: {reason['message']}", "red"))
    lines += proof_lines(deployment.get("proof"))
    lines += [
        Line(f"hold-{at}", f"held: {hold['moduleId']} {hold['digest'][:19]}…", "yellow")
        for at, hold in enumerate(deployment.get("holds") or ())
    ]
    return [*lines, Line("end", f"{status} {deployment['releaseRef']}", _STYLES.get(status, ""))]


def proof_lines(proof: Mapping[str, Any] | None) -> Sequence[Line]:
    """Return what each live instance said of itself, a line an instance."""
    if proof is None:
        return []
    lines = [
        Line(
            f"proof-{each['instance']}",
            f"proof: {each['instance']} runs r{each['releaseRevision']} "
            f"{each['digest'][:19]}…{_departures(each)}",
            "dim",
        )
        for each in proof["instances"]
    ]
    if not proof["whole"]:
        lines.append(Line("proof-whole", "proof: not every instance could be asked", "yellow"))
    return lines


def _departures(instance: Mapping[str, Any]) -> str:
    found = [f"{d['path']} is {d['live']}, not {d['recorded']}" for d in instance["departures"]]
    return f"  DEPARTS: {'; '.join(found)}" if found else ""
