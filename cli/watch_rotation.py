"""Watches a rotation: its step, and the version that each consumer runs."""

import re
from collections.abc import Mapping
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.output import format_time
from cli.progress_display import Line
from cli.remedy_lookup import remedy_for
from cli.secret_bindings import ROTATIONS
from cli.watch_resource import watch_resource
from shared.kernel.ids import id_shape

Rotation = Mapping[str, Any]
_DEPLOYMENT: Final = re.compile(id_shape("dep"))
_STEPS: Final = ("Created", "Set", "Tested", "Canary", "Rolling", "Verified", "Revoked")
_MEANS: Final[Mapping[str, str]] = {
    "Created": "a new version is made",
    "Set": "it is set at the resource",
    "Tested": "it was tried there",
    "Canary": "one consumer runs it first",
    "Rolling": "the other consumers follow",
    "Verified": "every consumer runs it",
    "Revoked": "old versions are disabled",
    "Failed": "it failed",
}


def watch_rotation(
    invocation: Invocation, rotation_id: str, timeout_s: float, *, until_revoked: bool
) -> Rotation:
    """Show the rotation until every consumer runs the new version, or its old ones are disabled.

    Raises:
        Failure: it failed, *timeout_s* has passed, or Ctrl-C; it continues in the last two.
    """
    wanted = {"Revoked"} if until_revoked else {"Verified", "Revoked"}
    more = " --until-revoked" if until_revoked else ""

    def is_over(rotation: Rotation) -> bool:
        if rotation["status"] == "Failed":
            raise failed(rotation)
        return rotation["status"] in wanted

    rotation: Rotation = watch_resource(
        invocation,
        lambda: invocation.client.get(f"{ROTATIONS}/{rotation_id}").body,
        rotation_lines,
        is_over,
        subject=rotation_id,
        not_yet="has not got there",
        again=f"runtimectl secret rotation {rotation_id} --wait{more}",
        timeout_s=timeout_s,
    )
    return rotation


def order_words(rotation: Rotation) -> str:
    """Return what was asked for by a rotation: when, with which overlap, and why; and its version.

    That is the whole version: a rotation to it is named so.
    """
    version = f"to version {rotation['toVersion']}, " if rotation["toVersion"] else ""
    asked = f"asked for at {rotation['createdAt']} with an overlap of {rotation['overlap']}"
    asked = f"{version}{asked}"
    return f"{asked}: {rotation['requestReason']}" if rotation["requestReason"] else asked


def rotation_lines(rotation: Rotation) -> list[Line]:
    """Return a rotation as lines: the steps so far, then each consumer."""
    status = rotation["status"]
    reached = _STEPS.index(status) if status in _STEPS else -1
    lines = [
        _step_line(step, is_done=index < reached or status == _STEPS[-1])
        for index, step in enumerate(_STEPS[: reached + 1])
        if step != "Canary" or status == step or _had_canary(rotation)
    ]
    if status == "Failed":
        lines.append(Line("Failed", "✗ Failed: every version stays enabled", "red"))
    return lines + [_consumer_line(each, rotation) for each in rotation["consumers"]]


def _had_canary(rotation: Rotation) -> bool:
    """Return whether one consumer ran the new version first; none does where nothing runs."""
    versions = [consumer["version"] for consumer in rotation["consumers"]]
    return bool(rotation["canary"]) and rotation["toVersion"] in versions


def _step_line(step: str, *, is_done: bool) -> Line:
    return Line(step, f"{'✓' if is_done else '…'} {step}: {_MEANS[step]}", is_final=is_done)


def _consumer_line(consumer: Mapping[str, Any], rotation: Rotation) -> Line:
    is_there = rotation["toVersion"] is not None and consumer["version"] == rotation["toVersion"]
    version = (consumer["version"] or "no version")[:12]
    proved = f" (r{consumer['releaseRevision']}, proved {format_time(consumer['provedAt'])})"
    text = f"{'✓' if is_there else '…'} {consumer['moduleId']} runs {version}"
    text += proved if consumer["provedAt"] else ""
    return Line(consumer["bindingId"], text, "green" if is_there else "", is_final=is_there)


def failed(rotation: Rotation) -> Failure:
    """Return the failure of a rotation that ended so, with the line that goes on where it did."""
    reason = rotation.get("reason") or {}
    message = (
        f"the rotation of {rotation['secretName']} failed: "
        f"{reason.get('message') or 'no reason was given'}; every version stays enabled"
    )
    code = reason.get("code", "")
    remedy = remedy_for(code, message, ExitCode.ENDED_OTHERWISE)
    if _is_left_behind(rotation):
        remedy += (
            f"; to go on with the same version{_after_hold(message)}: "
            f"`runtimectl secret rotate {rotation['secretName']} --env {rotation['environmentId']}"
            f" --version {rotation['toVersion']} --wait`"
        )
    return Failure(message, ExitCode.ENDED_OTHERWISE, code=code, remedy=remedy)


def _after_hold(message: str) -> str:
    """Return how the hold is released that the deployment in *message* may have left."""
    deployment = _DEPLOYMENT.search(message)
    if deployment is None:
        return ""
    return f", after `runtimectl release-hold {deployment[0]}` where its gate turned it back"


def _is_left_behind(rotation: Rotation) -> bool:
    """Return whether a consumer still runs another version than the new one."""
    to, ran = rotation["toVersion"], [each["version"] for each in rotation["consumers"]]
    return to is not None and any(each not in {None, to} for each in ran)
