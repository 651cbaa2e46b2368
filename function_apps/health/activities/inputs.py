"""The arguments and results of the activities."""

from function_apps.health.model.gate_samples import Progress
from shared.contracts.gates import EvaluateGate
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class GateBegun:
    """The gate, its progress before the first observation, and the seconds between two."""

    gate: EvaluateGate
    progress: Progress
    observe_every_s: float
