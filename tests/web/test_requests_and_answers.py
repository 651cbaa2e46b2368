"""What every route does with what is sent: limits, unknown fields, keys, etags, trace ids."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import azure.durable_functions as df
import azure.functions as func
import pytest
from pydantic import Field

from local_host.host import HostSettings
from local_host.model import App, HttpAnswer, HttpCall
from shared.contracts.shape import Command
from shared.kernel.errors import Conflict, Unavailable, Violation
from shared.kernel.errors import Invalid as InvalidRequest
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import Put
from shared.persistence.store import Partition
from shared.triggers.http_triggers import bind_routes
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from shared.web.request import Answer, Request, accepted, answered, ok
from shared.web.routes import BODY_MAX_BYTES, get, post, put
from tests.kit.hosting import hosting
from tests.kit.service import Bench, bench
from tests.kit.virtual_time import run_virtual

PARTITION = Partition("acme", "abcdefghijkl")


class MakeThing(Command):
    name: str = Field(max_length=20)
    size: int = Field(ge=1, default=1)


async def post_thing(request: Request[MakeThing], app: Bench) -> Answer:
    """Make a thing, or make it again with one more."""

    def decide(view: View) -> Decision[Json]:
        body = view.body("thing")
        made = 1 if body is None else body["made"] + 1
        return Decision({"made": made}, writes=[Put("thing", {"type": "thing", "made": made})])

    outcome = await app.service.work.commit(request.ctx, PARTITION, ["thing"], decide)
    return accepted(
        {**outcome.value, "traceId": request.ctx.cause.trace_id},
        "op-1",  # type: ignore[arg-type]
        "/v1/things/thing",
        is_repeat=outcome.is_repeat,
    )


async def get_thing(request: Request[None], app: Bench) -> Answer:
    document = await app.service.store.read(PARTITION, "thing")
    assert document is not None
    return ok({"made": document.body["made"]}, etag=document.etag)


CONTINUATION = '[{"token":"+RID:~ab#RT:1","range":{"min":"","max":"FF"}}]&top=9'
"""As Cosmos DB gives them, with every character that a query means something else by."""


async def get_things(request: Request[None], app: Bench) -> Answer:
    top = request.number("top", 5, least=1, most=9)
    given = request.query.get("continuation")
    return ok({"top": top, "continuation": given, "nextLink": request.next_link(CONTINUATION)})


async def put_bytes(request: Request[None], app: Bench) -> Answer:
    return ok({"length": len(request.content)})


async def post_slow(request: Request[None], app: Bench) -> Answer:
    await app.service.clock.sleep(request.number("for", 60, least=0, most=60))
    return ok({})


async def post_broken(request: Request[None], app: Bench) -> Answer:
    raise RUNNERS[request.query["how"]]


RUNNERS: Mapping[str, Exception] = {
    "refused": Conflict("it is held", code="Held", target="/name"),
    "violations": InvalidRequest(
        "no", details=[Violation("OutOfBounds", "/size", "too small", "at least 1", "0")]
    ),
    "away": Unavailable("the store is away", retry_after_s=2.2),
    "throttled": Unavailable("slower", retry_after_s=7, throttled=True),
    "defect": KeyError("a secret of ours"),
}
ROUTES = (
    post("v1/things", post_thing, "runtime.environments.write", body=MakeThing),
    get("v1/things/{thingId}", get_thing, "runtime.environments.read"),
    get("v1/lists", get_things, "runtime.environments.read", query=("top", "of", "continuation")),
    get(
        "v1/followed", get_things, "runtime.configurations.read", name="get_followed",
        is_followed=True,
    ),
    get("v1/beside", get_things, "runtime.configurations.read", name="get_beside"),
    put(
        "v1/bytes", put_bytes, "runtime.environments.write", takes_bytes=True, status=200,
        body_max_bytes=2_000_000,
    ),
    put(
        "v1/told/{thingId}", put_bytes, None, name="put_told", takes_bytes=True, status=200,
    ),
    post("v1/slow", post_slow, "runtime.environments.write", status=200, query=("for",)),
    post("v1/broken", post_broken, "runtime.environments.write", query=("how",)),
)  # fmt: skip


class Caller:
    """Sends requests to the routes above, as an admin of acme."""

    def __init__(self, host: Any, issuer: LocalIssuer, at: Bench) -> None:
        self.host, self.at = host, at
        self._issuer = issuer
        self._token = issuer.token("acme", "ann", ["Runtime.Admin"])

    def of(self, tenant: str) -> "Caller":
        """Return the admin of *tenant*."""
        other = Caller(self.host, self._issuer, self.at)
        other._token = self._issuer.token(tenant, "ann", ["Runtime.Admin"])
        return other

    def workload(self) -> "Caller":
        """Return a workload of acme, by its own token."""
        other = Caller(self.host, self._issuer, self.at)
        other._token = self._issuer.workload_token("acme", "env-abcdefghijkl", "module-web")
        return other

    async def __call__(
        self, method: str, url: str, body: Any = b"", /, **headers: str
    ) -> HttpAnswer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer: HttpAnswer = await self.host.handle(self._call(method, url, content, headers))
        return answer

    async def check(self, method: str, url: str, /, **headers: str) -> HttpAnswer | None:
        refusal: HttpAnswer | None = await self.host.check_head(
            self._call(method, url, b"", headers)
        )
        return refusal

    def _call(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> HttpCall:
        path, _, query = url.partition("?")
        sent = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if not sent["authorization"]:
            del sent["authorization"]
        return HttpCall(method, path, query, tuple(sent.items()), body)


def served(act: Callable[[Caller], Awaitable[None]], tmp_path: Any, **settings: str) -> None:
    async def main() -> None:
        at = bench(
            "environments", settings={"RUNTIME_ISSUER_KEYS": f"{tmp_path}/jwks.json", **settings}
        )
        issuer = LocalIssuer(tmp_path, DEV_ISSUER, AUDIENCE, at.service.clock, at.service.entropy)
        app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
        blueprint = df.Blueprint()
        bind_routes(blueprint, ROUTES, at, at.service)
        app.register_functions(blueprint)
        host_json = {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}
        one = App("app", register=app, host_json=host_json)
        async with hosting(one, settings=HostSettings(threads=0, environ={})) as host:
            await act(Caller(host, issuer, at))

    run_virtual(main())


def error(answer: HttpAnswer) -> Any:
    return json.loads(answer.body)["error"]


def header(answer: HttpAnswer, name: str) -> str | None:
    return next((value for key, value in answer.headers if key.lower() == name), None)


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "Invalid"),
    "no-json": (b"{", "Invalid"),
    "an-array": (b"[]", "Invalid"),
    "unknown-field": (b'{"name": "a", "colour": "red"}', "Invalid"),
    "snake-case-twin": (b'{"name": "a", "Size": 1}', "Invalid"),
    "text-for-a-number": (b'{"name": "a", "size": "5"}', "Invalid"),
    "out-of-bounds": (b'{"name": "a", "size": 0}', "Invalid"),
    "missing": (b'{"size": 1}', "Invalid"),
    "null": (b'{"name": null}', "Invalid"),
    "too-deep": (b'{"name": ' + b"[" * 100 + b"]" * 100 + b"}", "TooDeep"),
    "deeper-than-any-stack": (b"[" * 500_000, "TooDeep"),
    "not-utf-8": (b'{"name": "\xff"}', "Invalid"),
}


@pytest.mark.parametrize("url", ["/v1/things", "/v1/bytes"])
def test_a_body_that_the_host_dropped_is_asked_for_with_its_length(url: str, tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        method = "PUT" if url.endswith("bytes") else "POST"
        answer = await call(method, url, b"", transfer_encoding="chunked")

        assert (answer.status, error(answer)["code"]) == (411, "LengthRequired")

    served(act, tmp_path)


HEADS: Mapping[str, tuple[Mapping[str, str], int]] = {
    "no-token": ({"authorization": ""}, 401),
    "a-bad-token": ({"authorization": "Bearer x.y.z"}, 401),
    "too-long-for-the-route": ({"content_length": "3000000"}, 413),
    "as-long-as-may-be": ({"content_length": "2000000"}, 0),
}


@pytest.mark.parametrize(("headers", "status"), HEADS.values(), ids=HEADS.keys())
def test_a_long_body_is_refused_by_its_head(
    headers: Mapping[str, str], status: int, tmp_path: Any
) -> None:
    async def act(call: Caller) -> None:
        refusal = await call.check("PUT", "/v1/bytes", **headers)

        assert (0 if refusal is None else refusal.status) == status

    served(act, tmp_path)


def test_a_body_in_chunks_reaches_its_function(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call("PUT", "/v1/bytes", b"abc", transfer_encoding="chunked")

        assert json.loads(answer.body) == {"length": 3}

    served(act, tmp_path)


@pytest.mark.parametrize(("body", "code"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_400_and_says_where_and_what(body: bytes, code: str, tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call("POST", "/v1/things", body)

        assert answer.status == 400
        assert error(answer)["code"] == header(answer, "x-ms-error-code") == code
        assert {"code", "target", "expected", "received"} <= set(error(answer)["details"][0])

    served(act, tmp_path)


def test_an_unknown_or_repeated_query_parameter_is_400(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        unknown = await call("GET", "/v1/lists?colour=red")
        twice = await call("GET", "/v1/lists?top=1&top=2")
        many = await call("GET", "/v1/lists?" + "&".join(f"a{n}=1" for n in range(99)))
        bounds = [
            await call("GET", f"/v1/lists?top={text}") for text in ("0", "10", "x", "-1", "²")
        ]

        assert error(unknown)["code"] == "UnknownParameter"
        assert error(unknown)["details"][0]["expected"] == "top, of, continuation"
        assert error(twice)["code"] == "RepeatedParameter"
        assert [answer.status for answer in (unknown, twice, many, *bounds)] == [400] * 8
        assert error(bounds[0])["details"][0]["received"] == "0"

    served(act, tmp_path)


def test_a_body_where_none_is_taken_is_400(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call("POST", "/v1/broken?how=refused", {"name": "a"})

        assert (answer.status, error(answer)["code"]) == (400, "UnexpectedBody")

    served(act, tmp_path)


def test_a_body_over_the_limit_is_413_and_at_the_limit_is_not(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        over = await call("POST", "/v1/things", b" " * (BODY_MAX_BYTES + 1))
        at = await call("POST", "/v1/things", b'{"name": "a"}'.ljust(BODY_MAX_BYTES))
        more = await call("PUT", "/v1/bytes", b"x" * 2_000_000)
        too_many = await call("PUT", "/v1/bytes", b"x" * 2_000_001)

        assert [each.status for each in (over, at, more, too_many)] == [413, 202, 200, 413]

    served(act, tmp_path)


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "multipart/form-data", "json"])
def test_another_media_type_is_415(media: str, tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call("POST", "/v1/things", {"name": "a"}, content_type=media)

        assert (answer.status, error(answer)["code"]) == (415, "UnsupportedMediaType")

    served(act, tmp_path)


def test_the_link_of_the_next_page_is_absolute_and_keeps_the_query(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call("GET", "/v1/lists?top=3&of=x%20y")

        link = urlsplit(json.loads(answer.body)["nextLink"])
        assert (link.scheme, link.netloc, link.path) == ("http", "127.0.0.1", "/v1/lists")
        assert parse_qs(link.query) == {
            "top": ["3"], "of": ["x y"], "continuation": [CONTINUATION],
        }  # fmt: skip

    served(act, tmp_path)


def test_a_continuation_comes_back_as_it_was_given(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        link = urlsplit(json.loads((await call("GET", "/v1/lists")).body)["nextLink"])
        second = await call("GET", f"{link.path}?{link.query}")

        assert json.loads(second.body)["continuation"] == CONTINUATION

    served(act, tmp_path)


def test_each_family_of_errors_has_its_status_code_and_headers(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        found = {how: await call("POST", f"/v1/broken?how={how}") for how in RUNNERS}

        statuses = {how: answer.status for how, answer in found.items()}
        assert statuses == {
            "refused": 409, "violations": 400, "away": 503, "throttled": 429, "defect": 500,
        }  # fmt: skip
        assert error(found["refused"])["target"] == "/name"
        assert error(found["violations"])["details"][0]["target"] == "/size"
        assert header(found["away"], "retry-after") == "3"
        assert header(found["throttled"], "retry-after") == "7"
        assert all(error(each)["traceId"] == header(each, "x-traceid") for each in found.values())

    served(act, tmp_path)


def test_a_defect_shows_its_trace_id_and_nothing_of_ours(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call("POST", "/v1/broken?how=defect", x_traceid="trace-abc")

        assert b"secret" not in answer.body
        assert b"KeyError" not in answer.body
        assert "trace-abc" in error(answer)["message"]

    served(act, tmp_path)


def test_problem_json_is_given_to_who_asks_for_it(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call(
            "POST", "/v1/broken?how=violations", accept="application/problem+json, */*"
        )

        problem = json.loads(answer.body)
        assert header(answer, "content-type") == "application/problem+json"
        assert (problem["status"], problem["title"]) == (400, "Invalid")
        assert problem["errors"][0]["target"] == "/size"

    served(act, tmp_path)


def test_the_same_key_again_gets_the_first_answer_and_says_so(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        first, again = [
            await call("POST", "/v1/things", {"name": "a"}, idempotency_key="k") for _ in range(2)
        ]
        other_key = await call("POST", "/v1/things", {"name": "a"}, idempotency_key="l")

        assert json.loads(again.body)["made"] == json.loads(first.body)["made"] == 1
        assert header(first, "repeatability-result") is None
        assert header(again, "repeatability-result") == "accepted"
        assert json.loads(other_key.body)["made"] == 2

    served(act, tmp_path)


def test_the_same_key_with_another_body_is_409(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        await call("POST", "/v1/things", {"name": "a"}, idempotency_key="k")
        answer = await call("POST", "/v1/things", {"name": "b"}, idempotency_key="k")

        assert (answer.status, error(answer)["code"]) == (409, "IdempotencyKeyReused")

    served(act, tmp_path)


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb"], ids=["empty", "long", "control"])
def test_a_key_that_is_none_is_400(key: str, tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answer = await call("POST", "/v1/things", {"name": "a"}, idempotency_key=key)

        assert (answer.status, error(answer)["target"]) == (400, "Idempotency-Key")

    served(act, tmp_path)


def test_without_a_key_each_request_counts(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        made = [
            json.loads((await call("POST", "/v1/things", {"name": "a"})).body)["made"] for _ in "ab"
        ]

        assert made == [1, 2]

    served(act, tmp_path)


def test_a_lost_update_is_412(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        await call("POST", "/v1/things", {"name": "a"})
        etag = header(await call("GET", "/v1/things/thing"), "etag") or ""
        statuses = [
            (await call("POST", "/v1/things", {"name": "a"}, if_match=sent)).status
            for sent in (f"W/{etag}", etag, etag, "*", '"other"')
        ]

        assert etag.startswith('"')
        assert statuses == [412, 202, 412, 202, 412]

    served(act, tmp_path)


def test_one_etag_of_a_list_lets_the_request_through(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        await call("POST", "/v1/things", {"name": "a"})
        etag = header(await call("GET", "/v1/things/thing"), "etag") or ""
        answer = await call("POST", "/v1/things", {"name": "a"}, if_match=f'"other", {etag}')

        assert answer.status == 202

    served(act, tmp_path)


def test_any_etag_needs_something_that_exists(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        assert (await call("POST", "/v1/things", {"name": "a"}, if_match="*")).status == 412

    served(act, tmp_path)


def test_none_match_creates_only(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        async def status(sent: str) -> int:
            return (await call("POST", "/v1/things", {"name": "a"}, if_none_match=sent)).status

        created, again = await status("*"), await status("*")
        etag = header(await call("GET", "/v1/things/thing"), "etag") or ""
        same, weak, other = await status(etag), await status(f"W/{etag}"), await status('"other"')

        assert (created, again, same, weak, other) == (202, 412, 412, 412, 202)

    served(act, tmp_path)


def test_a_repeat_of_what_was_created_gets_its_first_answer(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        sent = {"if_none_match": "*", "idempotency_key": "key"}
        answers = [await call("POST", "/v1/things", {"name": "a"}, **sent) for _ in range(2)]

        assert [answer.status for answer in answers] == [202, 202]

    served(act, tmp_path)


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("sent", ["", "5", "'5'", '"5', '"5" "6"', '"5",', '*, "5"'])
def test_what_is_no_etag_is_400(sent: str, name: str, tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        headers = {name.lower().replace("-", "_"): sent}
        answer = await call("POST", "/v1/things", {"name": "a"}, **headers)

        assert (answer.status, error(answer)["target"]) == (400, name)

    served(act, tmp_path)


def test_what_the_caller_has_already_is_304_without_a_body(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        await call("POST", "/v1/things", {"name": "a"})
        etag = header(await call("GET", "/v1/things/thing"), "etag") or ""
        known = [
            await call("GET", "/v1/things/thing", if_none_match=sent)
            for sent in (etag, f"W/{etag}", f'"other", {etag}', "*", '"other"')
        ]

        assert [(each.status, bool(each.body)) for each in known] == [
            *[(304, False)] * 4, (200, True),
        ]  # fmt: skip
        assert header(known[0], "etag") == etag

    served(act, tmp_path)


HEX = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACES = {
    "ours": ({"x_traceid": "trace-abc"}, "trace-abc"),
    "w3c": ({"traceparent": f"00-{HEX}-00f067aa0ba902b7-01"}, f"trace-{HEX}"),
    "ours-before-w3c": (
        {"x_traceid": "trace-abc", "traceparent": f"00-{HEX}-00f067aa0ba902b7-01"},
        "trace-abc",
    ),
    "zeros": ({"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"}, None),
    "version-ff": ({"traceparent": f"ff-{HEX}-00f067aa0ba902b7-01"}, None),
    "no-hex": ({"traceparent": f"00-{'z' * 32}-00f067aa0ba902b7-01"}, None),
    "injection": ({"x_traceid": "trace-a\r\nset-cookie: b"}, None),
    "too-long": ({"x_traceid": "trace-" + "a" * 65}, None),
    "another-prefix": ({"x_traceid": "corr-abc"}, None),
}


@pytest.mark.parametrize(("headers", "expected"), TRACES.values(), ids=TRACES.keys())
def test_a_trace_id_is_taken_from_the_caller_if_it_is_one(
    headers: dict[str, str], expected: str | None, tmp_path: Any
) -> None:
    async def act(call: Caller) -> None:
        answer = await call("POST", "/v1/things", {"name": "a"}, **headers)

        shown = header(answer, "x-traceid") or ""
        assert json.loads(answer.body)["traceId"] == shown
        assert shown == expected if expected else shown[6:].isalnum() and len(shown) == 38

    served(act, tmp_path)


def test_a_correlation_id_goes_back_as_it_came(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        named = await call("GET", "/v1/lists", x_correlation_id="corr-7")
        drawn = await call("GET", "/v1/lists", x_correlation_id="mine")

        assert header(named, "x-correlation-id") == "corr-7"
        assert (header(drawn, "x-correlation-id") or "").startswith("corr-")

    served(act, tmp_path)


def test_a_tenant_over_its_rate_is_429_with_when_to_come_back(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        answers = [await call("GET", "/v1/lists") for _ in range(5)]
        await call.at.service.clock.sleep(0.5)
        later = await call("GET", "/v1/lists")

        assert [each.status for each in answers] == [200, 200, 200, 429, 429]
        assert error(answers[3])["code"] == "TooManyRequests"
        assert header(answers[3], "retry-after") == "1"
        assert later.status == 200

    served(act, tmp_path, RUNTIME_RATE_PER_S="2", RUNTIME_RATE_BURST="3")


def test_writes_have_a_rate_of_their_own_and_reads_go_on(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        writes = [await call("POST", "/v1/things", {"name": "a"}) for _ in range(4)]
        read = await call("GET", "/v1/lists")
        await call.at.service.clock.sleep(0.5)
        later = await call("POST", "/v1/things", {"name": "a"})

        assert [each.status for each in writes] == [202, 202, 202, 429]
        assert error(writes[3])["message"].startswith("over 2 writes a second")
        assert (read.status, later.status) == (200, 202)

    served(act, tmp_path, RUNTIME_WRITES_PER_S="2", RUNTIME_WRITES_BURST="3")


def test_followers_have_a_rate_of_their_own_and_take_nothing_from_others(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        followed = [await call("GET", "/v1/followed") for _ in range(5)]
        reads = [await call("GET", "/v1/lists") for _ in range(3)]
        await call.at.service.clock.sleep(0.5)
        later = await call("GET", "/v1/followed")

        assert [each.status for each in followed] == [200, 200, 200, 429, 429]
        assert error(followed[3])["message"].startswith("over 2 follows a second")
        assert [each.status for each in reads] == [200, 200, 429]
        assert later.status == 200

    served(
        act, tmp_path, RUNTIME_FOLLOWS_PER_S="2", RUNTIME_FOLLOWS_BURST="3",
        RUNTIME_RATE_PER_S="1", RUNTIME_RATE_BURST="2",
    )  # fmt: skip


def test_a_workload_asks_what_workloads_follow_and_nothing_else(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        workload = call.workload()
        followed = await workload("GET", "/v1/followed")
        others = [
            await workload("GET", "/v1/beside"),
            await workload("GET", "/v1/lists"),
            await workload("POST", "/v1/things", {"name": "a"}),
        ]
        uploaded = await workload.check("PUT", "/v1/bytes", content_length="10")

        assert followed.status == 200
        assert [each.status for each in others] == [403] * 3
        assert {error(each)["code"] for each in others} == {"ScopeMissing"}
        assert uploaded is not None
        assert uploaded.status == 403

    served(act, tmp_path)


def test_a_long_body_is_counted_by_its_size_before_it_is_read(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        asked = [await call.check("PUT", "/v1/bytes", content_length="2000000") for _ in range(8)]

        assert [each and each.status for each in asked] == [None] * 6 + [429] * 2

    served(act, tmp_path, RUNTIME_WRITES_PER_S="1", RUNTIME_WRITES_BURST="3")


def test_long_bodies_of_strangers_count_for_what_they_are_sent_to(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        stranger = {"authorization": "", "content_length": "1000000"}
        asked = [await call.check("PUT", "/v1/told/a", **stranger) for _ in range(14)]
        other = await call.check("PUT", "/v1/told/b", **stranger)

        assert [each and each.status for each in asked] == [None] * 12 + [429] * 2
        assert other is None

    served(act, tmp_path, RUNTIME_WRITES_PER_S="1", RUNTIME_WRITES_BURST="3")


def test_a_body_of_unknown_length_counts_as_the_longest(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        asked = [await call.check("PUT", "/v1/bytes") for _ in range(8)]

        assert [each and each.status for each in asked] == [None] * 6 + [429] * 2

    served(act, tmp_path, RUNTIME_WRITES_PER_S="1", RUNTIME_WRITES_BURST="3")


def test_a_tenant_with_many_writes_under_way_leaves_places_to_others(tmp_path: Any) -> None:
    async def act(call: Caller) -> None:
        many = [asyncio.ensure_future(call("POST", "/v1/slow")) for _ in range(40)]
        await call.at.service.clock.sleep(1)
        began_s = call.at.service.clock.monotonic_s()
        other = await call.of("globex")("POST", "/v1/slow?for=0")
        took_s = call.at.service.clock.monotonic_s() - began_s
        await asyncio.gather(*many)

        assert (other.status, took_s) == (200, 0)

    served(act, tmp_path)


def test_a_command_that_is_done_at_once_is_answered_with_where_and_whether_again() -> None:
    first = answered(Outcome({"a": 1}))
    again = answered(Outcome({"a": 1}, is_repeat=True), status=202, location="/things/1")

    assert (first.status, first.headers) == (200, {})
    assert again.status == 202
    assert again.headers == {"Location": "/things/1", "Repeatability-Result": "accepted"}
