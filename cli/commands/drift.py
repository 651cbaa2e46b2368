"""`drift`: what is not as released, side by side; acknowledge, let be, take over, or repair it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cli.commands import drift_sources
from cli.host_process import pause
from cli.lookup import environment_id
from cli.options import Commands, EnvironmentOption, Invocation, Module, Reason, WaitOptions
from cli.output import Column, format_time, format_value, note, say
from cli.parameter_types import one_of
from cli.watch_repair import FINDINGS, Finding, watch_repair

app = Commands(help="What somebody changed where services run: found, explained, and repaired.")
app.add_typer(drift_sources.app, name="source")
_CONTRACT: Final = "shared.contracts.drift"
_DRIFT: Final = "/v1/runtime/drift"


_SIDE_MAX: Final = 48
"""Characters of each side."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def _subject(finding: Mapping[str, Any]) -> str:
    """Return what a finding is of: a module, or the environment itself."""
    return finding["moduleId"] or "(environment)"


def _short(value: Any) -> str:
    """Return one side for a row: digests by their first digits, and cut; `show` has all of it."""
    text = _DIGEST.sub(lambda digest: f"{digest[0][:19]}…", format_value(value))
    return text if len(text) <= _SIDE_MAX else f"{text[:_SIDE_MAX]}…"


_COLUMNS: Final = (
    Column("MODULE", _subject),
    Column("PROPERTY", lambda finding: f"{finding['plane']}/{finding['path']}"),
    Column("DESIRED", lambda finding: _short(finding["desired"])),
    Column("ACTUAL", lambda finding: _short(finding["actual"])),
    Column("SEVERITY", "severity"),
    Column("STATUS", "status"),
    Column("SINCE", lambda finding: format_time(finding["resolvedAt"] or finding["detectedAt"])),
    Column("ID", "findingId"),
)
_SNAPSHOTS: Final = (
    Column("TAKEN", "takenAt"),
    Column("SERVICE", "serviceId"),
    Column("DIFFERENCES", lambda snapshot: str(snapshot["open"])),
    Column("ID", "snapshotId"),
)
_LOOKS: Final = 90
"""Seconds, for a scan that begins within 30."""
FindingArgument = Annotated[str, typer.Argument(metavar="FINDING", show_default=False)]


@app.command("list")
def list_(
    env: EnvironmentOption,
    invocation: Invocation,
    module: Module = None,
    status: Annotated[
        str | None, typer.Option(help="Only this status.", **one_of(_CONTRACT, "FindingStatus"))
    ] = None,
    plane: Annotated[
        str | None, typer.Option(help="Only this plane.", **one_of(_CONTRACT, "Plane"))
    ] = None,
    severity: Annotated[
        str | None,
        typer.Option(help="Only of this severity.", **one_of(_CONTRACT, "DriftSeverity")),
    ] = None,
) -> None:
    """List what is not as released in an environment, and what the last scan could not look at."""
    client = invocation.client
    path = f"{_DRIFT}/{environment_id(client, env)}"
    query = {"moduleId": module, "status": status, "plane": plane, "severity": severity}
    _show_findings(path, query, env, invocation)


def _show_findings(
    path: str, query: Mapping[str, str | None], env: str, invocation: Invocation
) -> None:
    client = invocation.client
    report = client.get(path, {"top": "1"}).body
    findings = list(client.list_all(path, query))
    is_compared, git = not _is_git_newer(report), report["git"]
    is_all = is_compared and not (git and git["reasons"])
    is_all = is_all and all(each["complete"] for each in report["coverage"])
    empty = "nothing differs" if is_all else "nothing differs in what was compared"
    invocation.show(findings, _COLUMNS, empty=empty)
    _note_coverage(report, env)
    if not is_compared:
        note("git: it was read after the last scan; the next one compares it")


@app.command()
def scan(
    env: EnvironmentOption,
    invocation: Invocation,
    *,
    confirm_absent: Annotated[
        bool,
        typer.Option("--confirm-absent", help="Believe it when many services are absent at once."),
    ] = False,
) -> None:
    """Scan an environment now, and list what differs."""
    client = invocation.client
    path = f"{_DRIFT}/{environment_id(client, env)}"
    before = client.write("POST", f"{path}/scan", {"confirmAbsent": confirm_absent}).body
    for _ in range(_LOOKS):
        report = client.get(path).body
        if report["scannedAt"] != before["scannedAt"]:
            break
        pause(invocation.session.clock, 1)
    else:
        note(f"the scan has not ended yet; what it finds: `runtimectl drift list --env {env}`")
    _show_findings(path, {}, env, invocation)


@app.command("show")
def show_(finding: FindingArgument, invocation: Invocation) -> None:
    """Show one finding: what is desired beside what is live."""
    body = invocation.client.get(f"{FINDINGS}/{finding}").body
    if not invocation.is_table:
        invocation.show(body)
        return
    say(f"{_subject(body)}  {body['plane']}/{body['path']}  {body['kind']}")
    for left, right in [("DESIRED", "ACTUAL"), *_sides(body)]:
        say(f"  {left.ljust(_SIDE_MAX)}  {right}".rstrip())
    shown = ("status", "severity", "risk", "cause", "actor", "attempts", "occurrences",
             "detectedAt", "resolvedAt", "suppressedUntil", "nextAttemptAt", "reason")  # fmt: skip
    invocation.show({name: body[name] for name in shown})


@app.command()
def snapshots(env: EnvironmentOption, invocation: Invocation) -> None:
    """List when services were found otherwise than before."""
    path = f"{_DRIFT}/{environment_id(invocation.client, env)}/snapshots"
    invocation.show(list(invocation.client.list_all(path)), _SNAPSHOTS, empty="no scan yet")


@app.command()
def acknowledge(finding: FindingArgument, invocation: Invocation, reason: Reason = "") -> None:
    """Say that somebody knows of a finding."""
    _decide(finding, "acknowledge", {"reason": reason}, invocation)


@app.command()
def suppress(
    finding: FindingArgument,
    length: Annotated[str, typer.Option("--for", help="How long, such as P7D or PT4H.")],
    invocation: Invocation,
    reason: Reason = "",
) -> None:
    """Let a finding be for a time; its service is not repaired meanwhile."""
    _decide(finding, "suppress", {"length": length, "reason": reason}, invocation)


@app.command()
def adopt(finding: FindingArgument, invocation: Invocation, reason: Reason = "") -> None:
    """Take what is live for what is desired, until the next release."""
    _decide(finding, "adopt", {"reason": reason}, invocation)


@app.command()
def remediate(
    finding: FindingArgument, waiting: WaitOptions, invocation: Invocation, reason: Reason = ""
) -> None:
    """Repair a finding: its owner brings the release in force, or the environment, once more."""
    answered = _send(finding, "remediate", {"reason": reason}, invocation)
    if waiting.wait:
        answered = watch_repair(invocation, finding, waiting.timeout_s)
    _show(answered, invocation)
    if not waiting.wait:
        note(f"next:  runtimectl drift remediate {finding} --wait")


def _decide(finding: str, verb: str, body: Mapping[str, Any], invocation: Invocation) -> None:
    _show(_send(finding, verb, body, invocation), invocation)


def _show(finding: Finding, invocation: Invocation) -> None:
    invocation.show([finding] if invocation.is_table else finding, _COLUMNS)


def _send(finding: str, verb: str, body: Mapping[str, Any], invocation: Invocation) -> Finding:
    """Send what somebody decides of a finding; return what it is then."""
    answered: Finding = invocation.client.write("POST", f"{FINDINGS}/{finding}/{verb}", body).body
    asked = str(body["reason"]).strip()
    if asked and answered["reason"] != asked:
        kept = f"its reason stays {answered['reason']!r}" if answered["reason"] else "it has none"
        note(f"it was {answered['status']} already: the reason is not kept, and {kept}")
    return answered


def _sides(finding: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of both values beside each other, each cut where it is too long."""
    desired, actual = (
        [text[start : start + _SIDE_MAX] for start in range(0, max(len(text), 1), _SIDE_MAX)]
        for text in (finding["desired"] or "-", finding["actual"] or "-")
    )
    length = max(len(desired), len(actual))
    return [
        (desired[at] if at < len(desired) else "", actual[at] if at < len(actual) else "")
        for at in range(length)
    ]


def _is_git_newer(report: Mapping[str, Any]) -> bool:
    """Return whether Git was read after the last scan, so that no scan has compared it."""
    read_at = report["git"] and report["git"]["syncedAt"]
    return bool(read_at) and str(read_at) > str(report["scannedAt"] or "")


def _note_coverage(report: Mapping[str, Any], env: str) -> None:
    """Say which planes of *env* were not looked at, or not wholly."""
    for each in report["coverage"]:
        if not each["complete"]:
            reason = each["reason"]
            why = f"{reason['message']} ({reason['code']})" if reason else "not looked at"
            note(f"{each['plane']}: {why}")
    _note_git(report["git"])
    if not report["coverage"]:
        note("no scan has been made yet")
    if report["absentHeld"]:
        line = f"runtimectl drift scan --env {env} --confirm-absent"
        note(f"many services are absent at once; where that is so: `{line}`")


def _note_git(git: Mapping[str, Any] | None) -> None:
    """Say with which commit an environment is compared, and what of it could not be read."""
    if git is None:
        return
    commit = git["commit"][:12] if git["commit"] else "no commit yet"
    modules = "1 module" if git["modules"] == 1 else f"{git['modules']} modules"
    read_at = git["syncedAt"] or "never"
    stale = f", stale since {git['staleSince']}" if git["staleSince"] else ""
    note(f"git: {commit}, {modules}, read {read_at}{stale}")
    for reason in git["reasons"]:
        note(f"git: {reason['message']} ({reason['code']})")
