"""Renders a rollout as lines: its steps, verdicts, traffic and end. Pure functions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.output import format_digest
from cli.progress_display import Line
from cli.traffic import format_ms, format_traffic
from cli.watch_operation import outage_line
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
_AFTER_APPROVAL: Final = (
    "; send it requests (`runtimectl env show {1}` has the endpoint), then `runtimectl retry {0}` "
    "looks at the step again; `runtimectl cancel {0}` takes it back; without requests a release "
    "passes by `gate: {{onInconclusive: pass}}`"
)
_MARKS: Final[Mapping[str | None, str]] = {"Pass": "✓", "Fail": "✗", "Inconclusive": "?"}
_MINIMUM_MEASURES: Final = frozenset({"readiness", "samples"})
"""Measures whose threshold is a minimum."""
_PERCENTILE: Final = re.compile(r"p\d+")


def rollout_lines(
    deployment: Deployment,
    traffic: Mapping[str, tuple[int, Mapping[int, RevisionTraffic]]] | None = None,
    not_ready: Sequence[str] = (),
) -> list[Line]:
    """Return the lines of *deployment*.

    *traffic* is by module: its new release revision, and the traffic of each revision since the
    current step began. *not_ready* says why new instances do not come.
    """
    has_ended = deployment["status"] in ENDED
    lines = [_step_line(step, has_ended=has_ended) for step in deployment["steps"]]
    for step in deployment["steps"]:
        lines += _evidence_lines(step)
    lines.sort(key=_position)
    if reason := deployment.get("waitingFor"):
        holder = f" ({deployment['holder']})" if deployment.get("holder") else ""
        ids = (deployment["deploymentId"], deployment["environmentId"])
        way = _AFTER_APPROVAL.format(*ids) if reason == "approval" else ""
        text = f"… waiting for {waiting_reason(deployment)}{holder}{way}"
        lines.append(Line("waiting", text, "yellow", is_final=False))
    if has_ended:
        return [*lines, *_end_lines(deployment)]
    if outage := (deployment.get("operation") or {}).get("outage"):
        lines.append(outage_line(outage))
    unready = [
        Line(f"unready-{index}", f"    {reason}", "yellow", is_final=False)
        for index, reason in enumerate(not_ready)
    ]
    return [*lines, _status_line(deployment), *unready, *_traffic_lines(traffic or {})]


def waiting_reason(deployment: Deployment) -> str | None:
    """Return what *deployment* waits for; of an approval, with the verdicts that nobody passed."""
    reason: str | None = deployment.get("waitingFor")
    if reason != "approval":
        return reason
    judged = [step for step in deployment["steps"] if step.get("verdict")]
    verdicts = [format_verdict(each) for step in judged[-1:] for each in step.get("evidence", ())]
    return ": ".join(filter(None, (reason, "; ".join(dict.fromkeys(verdicts)))))


def format_samples(evidence: Mapping[str, Any]) -> str:
    """Return the samples of one component, new beside old."""
    candidate, baseline = evidence["candidate"], evidence.get("baseline")
    text = f"new {_format_samples(candidate)}"
    return f"{text} | old {_format_samples(baseline)}" if baseline else text


def format_verdict(evidence: Mapping[str, Any]) -> str:
    """Return the analyses that did not pass, or all analyses if all passed."""
    analyses = evidence["analyses"]
    failing = [_format_analysis(analysis) for analysis in analyses if analysis["verdict"] != "Pass"]
    return "; ".join(failing or [_format_analysis(analysis) for analysis in analyses])


def _position(line: Line) -> tuple[int, int]:
    _, index, *rest = line.key.split("-")
    return int(index), len(rest)


def _step_line(step: Mapping[str, Any], *, has_ended: bool) -> Line:
    verdict, key = step.get("verdict"), f"step-{step['index']}"
    if step.get("startedAt") is None:
        return Line(key, f"· {step['name']}", "dim", is_final=False, is_pending=True)
    is_done = has_ended or step.get("endedAt") is not None
    text = f"{_MARKS.get(verdict, '✓' if is_done else '…')} {step['name']}"
    if verdict:
        text += f"  {verdict}" + (" (marked)" if step.get("marked") else "")
    return Line(key, text, _STYLES.get(verdict, ""), is_done)


def _evidence_lines(step: Mapping[str, Any]) -> list[Line]:
    lines = [
        Line(
            f"step-{step['index']}-{share['moduleId']}-share",
            f"    {share['moduleId']} {share['weight']} %: {share['reason']}",
            "yellow",
        )
        for share in step.get("shares", ())
    ]
    for evidence in step.get("evidence", ()):
        module = evidence["moduleId"]
        key = f"step-{step['index']}-{module}"
        lines.append(Line(f"{key}-samples", f"    {module} {format_samples(evidence)}", "dim"))
        lines.append(Line(f"{key}-verdict", f"    {format_verdict(evidence)}", "dim"))
    return lines


def _format_samples(samples: Mapping[str, Any]) -> str:
    probes = f" + {samples['probes']} probes" if samples["probes"] else ""
    return (
        f"{samples['requests']} requests{probes}, {samples['errors']} errors, "
        f"p50 {format_ms(samples.get('p50Ms'))}, p95 {format_ms(samples.get('p95Ms'))}"
    )


def _format_analysis(analysis: Mapping[str, Any]) -> str:
    measure, unit = analysis["measure"], analysis["unit"]
    if _is_chance(analysis):
        return f"{measure}, {analysis['reason']}: {analysis['verdict']}"
    percentile = _PERCENTILE.match(analysis["reason"])
    text = f"{measure} {percentile[0]}" if percentile else str(measure)
    if analysis.get("value") is not None:
        text += f" {_format_quantity(analysis['value'], unit)}"
    if analysis.get("baseline") is not None:
        text += f" (old {_format_quantity(analysis['baseline'], unit)})"
    if analysis.get("threshold") is not None:
        bound = "needs" if measure in _MINIMUM_MEASURES else "limit"
        text += f", {bound} {_format_quantity(analysis['threshold'], unit)}"
    why = f" ({analysis['reason']})" if analysis["verdict"] == "Inconclusive" else ""
    return f"{text}: {analysis['verdict']}{why}"


def _is_chance(analysis: Mapping[str, Any]) -> bool:
    """Return whether the value is beyond its limit and did not fail: the numbers mislead."""
    value, threshold = analysis.get("value"), analysis.get("threshold")
    if value is None or threshold is None or analysis["measure"] in _MINIMUM_MEASURES:
        return False
    return bool(value > threshold and analysis["verdict"] != "Fail")


def _format_quantity(value: float, unit: str) -> str:
    match unit:
        case "ms":
            return format_ms(value)
        case "ratio":
            return f"{value:.2%}"
        case "count":
            return f"{value:g}"
        case _:
            return f"{value:.1f} {unit}"


def _status_line(deployment: Deployment) -> Line:
    text = f"{deployment['status']}: new {deployment['weight']} %"
    return Line("now", f"→ {text}", "bold", is_final=False)


def _traffic_lines(
    traffic: Mapping[str, tuple[int, Mapping[int, RevisionTraffic]]],
) -> list[Line]:
    lines = []
    for module, (candidate, revisions) in traffic.items():
        for number, counters in sorted(revisions.items(), reverse=True):
            if number != candidate and not counters.requests:
                continue
            age = "new" if number == candidate else "old"
            text = f"    {module} {age} r{number}: {format_traffic(counters)}"
            lines.append(Line(f"traffic-{module}-{number}", text, "cyan", is_final=False))
    return lines


def _end_lines(deployment: Deployment) -> list[Line]:
    status = deployment["status"]
    lines = []
    if reason := deployment.get("reason"):
        lines.append(Line("reason", f"{reason['code']}: {reason['message']}", "red"))
    lines += [
        Line(f"part-{part['code']}", f"{part['code']}: {part['message']}", "yellow")
        for part in deployment.get("absent", ())
        if not part["code"].endswith("Absent")
    ]
    lines += _proof_lines(deployment.get("proof"))
    lines += [
        Line(f"hold-{index}", f"held: {hold['moduleId']} {format_digest(hold['digest'])}", "yellow")
        for index, hold in enumerate(deployment.get("holds") or ())
    ]
    return [*lines, Line("end", f"{status} {deployment['releaseRef']}", _STYLES.get(status, ""))]


def _proof_lines(proof: Mapping[str, Any] | None) -> Sequence[Line]:
    """Return the proof of each live instance, one line each, then why it departs."""
    if proof is None:
        return []
    lines = [
        Line(
            f"proof-{instance['instance']}",
            f"proof: {instance['instance']} runs r{instance['releaseRevision']} "
            f"{format_digest(instance['digest'])}{_format_departures(instance)}",
            "dim",
        )
        for instance in proof["instances"]
    ]
    reasons = dict.fromkeys(
        f"departs: {departure['path']}: {departure['reason']['message']}"
        for instance in proof["instances"]
        for departure in instance["departures"]
    )
    lines += [Line(f"departs-{index}", reason, "yellow") for index, reason in enumerate(reasons)]
    if not proof["whole"]:
        lines.append(Line("proof-whole", "proof: not every instance could be asked", "yellow"))
    return lines


def _format_departures(instance: Mapping[str, Any]) -> str:
    departures = [
        f"{departure['path']} is {departure['live']}, not {departure['recorded']}"
        for departure in instance["departures"]
    ]
    return f"  DEPARTS: {'; '.join(departures)}" if departures else ""
