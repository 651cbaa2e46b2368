"""The result of one probe."""

from typing import Final

from shared.kernel.dataclass import dataclass
from shared.probing.health_body import ReportedHealth

DENIED: Final = "Denied"
"""Nothing was sent: the address is one that this prober may not ask."""


@dataclass(frozen=True)
class ProbeResult:
    """`code` is the HTTP status, or `Timeout`, `Refused`, `Broken`, `TooLong`, `Dns`, `Denied`.

    With a status that passes, an application that reports itself as Unhealthy does not pass.
    """

    passed: bool
    code: str
    latency_ms: float
    reported: ReportedHealth | None = None
    """What the body of the answer says, where it is a health body."""
