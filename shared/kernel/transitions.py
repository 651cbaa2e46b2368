"""The states of an aggregate: a table of what may happen in each, and where it leads."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Conflict

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E")


class TransitionRefused(Conflict):
    """The state of the aggregate does not allow what was asked."""

    def __init__(self, noun: str, status: str, event: str, allowed: Iterable[str]) -> None:
        states = ", ".join(sorted(allowed)) or "no state"
        super().__init__(
            f"not possible for {noun} in state {status} ({event}); allowed in: {states}"
        )
        self.status = status
        self.event = event


@dataclass(frozen=True)
class Transitions(Generic[S, E]):
    """What is not in *rows* cannot happen. The first row is the state that an aggregate begins in.

    `noun` is how a refusal calls the aggregate, with its article.
    """

    noun: str
    rows: Mapping[S, Mapping[type[E], S]]
    endings: frozenset[S] = frozenset()

    def after(self, status: S, event: type[E]) -> S:
        """Return the state that *event* leads to from *status*.

        Raises:
            TransitionRefused: there is no row for them.
        """
        target = self.rows[status].get(event)
        if target is None:
            allowed = [state.value for state, row in self.rows.items() if event in row]
            raise TransitionRefused(self.noun, status, event.__name__, allowed)
        return target

    def diagram(self) -> str:
        """Return the table as a mermaid state diagram, one arrow a pair of states."""
        lines = ["stateDiagram-v2", f"    [*] --> {next(iter(self.rows))}"]
        for source, row in self.rows.items():
            arrows: dict[str, list[str]] = {}
            for event, target in row.items():
                arrows.setdefault(target, []).append(event.__name__)
            lines += [f"    {source} --> {to}: {', '.join(names)}" for to, names in arrows.items()]
            if source in self.endings:
                lines.append(f"    {source} --> [*]")
        return "\n".join(lines)
