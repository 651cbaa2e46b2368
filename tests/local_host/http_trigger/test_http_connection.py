"""One connection: what it hands over, in which order it answers, when it ends."""

import asyncio
import random  # noqa: TID251  a seed decides how a stream is cut

import pytest

from local_host.model import HttpAnswer, HttpCall
from tests.kit.http_wire import Echo, connect, request, settled
from tests.kit.virtual_time import LoopClock, run_virtual

CHUNKED = (
    b"POST /chunks HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nin\r\n3\r\nput\r\n0\r\nX-Trailer: 1\r\n\r\n"
)


def test_a_request_is_handed_over_as_received() -> None:
    async def main() -> None:
        echo = Echo()
        connection, _ = connect(echo)

        connection.data_received(
            b"POST /a%20b?q=1&r#part HTTP/1.1\r\nHost: example.org:81\r\nX-One:  1 \r\n"
            b"x-one: 2\r\nContent-Length: 5\r\n\r\nin"
        )
        connection.data_received(b"put")
        await settled()

        assert echo.calls == [
            HttpCall(
                "POST",
                "/a%20b",
                "q=1&r",
                [
                    ("host", "example.org:81"),
                    ("x-one", "1"),
                    ("x-one", "2"),
                    ("content-length", "5"),
                ],
                b"input",
                "http://example.org:81",
            )
        ]
        assert echo.calls[0].header("x-one") == "1"

    run_virtual(main())


@pytest.mark.parametrize(
    ("head", "origin"),
    [
        pytest.param(b"", "http://127.0.0.1:7071", id="without-host-the-sockets"),
        pytest.param(b"Host: there\r\n", "http://there", id="as-addressed"),
        pytest.param(
            b"Host: there\r\nX-Forwarded-Proto: https\r\n", "https://there", id="behind-a-proxy"
        ),
    ],
)
def test_a_call_knows_how_it_was_addressed(head: bytes, origin: str) -> None:
    async def main() -> None:
        echo = Echo()
        connection, _ = connect(echo)

        connection.data_received(b"GET / HTTP/1.1\r\n" + head + b"\r\n")
        await settled()

        assert echo.calls[0].origin == origin

    run_virtual(main())


def test_a_chunked_body_is_whole_and_its_trailer_is_no_header() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)

        connection.data_received(CHUNKED)
        await settled()

        assert pipe.answers()[0][2] == b"POST /chunks input"
        assert [name for name, _ in echo.calls[0].headers] == ["host", "transfer-encoding"]

    run_virtual(main())


@pytest.mark.parametrize("seed", range(20))
def test_however_a_stream_is_cut_the_same_requests_are_answered_in_order(seed: int) -> None:
    stream = b"".join(
        [
            request("GET /wait/first"),
            request("POST /b?x=1", b"body", ["X-Long: " + "a" * 200]),
            CHUNKED,
            request("DELETE /d", headers=["Connection: close"]),
            request("GET /never"),
        ]
    )

    async def main() -> None:
        chance = random.Random(seed)
        echo = Echo()
        connection, pipe = connect(echo)
        rest = stream
        while rest:
            size = chance.choice((1, 2, 7, 50, len(rest)))
            piece, rest = rest[:size], rest[size:]
            connection.data_received(piece)
            if chance.random() < 0.2:
                await settled()
        await settled()
        assert pipe.written == b""

        echo.released.set()
        await settled()

        assert [body for _, _, body in pipe.answers()] == [
            b"GET /wait/first ", b"POST /b body", b"POST /chunks input", b"DELETE /d ",
        ]  # fmt: skip
        assert pipe.is_closed

    run_virtual(main())


def test_while_requests_wait_for_their_turn_no_more_are_read() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)

        connection.data_received(request("GET /wait") + request("GET /b"))
        reads_then = pipe.reads
        echo.released.set()
        await settled()

        assert (reads_then, pipe.reads) == (False, True)
        assert pipe.statuses() == [200, 200]

    run_virtual(main())


def test_a_client_that_does_not_read_its_answers_is_answered_no_further() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)
        connection.data_received(request("GET /wait") + request("GET /b"))

        connection.pause_writing()
        echo.released.set()
        await settled()
        before = pipe.statuses()
        connection.resume_writing()
        await settled()

        assert (before, pipe.statuses()) == ([200], [200])

    run_virtual(main())


@pytest.mark.parametrize(
    "pieces",
    [
        [request("POST /x", b"12345")],
        [request("POST /x", b"123", length=5), b"45"],
        [CHUNKED],
    ],
    ids=["whole", "in-pieces", "chunked"],
)
def test_a_body_over_the_limit_is_413_and_not_handed_over(pieces: list[bytes]) -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo, body_max_bytes=4)

        for piece in pieces:
            connection.data_received(piece)
        await settled()

        assert pipe.answers()[0][0::2] == (413, b"")
        assert echo.calls == []

    run_virtual(main())


def test_the_rest_of_a_body_over_the_limit_is_dropped_and_the_connection_goes_on() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo, body_max_bytes=4)

        connection.data_received(request("POST /x", b"12345", length=100_005))
        refused = pipe.statuses()
        for _ in range(100):
            connection.data_received(b"a" * 1000)
        connection.data_received(request("GET /next"))
        await settled()

        assert (refused, pipe.statuses()) == ([413], [200])

    run_virtual(main())


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_no_length(status: int) -> None:
    async def handle(call: HttpCall) -> HttpAnswer:
        return HttpAnswer(status, (), b"dropped")

    async def main() -> None:
        connection, pipe = connect(handle)
        connection.data_received(request("GET /x"))
        await settled()

        assert pipe.written.endswith(b"GMT\r\n\r\n")
        assert b"content-length" not in pipe.written

    run_virtual(main())


def test_head_has_the_length_and_no_body() -> None:
    async def main() -> None:
        connection, pipe = connect(Echo())
        connection.data_received(request("HEAD /x"))
        await settled()

        assert pipe.written.endswith(b"content-length: 8\r\n\r\n")

    run_virtual(main())


def test_a_large_answer_is_whole() -> None:
    async def handle(call: HttpCall) -> HttpAnswer:
        return HttpAnswer(200, (), b"a" * 1_000_000)

    async def main() -> None:
        connection, pipe = connect(handle)
        connection.data_received(request("GET /x"))
        await settled()

        assert len(pipe.answers()[0][2]) == 1_000_000

    run_virtual(main())


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-a", "1\r\nset-cookie: b=1"), ("x a", "1"), ("x-a", "\N{SNOWMAN}"), ("", "1")],
    ids=["line-break", "no-token", "not-latin", "no-name"],
)
def test_a_header_that_http_cannot_carry_is_500(name: str, value: str) -> None:
    async def handle(call: HttpCall) -> HttpAnswer:
        return HttpAnswer(200, ((name, value),), b"out")

    async def main() -> None:
        connection, pipe = connect(handle)
        connection.data_received(request("GET /x"))
        await settled()

        assert [(status, body) for status, _, body in pipe.answers()] == [(500, b"")]

    run_virtual(main())


def test_a_function_cannot_write_the_headers_of_the_connection() -> None:
    async def handle(call: HttpCall) -> HttpAnswer:
        headers = (("Content-Length", "99"), ("transfer-encoding", "chunked"), ("x-mine", "1"))
        return HttpAnswer(200, headers, b"out")

    async def main() -> None:
        connection, pipe = connect(handle)
        connection.data_received(request("GET /x"))
        await settled()

        ((_, headers, body),) = pipe.answers()
        assert (set(headers), body) == ({"date", "x-mine", "content-length"}, b"out")

    run_virtual(main())


@pytest.mark.parametrize(
    "first",
    [
        request("GET /x", headers=["Connection: close"]),
        b"GET /x HTTP/1.0\r\n\r\n",
        b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        request("GET /x", headers=["Connection: Upgrade", "Upgrade: websocket"]),
    ],
    ids=["asked-to-close", "http-1.0", "http-1.0-keep-alive", "upgrade"],
)
def test_what_ends_a_connection_is_answered_first_and_nothing_after_it(first: bytes) -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)

        connection.data_received(first + request("GET /never"))
        await settled()

        ((status, headers, _),) = pipe.answers()
        assert (status, headers["connection"], pipe.is_closed) == (200, "close", True)
        assert len(echo.calls) == 1

    run_virtual(main())


@pytest.mark.parametrize(
    "broken",
    [b"nonsense\r\n\r\n", request("POST /x", headers=["Content-Length: 1", "Content-Length: 2"])],
    ids=["no-http", "two-lengths"],
)
def test_what_is_no_request_is_400_after_the_answer_under_way(broken: bytes) -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)

        connection.data_received(request("GET /wait") + broken)
        echo.released.set()
        await settled()

        assert pipe.statuses() == [200, 400]
        assert pipe.is_closed

    run_virtual(main())


def test_a_client_that_asks_first_is_told_to_send_its_body() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)
        connection.data_received(request("GET /wait"))

        connection.data_received(request("POST /b", length=4, headers=["Expect: 100-continue"]))
        before = pipe.written
        echo.released.set()
        await settled()
        _, told = pipe.statuses()
        connection.data_received(b"body")
        await settled()

        assert (before, told) == (b"", 100)
        assert pipe.answers()[0][2] == b"POST /b body"

    run_virtual(main())


def test_after_230_s_the_caller_gets_502_and_the_function_runs_on() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)
        connection.data_received(request("GET /wait"))

        await LoopClock().sleep(229)
        before = pipe.statuses()
        await LoopClock().sleep(2)
        late = pipe.statuses()
        connection.data_received(request("GET /next"))
        echo.released.set()
        await settled()

        assert (before, late, pipe.statuses()) == ([], [502], [200])
        assert set(echo.ended) == {"/wait", "/next"}

    run_virtual(main())


def test_a_client_that_leaves_does_not_end_its_function() -> None:
    async def main() -> None:
        echo = Echo()
        connection, pipe = connect(echo)
        connection.data_received(request("GET /wait") + request("GET /b"))
        await settled()

        connection.connection_lost(None)
        echo.released.set()
        await settled()

        assert (echo.ended, pipe.written) == (["/wait"], b"")

    run_virtual(main())


@pytest.mark.parametrize(
    "sent",
    [b"", request("GET /x")],
    ids=["nothing", "an-answered-request"],
)
def test_a_connection_without_a_byte_for_130_s_is_closed(sent: bytes) -> None:
    async def main() -> None:
        connection, pipe = connect(Echo())
        if sent:
            connection.data_received(sent)

        await LoopClock().sleep(129)
        before = pipe.is_closed
        await LoopClock().sleep(2)

        assert (before, pipe.is_closed) == (False, True)

    run_virtual(main())


def test_a_connection_that_is_used_stays_open() -> None:
    async def main() -> None:
        connection, pipe = connect(Echo())
        for _ in range(10):
            await LoopClock().sleep(100)
            connection.data_received(request("GET /x"))
        await settled()

        assert (len(pipe.statuses()), pipe.is_closed) == (10, False)

    run_virtual(main())


@pytest.mark.parametrize(
    ("piece", "pause_s", "status"),
    [(b"a" * 1000, 0, 431), (b"a", 1, 408)],
    ids=["too-long", "too-slow"],
)
def test_a_head_that_does_not_end_is_refused(piece: bytes, pause_s: float, status: int) -> None:
    async def main() -> None:
        connection, pipe = connect(Echo())
        connection.data_received(b"GET /x HTTP/1.1\r\nX-Long: ")
        for _ in range(40):
            connection.data_received(piece)
            await LoopClock().sleep(pause_s)

        assert (pipe.statuses(), pipe.is_closed) == ([status], True)

    run_virtual(main())


def test_a_defect_of_the_host_is_500_and_the_connection_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(call: HttpCall) -> HttpAnswer:
        raise RuntimeError("defect")

    async def main() -> None:
        connection, pipe = connect(broken)
        connection.data_received(request("GET /x") + request("GET /y"))
        await settled()

        assert pipe.statuses() == [500, 500]

    run_virtual(main())
    assert "GET /x failed in the host" in caplog.text


def test_a_function_that_cancels_itself_is_500_and_the_connection_goes_on() -> None:
    async def cancels(call: HttpCall) -> HttpAnswer:
        raise asyncio.CancelledError

    async def main() -> None:
        connection, pipe = connect(cancels)
        connection.data_received(request("GET /x") + request("GET /y"))
        await settled()

        assert (pipe.statuses(), pipe.is_closed) == ([500, 500], False)

    run_virtual(main())


def test_the_date_is_that_of_the_answer() -> None:
    async def main() -> None:
        connection, pipe = connect(Echo())
        dates = set()
        for _ in range(3):
            connection.data_received(request("GET /x"))
            await LoopClock().sleep(2)
            dates |= {headers["date"] for _, headers, _ in pipe.answers()}

        assert len(dates) == 3

    run_virtual(main())
