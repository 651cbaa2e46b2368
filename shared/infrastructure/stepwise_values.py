"""Values of the step-by-step methods, which leave the port when environments polls its runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.infrastructure.graph import Urn


@dataclass(frozen=True)
class Step:
    run: str
    index: int
    verb: str
    urn: Urn
    type: str
    name: str


@dataclass(frozen=True)
class Run:
    id: str
    remaining: tuple[Step, ...]


@dataclass(frozen=True)
class Reason:
    urn: Urn
    name: str
    code: str
    reason: str


@dataclass(frozen=True)
class StepOutcome:
    step: Step
    left: Reason | None = None


@dataclass(frozen=True)
class Finished:
    outputs: Mapping[str, Any]
    left: tuple[Reason, ...] = ()
