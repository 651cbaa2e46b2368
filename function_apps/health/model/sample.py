"""One row of the table of samples: every look at a service is one, also those without news."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from function_apps.health.model.probe_target import Target

CHECKS_MAX: Final = 50
"""As many as the contract lets one answer carry."""


@dataclass(frozen=True)
class Sample:
    """What one look said. Every look is one, also those that change nothing."""

    at: str
    values: Mapping[str, str]

    @classmethod
    def of(cls, target: Target, at: str) -> "Sample":
        return cls(
            at,
            {
                "status": target.status.value,
                "reason": target.reason,
                "checks": json.dumps([dict(each) for each in target.checks[:CHECKS_MAX]]),
                "deploymentId": target.deployment_id or "",
            },
        )

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = json.loads(self.values["checks"])
        return found
