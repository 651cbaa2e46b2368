"""One row of the table of samples: the result of one probe, with or without news."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from function_apps.health.model.probe_target import ProbeTarget
from shared.kernel.dataclass import dataclass
from shared.persistence.table_rules import TEXT_MAX

CHECKS_MAX: Final = 50
"""As many as the contract lets one answer carry."""


@dataclass(frozen=True)
class Sample:
    """The result of one probe of a service, also when it changed nothing."""

    at: str
    values: Mapping[str, str]

    @classmethod
    def of(cls, target: ProbeTarget, at: str) -> "Sample":
        return cls(
            at,
            {
                "status": target.status.value,
                "reason": target.reason,
                "checks": _text(target.checks[:CHECKS_MAX]),
                "deploymentId": target.deployment_id or "",
            },
        )

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        checks: list[Mapping[str, Any]] = json.loads(self.values["checks"])
        return checks


def _text(checks: Sequence[Mapping[str, Any]]) -> str:
    """Return *checks* as JSON: as many of them, from the first on, as one value of a row holds."""
    shown = [json.dumps(dict(check)) for check in checks]
    while sum(len(text) + 2 for text in shown) > TEXT_MAX:
        shown.pop()
    return f"[{', '.join(shown)}]"
