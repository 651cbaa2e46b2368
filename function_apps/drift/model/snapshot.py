"""Snapshots: what a scan found of a service, kept whenever it is not what the last one found."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.comparison import Change, compare_texts
from function_apps.drift.model.desired import desired_planes, without_secrets
from function_apps.drift.model.live_service import LiveService
from function_apps.drift.model.service_differences import differences
from shared.contracts.drift import DriftDefaults
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

TEXT_MAX: Final = 600_000
"""Characters; a row of a table takes a megabyte. Of a larger service no snapshot is kept."""
CHUNK: Final = 30_000
"""Characters of one value of a row, which takes 64 KiB of UTF-16."""
_NAME: Final = "text"
_json: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class Snapshot:
    """`text` is JSON: the release in force with its live properties, and what else is there."""

    service_id: str
    taken_at: str
    text: str
    differences: int

    @property
    def snapshot_id(self) -> str:
        """Return the key of its row, by which snapshots are in the order of their time."""
        return f"{self.taken_at}~{self.service_id}"

    @property
    def digest(self) -> str:
        return _digest(self.text)

    @property
    def content(self) -> Mapping[str, Any]:
        content: Mapping[str, Any] = json.loads(self.text)
        return content

    @property
    def values(self) -> Mapping[str, str | int]:
        """Return it as the values of a row."""
        chunks = range(0, len(self.text), CHUNK)
        texts = {f"{_NAME}{at // CHUNK}": self.text[at : at + CHUNK] for at in chunks}
        return {"differences": self.differences, **texts}

    def since(self, before: "Snapshot") -> list[Change]:
        """Return what is not as in *before*."""
        texts = ({"": each.text.encode()} for each in (before, self))
        return compare_texts(*texts).get("", [])


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def take_snapshot(
    baseline: ServiceBaseline, live: LiveService, now: datetime, rules: DriftDefaults
) -> Snapshot | None:
    """Return what *live* is; None where the last snapshot has it, or it is too much to be kept."""
    planes = live.revisions.get(baseline.release_revision, {})
    content = {
        "releaseRevision": baseline.release_revision,
        "planes": without_secrets(planes, desired_planes(baseline), baseline),
        "others": sorted({*live.revisions} - {baseline.release_revision}),
        "departures": list(live.departures or ()),
    }
    text = _json(content)
    if len(text) > TEXT_MAX or _digest(text) == baseline.snapshot:
        return None
    found = differences(baseline, live, now, rules)
    return Snapshot(baseline.service_id, isoformat(now), text, len(found))


def read_snapshot(snapshot_id: str, values: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of a row."""
    taken_at, _, service_id = snapshot_id.partition("~")
    numbers = range(len(values))
    text = "".join(str(values.get(f"{_NAME}{number}", "")) for number in numbers)
    return Snapshot(service_id, taken_at, text, int(values["differences"]))
