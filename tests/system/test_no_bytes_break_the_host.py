"""Whatever bytes come to the host's port: an answer below 500, or none to what is no request.

Requests to every route of all apps and to the host's own paths, as bytes on a connection: with a
length, chunked, with neither, both or two; heads with a byte changed, left out or put in; cut
anywhere. 3,000 of them in each round, 400 with every commit, `make fuzz` for the others.
"""

import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from local_host.http_trigger.api_reference import PATHS
from tests.kit.http_wire import connect
from tests.kit.odd_requests import ANY_TEXT, Known, Sent, requests, right_requests, settled_world
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

CASES_IN_EVERY_RUN: Final = 200
CASES: Final = 3000
ROUNDS: Final = 8
"""The first is small; the others have 21,000 requests together."""
SWEEP: Final = (pytest.mark.long, pytest.mark.sweep)
WAIT_S: Final = 0.3
"""What has no answer then waits for more, or long."""
METHODS: Final = ("HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "PURGE")
OWN_PATHS: Final = (
    "/", *PATHS, "/admin/host/status", "/admin/host/ping", "/admin/functions/",
    "/admin/functions/deployments_sweep_outbox", "/runtime/webhooks/durabletask/instances/",
    "/runtime/webhooks/durabletask/orchestrators/", "/runtime/webhooks/durabletask/entities/",
    "/v1/runtime/", "/v1/platform/", "//", "/%2e%2e/", "/v1/runtime/deployments/%00",
)  # fmt: skip
FRAMES: Final = (*["length"] * 6, *["chunked"] * 3, "none", "both", "twice")


@dataclass(frozen=True)
class Wire:
    """How a request comes: its frame, one change of its head, and where it is cut."""

    sent: Sent
    method: str | None
    own_path: str | None
    frame: str
    change: tuple[str, int, int] | None
    """What is done at which place of the head, with which byte."""
    cuts: tuple[int, ...]


@st.composite
def wires(draw: st.DrawFn) -> Wire:
    place = st.integers(0, 400)
    change = st.tuples(st.sampled_from(["set", "put", "leave"]), place, st.integers(0, 255))
    rarely = st.integers(0, 4).map(lambda drawn: drawn == 0)
    return Wire(
        draw(requests() | requests() | right_requests()),
        draw(st.sampled_from(METHODS)) if draw(rarely) else None,
        draw(st.sampled_from(OWN_PATHS)) + draw(ANY_TEXT) if draw(rarely) else None,
        draw(st.sampled_from(FRAMES)),
        draw(change) if draw(rarely) else None,
        tuple(sorted(draw(st.lists(place, max_size=3)))),
    )


def cases_of(number: int) -> int:
    return CASES if number else CASES_IN_EVERY_RUN


def drawn(number: int) -> list[Wire]:
    """Return the requests of round *number*; the same number draws the same ones."""
    found: list[Wire] = []
    cases = cases_of(number)

    @seed(number)
    @settings(
        max_examples=cases, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(wires())
    def note(wire: Wire) -> None:
        found.append(wire)

    note()
    return found


def bytes_of(wire: Wire, known: Known, token: str) -> bytes:
    sent = wire.sent
    path = "/" + sent.route.template
    for name, value in sent.path.items():
        path = path.replace(f"{{{name}}}", known.filled(value))
    path = quote(wire.own_path or path, safe="/%", errors="replace")
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sent.query.items())
    body = known.filled(sent.body)
    content = b"" if body is None else body
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    headers = {"host": "here", "authorization": f"Bearer {token}", **sent.headers}
    lines = [f"{wire.method or sent.route.method} {path}?{query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    framed, content = _framed(wire.frame, content)
    head = "\r\n".join([*lines, *framed, "", ""]).encode("latin-1", "replace")
    return _changed(head, wire.change) + content


def _framed(frame: str, content: bytes) -> tuple[list[str], bytes]:
    """Return the headers that announce *content*, and its form on the wire."""
    length, chunked = f"content-length: {len(content)}", "transfer-encoding: chunked"
    middle = len(content) // 2
    pieces = [piece for piece in (content[:middle], content[middle:]) if piece]
    in_chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    in_chunks += b"0\r\n\r\n"
    match frame:
        case "chunked":
            return [chunked], in_chunks
        case "both":
            return [length, chunked], in_chunks
        case "twice":
            return [length, f"content-length: {len(content) + 1}"], content
        case "none":
            return [], content
        case _:
            return [length], content


def _changed(head: bytes, change: tuple[str, int, int] | None) -> bytes:
    if change is None:
        return head
    kind, place, byte = change
    at = place % len(head)
    put = b"" if kind == "leave" else bytes([byte])
    return head[:at] + put + head[at + (kind != "put") :]


async def _statuses(world: World, wire: Wire, content: bytes) -> list[int]:
    """Send *content* over a connection of its own; return what was answered."""
    connection, pipe = connect(world.host.handle, world.host.check_head)
    places = [0, *(min(cut, len(content)) for cut in wire.cuts), len(content)]
    for begin, end in pairwise(places):
        if end > begin and not pipe.is_closed:
            connection.data_received(content[begin:end])
            await world.clock.sleep(0)
    for _ in range(6):
        if pipe.written or pipe.is_closed:
            break
        await world.clock.sleep(WAIT_S / 6)
    statuses = [] if wire.method == "HEAD" else pipe.statuses()
    if wire.method == "HEAD" and pipe.written:  # announces a body that does not come
        statuses = [int(pipe.written.split(b" ", 2)[1])]
    connection.connection_lost(None)
    return statuses


@pytest.mark.parametrize(
    "number",
    [
        0,
        pytest.param(1, marks=pytest.mark.long),
        *(pytest.param(n, marks=SWEEP) for n in range(2, ROUNDS)),
    ],
)
def test_no_bytes_are_answered_by_a_defect(number: int) -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            known = await settled_world(world)
            statuses, defects = Counter[int](), []
            for wire in drawn(number):
                await world.clock.sleep(0.1)
                tenant = "globex" if wire.sent.stranger else "acme"
                token = world.issuer.token(tenant, "ann", ("Runtime.Admin",))
                content = bytes_of(wire, known, token)
                answers = await _statuses(world, wire, content)
                statuses.update(answers)
                defects += [(content, status) for status in answers if status >= 500]
            status, _ = await world.call("GET", "/v1/runtime/environments")
            return statuses, defects, status
        finally:
            await world.stop()

    statuses, defects, status = run_virtual(main())

    assert defects == []
    assert status == 200
    assert statuses.total() > cases_of(number) * 0.8
    assert {200, 400, 404} <= set(statuses)
