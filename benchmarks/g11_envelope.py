"""G11: a message decoded and encoded with all rules, as dispatcher and relay do, beside pydantic.

The peer is pydantic called directly on the same model: patterns and instants, but neither the
bounds of a body, nor that a name stands once, nor that numbers are finite. Nothing here waits, so
it is measured in processor time.

Run as `.venv/bin/python benchmarks/g11_envelope.py`.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.rounds import Goal, run
from shared.contracts.catalog import RetireService
from shared.contracts.releases import ChangeCause
from shared.messaging.envelope import Envelope, parse_envelope
from tests.kit.messages import envelope_of
from tests.kit.told import (
    ENVIRONMENT,
    deployment_of,
    ended,
    environment,
    released,
    service_of,
)
from tests.kit.virtual_time import EPOCH

TIMES: Final = 2000
ROUNDS: Final = 25
CAUSE: Final = ChangeCause(kind="deployment", id=deployment_of(1))
PAYLOADS: Final = {
    "a command": RetireService(
        environment_id=ENVIRONMENT, service_id=service_of(), cause=CAUSE, ended_at=EPOCH
    ),
    "an environment": environment(3),
    "a deployment of one component": ended(1, [released()]),
}
BODIES: Final = {
    name: envelope_of(payload, 1, EPOCH).to_json() for name, payload in PAYLOADS.items()
}


def by_pydantic(body: bytes) -> bytes:
    return Envelope.model_validate_json(body).model_dump_json(by_alias=True).encode()


def ours(body: bytes) -> bytes:
    return parse_envelope(body).to_json()


def rate(pass_on: Callable[[bytes], bytes], body: bytes) -> float:
    """Return how often a second of the processor *pass_on* decodes and encodes *body*."""
    assert pass_on(body) == body
    began_s = time.process_time()
    for _ in range(TIMES):
        pass_on(body)
    return TIMES / (time.process_time() - began_s)


def main() -> int:
    names = {name: f"{name}, {len(body)} bytes" for name, body in BODIES.items()}
    sides = {
        f"{side}: {names[name]}": partial(rate, pass_on, body)
        for name, body in BODIES.items()
        for side, pass_on in (("ours", ours), ("pydantic", by_pydantic))
    }
    goals = [Goal(f"ours: {name}", f"pydantic: {name}", 1 / 1.2) for name in names.values()]
    return run("G11 decode and encode", "messages/s", sides, goals, rounds=ROUNDS)


if __name__ == "__main__":
    sys.exit(main())
