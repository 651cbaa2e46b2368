"""G4: replaying 1,000 events, and the whole of a 250-step workflow, beside the stock library.

Both sides get the same history and must give the same actions. The stock library gets what Azure
gives it, the whole history as JSON text in every episode. Ours is what the host does with it: a
replay from the kept text (after an eviction or a restart), and 250 episodes with a live generator;
both include the host's own walk over the actions, which the peer does not have to do.

Run as `.venv/bin/python benchmarks/g4_replay.py`.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import azure.durable_functions as df  # noqa: E402

from benchmarks.peer_durable_stock import steps  # noqa: E402
from benchmarks.processes import running  # noqa: E402
from benchmarks.rounds import Goal, run  # noqa: E402
from local_host.__main__ import exempt_from_collection  # noqa: E402
from local_host.durable import history, library_patches  # noqa: E402
from local_host.durable.functions import DurableFunctions  # noqa: E402
from local_host.durable.history import Event, EventType, event  # noqa: E402
from local_host.durable.history_replay import HistoryReplay  # noqa: E402
from local_host.durable.instance import InstanceSession  # noqa: E402
from local_host.durable.library_replay import LiveReplay  # noqa: E402
from local_host.durable.records import PENDING, Instance, Message  # noqa: E402
from local_host.durable.settings import DurableSettings  # noqa: E402
from tests.kit.virtual_time import EPOCH  # noqa: E402

STEPS = 250
REPLAYS = 60
"""Of one round: about as long as the ten of the peer, so that both meet the same disturbances."""
HANDLER = df.Orchestrator.create(steps)


class Knows(DurableFunctions):
    """Every function there is."""

    def refusal_of(self, kind: EventType, name: str) -> str | None:  # noqa: ARG002
        return None


def workflow(visit: Callable[[InstanceSession, int], None] | None = None) -> list[str]:
    """Run the workflow episode by episode; return the pieces of its history."""
    at = history.timestamp(EPOCH)
    instance = Instance("i", "e", "steps", "", PENDING, None, None, None, None, at, at)
    session, pieces = InstanceSession(instance, [], 0, ()), []
    for number in range(STEPS + 1):
        now = EPOCH + timedelta(seconds=number)
        if number:
            done = event(
                EventType.TASK_COMPLETED, history.timestamp(now), TaskScheduledId=number - 1,
                Result=str(number),
            )  # fmt: skip
            session.inbox.append(Message("i", "e", done))
        commit = session.decide(HANDLER, Knows(()), DurableSettings(), now, lambda: UUID(int=0).hex)
        session.settle(commit)
        pieces.append(commit.piece)
        if visit is not None:
            visit(session, number)
    return pieces


def head() -> dict[str, Any]:
    return {
        "input": None,
        "instanceId": "i",
        "isReplaying": False,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
        "longRunningTimerIntervalDuration": "3.00:00:00",
        "maximumShortTimerDuration": "6.00:00:00",
    }


def bodies(pieces: list[str]) -> list[str]:
    """Return the context of every episode as Azure would send it, decisions left out."""
    found, events = [], []
    decided = (
        EventType.TASK_SCHEDULED, EventType.EXECUTION_COMPLETED, EventType.ORCHESTRATOR_COMPLETED,
    )  # fmt: skip
    for piece in pieces:
        episode = history.decode([piece])
        fresh = [e for e in episode if e["EventType"] not in decided]
        found.append(json.dumps({**head(), "history": [*events, *fresh]}))
        events += episode
    return found


def replay(pieces: list[str]) -> list[Event]:
    """Replay from the kept text, as after a restart; return the actions."""
    events = history.decode(pieces)
    outcome = LiveReplay(HANDLER).feed(head, events)
    HistoryReplay("e", ["i"], Knows(()), DurableSettings()).proceed(
        events, outcome.actions, is_amended=outcome.is_amended
    )
    return list(outcome.actions)


def timed(work: Callable[[], Any], times: int) -> float:
    """Return how often a second *work* can be done, from *times* in a row."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return times / (time.perf_counter() - began)


def main() -> int:
    library_patches.apply_patches()
    pieces = workflow()
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "bodies"
        file.write_text("\n".join(bodies(pieces)))
        peer = stack.enter_context(running(
            [sys.executable, ROOT / "benchmarks" / "peer_durable_stock.py", file],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ))  # fmt: skip
        assert peer.stdin is not None
        assert peer.stdout is not None
        peer.stdout.readline()
        exempt_from_collection()  # as the host does once it is up

        def stock(which: str) -> float:
            assert peer.stdin is not None
            assert peer.stdout is not None
            peer.stdin.write(f"{which}\n")
            peer.stdin.flush()
            answer = json.loads(peer.stdout.readline())
            assert answer["actions"] == [replay(pieces)], "not the same actions"
            return 1 / answer["s"]

        sides = {
            "ours, replay of 1,000 events": lambda: timed(lambda: replay(pieces), REPLAYS),
            "stock, replay of 1,000 events": lambda: stock("last"),
            "ours, 250 steps": lambda: timed(workflow, 1),
            "stock, 250 steps": lambda: stock("all"),
        }
        goals = [
            Goal("ours, replay of 1,000 events", "stock, replay of 1,000 events", 6),
            Goal("ours, 250 steps", "stock, 250 steps", 20),
        ]
        return run("G4 replay", "1/s", sides, goals)


if __name__ == "__main__":
    sys.exit(main())
