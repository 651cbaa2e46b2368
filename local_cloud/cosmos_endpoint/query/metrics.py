"""What a query cost, as SDKs are told it.

https://learn.microsoft.com/azure/cosmos-db/nosql/query-metrics
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_ALWAYS: Final = {
    "queryLogicalPlanBuildTimeInMs": 0.0, "queryPhysicalPlanBuildTimeInMs": 0.0,
    "queryOptimizationTimeInMs": 0.0, "indexLookupTimeInMs": 0.0,
    "systemFunctionExecuteTimeInMs": 0.0, "userFunctionExecuteTimeInMs": 0.0,
    "writeOutputTimeInMs": 0.0,
}  # fmt: skip
"""Steps that a query here does not have, which SDKs read all the same."""


@dataclass(frozen=True)
class QueryCost:
    """Seconds of each step, and how many documents of how many bytes were read."""

    parsed_s: float = 0.0
    loaded_s: float = 0.0
    run_s: float = 0.0
    read: int = 0
    read_bytes: int = 0

    def text(self, rows: Sequence[Any]) -> str:
        """Return the value of the header for a page of *rows*."""
        total_s = self.parsed_s + self.loaded_s + self.run_s
        times = {
            "totalExecutionTimeInMs": total_s * 1000, "queryCompileTimeInMs": self.parsed_s * 1000,
            "VMExecutionTimeInMs": self.run_s * 1000, "documentLoadTimeInMs": self.loaded_s * 1000,
            **_ALWAYS,
        }  # fmt: skip
        counts = {
            "retrievedDocumentCount": self.read, "retrievedDocumentSize": self.read_bytes,
            "outputDocumentCount": len(rows), "outputDocumentSize": len(json.dumps(rows)),
        }  # fmt: skip
        ratio = min(1.0, len(rows) / self.read) if self.read else 1.0
        parts = [f"{name}={value:.2f}" for name, value in times.items()]
        parts += [f"{name}={value}" for name, value in counts.items()]
        return ";".join([*parts, f"indexUtilizationRatio={ratio:.2f}"])
