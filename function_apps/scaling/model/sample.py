"""One row of the table of samples: an evaluation, with what it saw; and the load it can replay.

Load is kept so that it does not depend on the number of instances that carried it.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from function_apps.scaling.model.evaluation import ReplicaDecision
from function_apps.scaling.model.signal_values import Level, SignalValue, Total, Uses
from shared.contracts.scaling import (
    ScalingInput,
    ScalingPolicyChange,
    ScalingReason,
    ScalingRule,
)
from shared.kernel.dataclass import dataclass
from shared.persistence.tables import TableRow, Value

MESSAGE_MAX: Final = 2048
_DIGEST: Final = 16


@dataclass(frozen=True)
class Load:
    """The load of one rule: shared by the instances, or a level that all have in common."""

    value: float
    is_shared: bool


@dataclass(frozen=True)
class Sample:
    """One evaluation. Without `current` the surface could not be read, and nothing was decided."""

    at: str
    policy_revision: int
    reason: ScalingReason
    message: str
    current: int | None = None
    ready: int = 0
    desired: int | None = None
    recommended: int | None = None
    inputs: tuple[ScalingInput, ...] = ()
    loads: Mapping[str, Load] | None = None

    def row(self, partition_key: str) -> TableRow:
        """Return the row of it; its key sorts by time."""
        values: dict[str, Value] = {
            "policyRevision": self.policy_revision,
            "reason": self.reason.value,
            "message": self.message[:MESSAGE_MAX],
            "ready": self.ready,
            "inputs": _text([each.model_dump(mode="json", by_alias=True) for each in self.inputs]),
            "loads": _text(
                {name: [load.value, load.is_shared] for name, load in (self.loads or {}).items()}
            ),
        }
        numbers = {
            "current": self.current, "desired": self.desired, "recommended": self.recommended
        }  # fmt: skip
        values |= {name: number for name, number in numbers.items() if number is not None}
        return TableRow(partition_key, self.at, values)

    @property
    def decisive(self) -> ScalingInput | None:
        """The input of the rule that asked for the most."""
        asking = [each for each in self.inputs if each.wanted is not None]
        return max(asking, key=lambda each: each.wanted or 0, default=None)


def sample_of(row: TableRow) -> Sample:
    """Return the sample that *row* holds."""
    values = row.values
    loads: Mapping[str, Any] = json.loads(str(values["loads"]))
    return Sample(
        row.row_key,
        int(values["policyRevision"]),
        ScalingReason(str(values["reason"])),
        str(values["message"]),
        _number(values, "current"),
        int(values["ready"]),
        _number(values, "desired"),
        _number(values, "recommended"),
        tuple(ScalingInput.model_validate(each) for each in json.loads(str(values["inputs"]))),
        {name: Load(float(value), bool(shared)) for name, (value, shared) in loads.items()},
    )


def decided(
    at: str,
    policy_revision: int,
    decision: ReplicaDecision,
    counted: tuple[int, int],
    loads: Mapping[str, Load],
) -> Sample:
    """Return the sample of *decision*; *counted* is how many there are, and are ready."""
    current, ready = counted
    return Sample(
        at, policy_revision, decision.reason, decision.message, current, ready,
        decision.desired, decision.recommended, decision.inputs, loads,
    )  # fmt: skip


def loads_of(
    policy: ScalingPolicyChange, signals: Mapping[int, SignalValue], current: int
) -> Mapping[str, Load]:
    """Return the load that *signals* show, by what rules measure; what is lost is absent."""
    loads: dict[str, Load] = {}
    for place, rule in enumerate(policy.rules):
        name = measured_by(rule)
        match signals[place]:
            case Uses() as uses if uses.value is not None:
                loads[name] = Load(uses.value * current, is_shared=True)
            case Total(value):
                loads[name] = Load(value, is_shared=True)
            case Level(value):
                loads[name] = Load(value, is_shared=False)
            case _:
                pass
    return {name: load for name, load in loads.items() if math.isfinite(load.value)}


def measured_by(rule: ScalingRule) -> str:
    """Return the name of what *rule* measures: its signal, and a digest of settings it has."""
    if not rule.settings:
        return rule.signal.value
    settings = json.dumps(rule.settings, sort_keys=True).encode()
    return f"{rule.signal.value}:{hashlib.sha256(settings).hexdigest()[:_DIGEST]}"


def _number(values: Mapping[str, Value], name: str) -> int | None:
    return int(values[name]) if name in values else None


def _text(value: Sequence[Any] | Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
