"""Watches the repair of a finding of drift until a scan finds what is desired again."""

from collections.abc import Mapping
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.progress_display import Line
from cli.watch_resource import watch_resource

FINDINGS: Final = "/v1/runtime/drift-findings"
Finding = Mapping[str, Any]


def watch_repair(invocation: Invocation, finding_id: str, timeout_s: float) -> Finding:
    """Show the finding until it is repaired, and return it.

    Raises:
        Failure: it was not repaired, *timeout_s* has passed, or Ctrl-C; the repair continues in the
            last two.
    """
    again = f"runtimectl drift show {finding_id}"
    finding: Finding = watch_resource(
        invocation,
        lambda: invocation.client.get(f"{FINDINGS}/{finding_id}").body,
        lambda finding: [_line(finding)],
        lambda finding: finding["status"] != "Remediating",
        subject=f"the repair of {finding_id}",
        not_yet="has not ended",
        again=again,
        timeout_s=timeout_s,
    )
    if finding["status"] != "Resolved":
        count = finding["attempts"]
        attempts = "1 attempt" if count == 1 else f"{count} attempts"
        raise Failure(
            f"{finding_id} is {finding['status']} after {attempts}, and differs still",
            ExitCode.ENDED_OTHERWISE,
            remedy=f"see what differs: `{again}`; of its service how the repair ended:"
            f" `runtimectl deployments --env {finding['environmentId']}`",
        )
    return finding


def _line(finding: Finding) -> Line:
    match finding["status"]:
        case "Resolved":
            return Line("state", "✓ Resolved: a scan found what is desired", "green")
        case "Remediating":
            words = "… Remediating: brought as desired, and then compared by a scan"
            return Line("state", words, is_final=False)
        case status:
            return Line("state", f"✗ {status}", "red")
