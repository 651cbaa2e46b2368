"""The result of one probe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProbeResult:
    """`code` is the HTTP status, or `Timeout`, `Refused`, `Broken`, `TooLong`, `Dns`, `Denied`."""

    passed: bool
    code: str
    latency_ms: float
