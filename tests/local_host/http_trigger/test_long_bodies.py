"""A long body: its head is checked before it is read, and it comes at a pace."""

from typing import Final

import pytest

from local_host.http_trigger.http_connection import HttpConnection
from local_host.model import HttpAnswer, HttpCall
from tests.kit.http_wire import Echo, Pipe, connect, request, settled
from tests.kit.virtual_time import LoopClock, run_virtual

LONG: Final = 200_000
MEGABYTE: Final = 2**20
HEAD: Final = b"POST /things HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % LONG
CHUNKED: Final = b"POST /things HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT: Final = b"GET /next HTTP/1.1\r\nHost: here\r\n\r\n"


class Gate:
    """Checks heads; refuses all of them where it is told so."""

    def __init__(self, refusal: HttpAnswer | None = None) -> None:
        self.refusal = refusal
        self.asked: list[HttpCall] = []

    async def __call__(self, head: HttpCall) -> HttpAnswer | None:
        self.asked.append(head)
        await LoopClock().sleep(0.1)
        return self.refusal


@pytest.mark.parametrize("head", [HEAD, CHUNKED], ids=["a-long-one", "one-of-unknown-length"])
def test_the_head_is_checked_before_the_body_is_read(head: bytes) -> None:
    async def main() -> None:
        echo, gate = Echo(), Gate(HttpAnswer(401))
        connection, pipe = connect(echo, gate)

        connection.data_received(head)
        await settled()
        is_paused = not pipe.reads
        await LoopClock().sleep(1)

        assert is_paused
        assert pipe.statuses() == [401]
        assert [each.body for each in gate.asked] == [b""]
        assert echo.calls == []

    run_virtual(main())


def test_what_comes_of_a_refused_body_is_dropped_and_the_next_request_is_answered() -> None:
    async def main() -> None:
        connection, pipe = connect(Echo(), Gate(HttpAnswer(401)))

        connection.data_received(HEAD)
        await LoopClock().sleep(1)
        connection.data_received(b"x" * LONG + NEXT)
        await settled()

        assert pipe.statuses() == [401, 200]

    run_virtual(main())


def test_a_body_whose_head_may_come_arrives_whole() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo, Gate())

        connection.data_received(HEAD + b"x" * 1000)
        await LoopClock().sleep(1)
        connection.data_received(b"x" * (LONG - 1000))
        await settled()

        assert pipe.statuses() == [200]
        assert [len(call.body) for call in echo.calls] == [LONG]

    run_virtual(main())


def test_a_short_body_is_not_asked_for_twice() -> None:
    async def main() -> None:
        gate = Gate(HttpAnswer(401))
        connection, pipe = connect(Echo(), gate)

        connection.data_received(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
        await settled()

        assert (pipe.statuses(), gate.asked) == ([200], [])

    run_virtual(main())


def test_a_client_that_asks_first_is_invited_once_its_head_may_come() -> None:
    async def main() -> None:
        connection, pipe = connect(Echo(), Gate())

        connection.data_received(HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        await settled()
        before = bytes(pipe.written)
        await LoopClock().sleep(1)

        assert (before, bytes(pipe.written)) == (b"", b"HTTP/1.1 100 Continue\r\n\r\n")

    run_virtual(main())


def test_a_check_that_fails_is_the_host_s_defect() -> None:
    async def broken(_head: HttpCall) -> HttpAnswer | None:
        raise KeyError("secret")

    async def main() -> None:
        connection, pipe = connect(Echo(), broken)

        connection.data_received(HEAD)
        await settled()

        assert pipe.statuses() == [500]

    run_virtual(main())


@pytest.mark.parametrize(
    "sent",
    [HEAD + b"x" * 100, request("POST /x", b"a", length=9)],
    ids=["a-long-one", "a-short-one"],
)
def test_a_body_that_does_not_come_is_given_up(sent: bytes) -> None:
    async def main() -> None:
        connection, pipe = connect(Echo(), Gate())

        connection.data_received(sent)
        await LoopClock().sleep(12)

        assert pipe.statuses() == [408]
        assert pipe.is_closed

    run_virtual(main())


def test_a_slow_body_is_waited_for_while_it_keeps_its_pace() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo, Gate())

        connection.data_received(HEAD)
        for _ in range(LONG // 2000):
            await LoopClock().sleep(4)
            connection.data_received(b"x" * 2000)
        await settled()

        assert pipe.statuses() == [200]

    run_virtual(main())


def test_a_refused_body_without_an_end_ends_the_connection() -> None:
    async def main() -> None:
        connection, pipe = connect(Echo(), Gate(HttpAnswer(401)), body_max_bytes=LONG)

        connection.data_received(CHUNKED)
        await LoopClock().sleep(1)
        for _ in range(5):
            connection.data_received(b"%x\r\n" % LONG + b"x" * LONG + b"\r\n")

        assert pipe.is_closed

    run_virtual(main())


async def pause_of(pipe: Pipe) -> float:
    """Return the seconds until the connection is read from again."""
    began_s = LoopClock().monotonic_s()
    for _ in range(1000):
        if pipe.reads:
            break
        await LoopClock().sleep(0.001)
    return LoopClock().monotonic_s() - began_s


def test_refused_bodies_are_dropped_at_a_pace_that_leaves_time_for_others() -> None:
    async def main() -> list[float]:
        connection, pipe = connect(Echo(), Gate(HttpAnswer(429)))
        head = HEAD.replace(b"%d" % LONG, b"%d" % (64 * MEGABYTE))
        connection.data_received(head)
        await LoopClock().sleep(1)
        pauses = []
        for _ in range(3):
            connection.data_received(b"x" * MEGABYTE)
            pauses.append(await pause_of(pipe))

        assert pipe.statuses() == [429]
        return pauses

    assert run_virtual(main()) == pytest.approx([1 / 64] * 3, abs=0.002)


def test_all_connections_share_the_pace_of_what_is_dropped() -> None:
    async def main() -> float:
        first, _ = connect(Echo(), Gate(HttpAnswer(429)))
        second_pipe = Pipe()
        second = HttpConnection(first._shared)
        second.connection_made(second_pipe)
        for connection in (first, second):
            connection.data_received(HEAD)
        await LoopClock().sleep(1)
        first.data_received(b"x" * (LONG - 1))
        second.data_received(b"x" * 1000)
        return await pause_of(second_pipe)

    assert run_virtual(main()) >= (LONG - 1) / (64 * MEGABYTE)
