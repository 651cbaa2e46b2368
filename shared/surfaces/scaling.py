"""Who changes the number of a revision's instances, and by which rules a surface does it itself."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import TypeAlias

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid


class ReplicasOwner(StrEnum):
    """The one who writes the number; nobody else does."""

    PLATFORM = "Platform"
    """`Surface.scale`, as deployments or the scaling service ask for it."""
    SURFACE = "Surface"
    """The surface by its own rules, such as a HorizontalPodAutoscaler."""


class Measure(StrEnum):
    """What an instance uses, in percent of what it asked for."""

    CPU = "cpu"
    MEMORY = "memory"


@dataclass(frozen=True)
class UtilizationRule:
    """As many instances as keep the average use at `target_percent`."""

    measure: Measure
    target_percent: int


@dataclass(frozen=True)
class EventRule:
    """As many instances as a source of events asks for, in KEDA's words.

    `trigger` is the type of the scaler, for example `azure-servicebus`, `metadata` its settings; no
    secret is among them. `authentication` is the name of what the surface signs in with.
    """

    trigger: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    authentication: str | None = None


ScalingRule: TypeAlias = UtilizationRule | EventRule


@dataclass(frozen=True)
class ScalingRules:
    """From `minimum` to `maximum` instances, as many as the most demanding of `rules` asks for."""

    minimum: int
    maximum: int
    rules: tuple[ScalingRule, ...]
    cooldown_s: float = 300.0
    """How long the demand must be lower before instances are stopped."""

    def __post_init__(self) -> None:
        """Refuse rules that no surface can follow."""
        checks = (
            (self.minimum < 0, "minimum", "0 or more", self.minimum),
            (self.maximum < max(1, self.minimum), "maximum", "at least the minimum, and 1",
             self.maximum),
            (not self.rules, "rules", "at least one", "none"),
            (self.cooldown_s < 0, "cooldown", "0 seconds or more", self.cooldown_s),
        )  # fmt: skip
        for is_invalid, name, expected, received in checks:
            if is_invalid:
                raise Invalid(
                    f"{name} of the scaling rules must be {expected}, got {received}",
                    target=f"/{name}",
                )

    @property
    def words(self) -> str:
        """Return what scales, as the properties of a revision show it."""
        return rules_in_words(
            (rule.measure.value, rule.target_percent)
            if isinstance(rule, UtilizationRule)
            else (rule.trigger, rule.metadata)
            for rule in self.rules
        )

    @property
    def has_events(self) -> bool:
        return any(isinstance(rule, EventRule) for rule in self.rules)


def rules_in_words(rules: Iterable[tuple[str, int | Mapping[str, str]]]) -> str:
    """Return *rules* in one text, in whichever order they come.

    Each is a measure with its percent, or a source of events with its settings.
    """
    words = (
        f"{name} {target} %"
        if isinstance(target, int)
        else f"{name} {json.dumps(dict(target), sort_keys=True)}"
        for name, target in rules
    )
    return ", ".join(sorted(words))
