"""The dependencies that all controllers of one supervisor share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.surfaces.local_process.artifacts import Artifacts
from shared.surfaces.local_process.loopback_ports import free_port
from shared.surfaces.local_process.probes import SendProbe, Spawn


@dataclass
class ControllerContext:
    """`on_change` requests the next pass at once; `ports` are those in use, by their owner."""

    clock: Clock
    entropy: Entropy
    artifacts: Artifacts
    tools: Path
    send_probe: SendProbe
    spawn: Spawn
    on_change: Callable[[], None]
    ports: dict[str, set[int]] = field(default_factory=dict)

    def free_port(self) -> int:
        return free_port(self.entropy, set().union(*self.ports.values()))
