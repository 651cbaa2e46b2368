"""Erasure reports: read from a file or the platform, and verified with the keys that are given."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.output import Column, format_time
from cli.yaml_files import load_yaml
from shared.vault.signing_keys import verified

KEYS: Final = "/v1/runtime/erasure-keys"
ERASED_COLUMNS: Final = (
    Column("KIND", "kind"),
    Column("TARGET", lambda thing: thing["target"] or ""),
    Column("OUTCOME", "outcome"),
    Column("LOOKED AT", lambda thing: format_time(thing["lookedAt"])),
    Column("EVIDENCE", "evidence"),
)
KEPT_COLUMNS: Final = (
    Column("SERVICE", "service"),
    Column("KEEPS", lambda record: ", ".join(record["kinds"])),
    Column("DAYS", lambda record: "no end" if record["days"] is None else str(record["days"])),
    Column("WHY", "reason"),
)
Report = Mapping[str, Any]


def read_report(file: Path) -> Report:
    """Return the report in *file*, as `tenant erasure -o json` writes it.

    Raises:
        Failure: it cannot be read, or is no report.
    """
    report = load_yaml(file, begins="save one: `runtimectl tenant erasure BINDING -o json`")
    if not isinstance(report.get("signature"), str):
        raise Failure(
            f"{file} is no erasure report: it has no signature",
            ExitCode.USAGE,
            remedy="save one: `runtimectl tenant erasure BINDING -o json`",
        )
    return report


def read_keys(file: Path | None, invocation: Invocation) -> Any:
    """Return the key set in *file*, without asking anybody; without one that of the platform."""
    if file is None:
        return invocation.client.get(KEYS).body
    return load_yaml(file, begins="save one: `runtimectl tenant erasure-keys -o json`")


def require_signed(report: Report, key_set: Any) -> None:
    """Refuse a report that is not, field by field, what one of the keys has signed.

    Raises:
        Failure: it was not signed by any, or something else was.
    """
    remedy = "take the keys from where the platform publishes them, and the report as it was saved"
    try:
        signed = json.loads(verified(report["signature"], key_set))
    except ValueError as refused:
        raise Failure(f"not verified: {refused}", ExitCode.REFUSED, remedy=remedy) from refused
    shown = {name: _text(each) for name, each in report.items() if name != "signature"}
    said = {name: _text(each) for name, each in signed.items()}
    if shown != said:
        names = sorted(name for name in {*shown, *said} if shown.get(name) != said.get(name))
        raise Failure(
            f"not verified: the report says something else than what is signed in"
            f" {', '.join(names)}",
            ExitCode.REFUSED,
            remedy=remedy,
        )


def require_about(report: Report, binding_id: str) -> None:
    """Refuse a report on another binding than the one that was asked for.

    Raises:
        Failure: it is on another one, signed or not.
    """
    if report.get("bindingId") != binding_id:
        raise Failure(
            f"not verified: the report is on {report.get('bindingId')!r}, not on {binding_id}",
            ExitCode.REFUSED,
            remedy="tell the operator of the platform: it answers with the report of another one",
        )


def _text(value: Any) -> str:
    """Return *value* as text, in which `true`, `1` and `1.0` are not the same."""
    return json.dumps(value, sort_keys=True)
