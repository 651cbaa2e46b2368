"""What one episode stores in one transaction, and what the engine does after that."""

from dataclasses import dataclass, field

from local_host.durable.history import Event
from local_host.durable.records import Instance, Message


@dataclass(slots=True)
class EpisodeCommit:
    """What one episode stores in one transaction, and what the engine does after that."""

    execution: str
    """The execution that the stored instance must still be at."""
    after: Instance
    position: int
    piece: str
    """The episode's events; not stored when the history ends with it (continue-as-new)."""
    is_new_generation: bool = False
    consumed: list[int] = field(default_factory=list)
    """Kept messages that the episode has taken."""
    unpersisted: list[Message] = field(default_factory=list)
    """Messages that the episode has taken and that only it will make durable."""
    sends: list[Message] = field(default_factory=list)
    children: list[Instance] = field(default_factory=list)
    activities: list[Event] = field(default_factory=list)
    timers: list[Event] = field(default_factory=list)
    failure: str = ""
    """Why the instance has failed, for the log; `cause` has the stack where code raised."""
    cause: BaseException | None = None

    def drop_decisions(self) -> None:
        """Carry out nothing of what the orchestrator has asked for in this episode."""
        for decided in (self.sends, self.children, self.activities, self.timers):
            decided.clear()
