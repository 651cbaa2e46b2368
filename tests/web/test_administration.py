"""What every app serves about itself: operations, parked messages, audit, events, health."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest

import shared.kernel.operation as operations
from local_cloud.sqlite.database import Database
from local_cloud.sqlite.store import SqliteStore
from local_host.host import HostSettings
from local_host.model import App, HttpAnswer, HttpCall
from shared.contracts.operations import Operation as Published
from shared.contracts.shape import Command
from shared.contracts.validation import parse
from shared.contracts.values import Reason
from shared.durable.abandon import Freed
from shared.durable.abandon import abandon as abandon_operation
from shared.durable.operations import OPERATIONS
from shared.kernel.clock import isoformat
from shared.kernel.context import Context, Scope
from shared.kernel.errors import Conflict, Unavailable
from shared.kernel.ids import TenantId
from shared.kernel.operation import Operation
from shared.messaging.dispatcher import Dispatcher, HandlerTable, Received
from shared.messaging.outbox import Audited, Publish
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.codec import Put
from shared.persistence.store import Create, Partition
from shared.triggers.http_triggers import bind_routes
from shared.web import openapi
from shared.web.administration import Administration, OperationControl, cooperative_cancel
from shared.web.administration_routes import administration_routes
from shared.web.health_routes import get_alive, get_health
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from shared.web.operation_routes import render
from shared.web.request import Request
from shared.web.store_check import VALID_S
from tests.kit.hosting import hosting
from tests.kit.service import Bench, bench
from tests.kit.small_disk import fill, small_disk
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import an_envelope, counted

KEY = "abcdefghijkl"
HOME = Partition("acme", KEY)
ROOT = "/v1/platform/environments"


class DoThing(Command):
    size: int


class Handled:
    """A handler that refuses until it is told otherwise."""

    def __init__(self) -> None:
        self.is_refusing = True
        self.done: list[int] = []

    async def do_thing(self, payload: DoThing, _ctx: Context, _app: Any) -> None:
        if self.is_refusing:
            raise Conflict("not now", code="NotNow")
        self.done.append(payload.size)


class Desk:
    """Calls the routes of one service, and does to the service what time and others would."""

    def __init__(self, host: Any, issuer: LocalIssuer, at: Bench, handled: Handled) -> None:
        self.host, self.issuer, self.at, self.handled = host, issuer, at, handled
        table: HandlerTable = {DoThing: handled.do_thing}
        service = at.service
        self.dispatcher = Dispatcher(table, None, service.work, service.clock, service.entropy)

    async def call(
        self, method: str, path: str, *, roles: Sequence[str] = ("Runtime.Admin",),
        tenant: str = "acme", is_known: bool = True, **headers: str,
    ) -> tuple[int, Any, dict[str, str]]:  # fmt: skip
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if is_known:
            sent["authorization"] = f"Bearer {self.issuer.token(tenant, 'ann', roles)}"
        where, _, query = path.partition("?")
        call = HttpCall(method, f"{ROOT}{where}", query, tuple(sent.items()), b"")
        answer: HttpAnswer = await self.host.handle(call)
        body = json.loads(answer.body) if answer.body else None
        return int(answer.status), body, {name.lower(): value for name, value in answer.headers}

    async def keep(self, operation: Operation) -> None:
        put = OPERATIONS.put(operation)
        await self.at.service.store.batch(HOME, [Create(put.id, put.body)])

    async def end(self, operation: Operation, after_s: float) -> None:
        service = self.at.service
        await service.clock.sleep(after_s)
        ended = OPERATIONS.put(operation.succeed({"n": 1}, service.clock.now()))
        decision: Decision[Json] = Decision({}, writes=[ended])
        await service.work.commit(self.at.ctx(), HOME, [ended.id], lambda _: decision)

    async def stored(self, operation: Operation) -> Operation:
        document_id = OPERATIONS.document_id(operation.operation_id)
        document = await self.at.service.store.read(HOME, document_id)
        assert document is not None
        return OPERATIONS.decode(document.body)

    async def relay_left_behind(self) -> None:
        await self.at.service.clock.sleep(20)
        await self.at.service.relay.sweep()

    def operation(self, number: int = 1, **changes: Any) -> Operation:
        accepted = operations.accept(
            f"op-environments-{KEY}-{number:016d}", "ProvisionEnvironment",
            f"/v1/runtime/environments/env-{KEY}", "user:ann", "environments_apply_environment",
            {}, self.at.service.clock.now(),
        )  # fmt: skip
        return replace(accepted, **changes)

    async def receive(self, body: bytes, tenant: str = "acme") -> None:
        await self.dispatcher(Received(body, "application/json", {"cs-tenant-id": tenant}))


async def abandon(
    operation: Operation, ctx: Context, app: Bench, reason: Reason | None = None
) -> Outcome[Json]:
    """End the operation and free its thing, in one batch."""

    def free(_view: View, _why: Reason) -> Freed:
        return Freed([Put("thing", {"type": "thing", "operation": None})])

    return await abandon_operation(operation, ctx, app, reason, reads=["thing"], free=free)


PROVISIONING = OperationControl(cooperative_cancel, abandon)


def desk(
    act: Callable[[Desk], Awaitable[None]],
    tmp_path: Any,
    controls: Mapping[str, OperationControl] | None = None,
) -> None:
    @asynccontextmanager
    async def opened() -> Any:
        at = bench("environments", settings={"RUNTIME_ISSUER_KEYS": f"{tmp_path}/jwks.json"})
        clock, entropy = at.service.clock, at.service.entropy
        issuer = LocalIssuer(tmp_path, DEV_ISSUER, AUDIENCE, clock, entropy)
        handled = Handled()
        here = Desk(None, issuer, at, handled)
        rows = administration_routes("environments")
        app, blueprint = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS), df.Blueprint()
        document = partial(openapi.document, "environments", rows)
        administration = Administration(
            at.service,
            at,
            here.dispatcher,
            document,
            {"ProvisionEnvironment": PROVISIONING, **(controls or {})},
        )
        bind_routes(blueprint, rows, administration, at.service)
        app.register_functions(blueprint)
        host_json = {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}
        one = App("app", register=app, host_json=host_json)
        async with hosting(one, settings=HostSettings(threads=0, environ={})) as host:
            here.host = host
            yield here

    async def main() -> None:
        async with opened() as here:
            await act(here)

    run_virtual(main())


def test_an_operation_is_shown_with_its_steps_and_listed_by_status(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        running = at.operation().begin_step(
            "apply", at.at.service.clock.now(), percent=30, detail="one of three"
        )
        await at.keep(running)
        await at.keep(at.operation(2))
        _, shown, headers = await at.call("GET", f"/operations/{running.operation_id}")
        _, every, _ = await at.call("GET", "/operations")
        _, some, _ = await at.call("GET", "/operations?status=Running")

        assert (shown["status"], shown["percent"]) == ("Running", 30)
        assert shown["steps"][0]["name"] == "apply"
        assert headers["retry-after"] == "1"
        assert len(every["value"]) == 2
        assert [each["operationId"] for each in some["value"]] == [running.operation_id]

    desk(act, tmp_path)


def test_a_document_that_cannot_be_read_hides_no_other_from_a_list(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        await at.keep(at.operation(1))
        later = OPERATIONS.put(at.operation(2))
        body = {**later.body, "schema": 99}
        await at.at.service.store.batch(HOME, [Create(later.id, body)])
        status, listed, _ = await at.call("GET", "/operations")

        assert status == 200
        assert [each["operationId"] for each in listed["value"]] == [at.operation(1).operation_id]

    desk(act, tmp_path)


def test_a_list_goes_on_where_its_link_says(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        for number in range(5):
            await at.keep(at.operation(number))
        found, path = [], "/operations?top=2"
        while path:
            _, page, _ = await at.call("GET", path)
            found += [each["operationId"] for each in page["value"]]
            path = (page["nextLink"] or "").rpartition(ROOT)[2]

        assert len(found) == len(set(found)) == 5

    desk(act, tmp_path)


def test_a_long_poll_is_answered_when_the_operation_ends(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        operation = at.operation()
        await at.keep(operation)
        ending = asyncio.ensure_future(at.end(operation, 5))
        started_s = at.at.service.clock.monotonic_s()
        _, shown, headers = await at.call("GET", f"/operations/{operation.operation_id}?wait=20")
        await ending

        assert shown["status"] == "Succeeded"
        assert "retry-after" not in headers
        assert 5 <= at.at.service.clock.monotonic_s() - started_s <= 7

    desk(act, tmp_path)


def test_a_long_poll_with_the_known_etag_is_304_when_nothing_happens(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        operation = at.operation()
        await at.keep(operation)
        path = f"/operations/{operation.operation_id}"
        _, _, headers = await at.call("GET", path)
        started_s = at.at.service.clock.monotonic_s()
        status, body, _ = await at.call("GET", f"{path}?wait=3", if_none_match=headers["etag"])

        assert (status, body) == (304, None)
        assert 3 <= at.at.service.clock.monotonic_s() - started_s < 4

    desk(act, tmp_path)


def test_a_cooperative_cancellation_is_asked_once_and_raises_the_event_that_is_waited_for(
    tmp_path: Any,
) -> None:
    async def act(at: Desk) -> None:
        waiting = at.operation().wait("approval", "w-1", at.at.service.clock.now())
        await at.keep(waiting)
        path = f"/operations/{waiting.operation_id}/cancel"
        first = await at.call("POST", path, idempotency_key="k")
        again = await at.call("POST", path, idempotency_key="k")

        assert (first[0], first[1]["cancelRequested"]) == (200, True)
        assert again[2]["repeatability-result"] == "accepted"
        assert at.at.starts.event(waiting.operation_id, "w-1").is_set()

    desk(act, tmp_path)


def test_a_repeated_cancellation_is_recognised_after_the_operation_has_ended(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        operation = at.operation()
        await at.keep(operation)
        path = f"/operations/{operation.operation_id}/cancel"
        await at.call("POST", path, idempotency_key="k")
        await at.end(await at.stored(operation), 1)
        status, shown, headers = await at.call("POST", path, idempotency_key="k")

        assert (status, shown["status"]) == (200, "Succeeded")
        assert headers["repeatability-result"] == "accepted"

    desk(act, tmp_path)


REFUSED_CANCELS: dict[str, tuple[str, OperationControl | None, str]] = {
    "by-its-kind": (
        "DecommissionEnvironment",
        OperationControl("resources are being deleted", abandon),
        "resources are being deleted",
    ),
    "of-an-unknown-kind": ("PaintEnvironment", None, "knows no kind PaintEnvironment"),
}


@pytest.mark.parametrize(
    ("kind", "control", "reason"), REFUSED_CANCELS.values(), ids=REFUSED_CANCELS.keys()
)
def test_a_kind_that_is_not_canceled_is_409_with_the_reason(
    kind: str, control: OperationControl | None, reason: str, tmp_path: Any
) -> None:
    async def act(at: Desk) -> None:
        operation = at.operation(kind=kind)
        await at.keep(operation)
        status, body, _ = await at.call("POST", f"/operations/{operation.operation_id}/cancel")

        assert (status, body["error"]["code"]) == (409, "CancelNotPossible")
        assert reason in body["error"]["message"]
        assert await at.stored(operation) == operation

    desk(act, tmp_path, {kind: control} if control else {})


@pytest.mark.parametrize("verb", ["cancel", "abandon"])
@pytest.mark.parametrize("kind", ["ProvisionEnvironment", "PaintEnvironment"])
def test_an_operation_that_has_ended_is_neither_canceled_nor_abandoned(
    kind: str, verb: str, tmp_path: Any
) -> None:
    async def act(at: Desk) -> None:
        now = at.at.service.clock.now()
        ended = at.operation(kind=kind).fail("Broken", "it broke", now)
        await at.keep(ended)
        status, body, _ = await at.call("POST", f"/operations/{ended.operation_id}/{verb}")

        assert (status, body["error"]["code"]) == (409, "OperationAlreadyEnded")

    desk(act, tmp_path)


def test_an_abandoned_operation_fails_and_its_aggregate_is_free_in_the_same_batch(
    tmp_path: Any,
) -> None:
    async def act(at: Desk) -> None:
        operation = at.operation()
        await at.keep(operation)
        path = f"/operations/{operation.operation_id}/abandon"
        status, shown, _ = await at.call("POST", path)

        assert (status, shown["status"]) == (200, "Failed")
        assert shown["error"] == {"code": "OperationAbandoned", "message": "abandoned by user:ann"}
        assert await at.at.service.store.read(HOME, "thing") is not None

    desk(act, tmp_path)


def test_only_an_administrator_abandons(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        operation = at.operation()
        await at.keep(operation)
        path = f"/operations/{operation.operation_id}/abandon"
        status, body, _ = await at.call("POST", path, roles=["Runtime.Operate"])

        assert (status, body["error"]["code"]) == (403, "ScopeMissing")
        assert not (await at.stored(operation)).is_terminal

    desk(act, tmp_path)


@pytest.mark.parametrize("kind", ["ProvisionEnvironment", "PaintEnvironment"])
def test_an_abandonment_is_audited_also_of_a_kind_that_this_version_does_not_know(
    kind: str, tmp_path: Any
) -> None:
    async def act(at: Desk) -> None:
        operation = at.operation(kind=kind)
        await at.keep(operation)
        await at.call("POST", f"/operations/{operation.operation_id}/abandon")
        await at.relay_left_behind()
        _, audit, _ = await at.call("GET", "/audit")

        assert [(each["actor"], each["action"]) for each in audit["value"]] == [
            ("user:ann", "AbandonOperation")
        ]
        assert (await at.stored(operation)).is_terminal

    desk(act, tmp_path)


@pytest.mark.parametrize("text", ["nonsense", "op-environments-short-1", "env-abcdefghijkl"])
def test_an_id_that_is_none_names_nothing(text: str, tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        status, _, _ = await at.call("GET", f"/operations/{text}")

        assert status == 404

    desk(act, tmp_path)


COMMAND = an_envelope(1, "DoThing", payload={"size": 3})


def test_of_a_message_without_a_readable_tenant_only_digest_and_reason_are_shown(
    tmp_path: Any,
) -> None:
    async def act(at: Desk) -> None:
        other = COMMAND.model_copy(update={"tenant_id": "globex"}).to_json()
        await at.receive(other, tenant="initech")
        _, listed, _ = await at.call("GET", "/parked?unreadable=true")
        (summary,) = listed["value"]
        _, shown, _ = await at.call("GET", f"/parked/{summary['eventId']}")

        assert "globex" not in json.dumps([listed, shown])
        assert (len(summary["eventId"]), shown["code"]) == (64, "TenantMismatch")

    desk(act, tmp_path)


@pytest.mark.parametrize(
    "query",
    ["parked?unreadable=yes", "parked?unreadable=", "operations?status=Done", "operations?status="],
)
def test_a_filter_takes_the_values_that_there_are_and_names_them(query: str, tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        status, answer, _ = await at.call("GET", f"/{query}")

        assert (status, "expected" in answer["error"]["message"]) == (400, True)

    desk(act, tmp_path)


@pytest.mark.parametrize(
    "top", ["1" * 5001, "%D9%A5", "5_0", "+5", "", "0", "1e2"],
    ids=["5001-digits", "arabic-digits", "underscore", "sign", "empty", "zero", "exponent"],
)  # fmt: skip
def test_what_is_no_whole_number_in_its_bounds_is_400(top: str, tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        assert (await at.call("GET", f"/operations?top={top}"))[0] == 400

    desk(act, tmp_path)


def test_a_replay_that_is_repeated_under_its_key_gets_the_first_answer(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        replay, key = f"/parked/{COMMAND.event_id}/replay", {"idempotency_key": "k"}
        await at.receive(COMMAND.to_json())
        refused = await at.call("POST", replay, **key)
        at.handled.is_refusing = False
        first = await at.call("POST", replay, **key)
        again = await at.call("POST", replay, **key)

        assert (refused[0], first[0], again[0]) == (409, 200, 200)
        assert at.handled.done == [3]

    desk(act, tmp_path)


def test_a_message_is_not_replayed_under_the_etag_of_another_version(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        await at.receive(COMMAND.to_json())
        at.handled.is_refusing = False
        stale = await at.call("POST", f"/parked/{COMMAND.event_id}/replay", if_match='"stale"')

        assert (stale[0], at.handled.done) == (412, [])

    desk(act, tmp_path)


def test_a_parked_message_is_listed_shown_and_replayed(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        await at.receive(COMMAND.to_json())
        _, listed, _ = await at.call("GET", "/parked")
        _, shown, _ = await at.call("GET", f"/parked/{COMMAND.event_id}")
        refused = await at.call("POST", f"/parked/{COMMAND.event_id}/replay")
        at.handled.is_refusing = False
        replayed = await at.call("POST", f"/parked/{COMMAND.event_id}/replay")
        _, after, _ = await at.call("GET", "/parked")

        assert [each["code"] for each in listed["value"]] == ["NotNow"]
        assert "envelope" not in listed["value"][0]
        assert shown["envelope"]["payload"] == {"size": 3}
        assert (refused[0], refused[1]["error"]["code"]) == (409, "NotNow")
        assert (replayed[0], at.handled.done, after["value"]) == (200, [3], [])

    desk(act, tmp_path)


def test_what_has_no_readable_tenant_is_for_administrators_only(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        await at.receive(b"garbage")
        _, own, _ = await at.call("GET", "/parked")
        _, unreadable, _ = await at.call("GET", "/parked?unreadable=true")
        event = unreadable["value"][0]["eventId"]
        shown = await at.call("GET", f"/parked/{event}")
        denied = await at.call("GET", "/parked?unreadable=true", roles=["Runtime.Operate"])
        hidden = await at.call("GET", f"/parked/{event}", roles=["Runtime.Operate"])

        assert own["value"] == []
        assert shown[1]["envelope"] is None
        assert (denied[0], hidden[0]) == (403, 404)

    desk(act, tmp_path)


def test_audit_and_events_tell_who_did_what_and_what_left(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        decision: Decision[Json] = Decision(
            {},
            writes=[Put("thing", {"type": "thing"})],
            outbox=[Publish(counted(7))],
            audited=Audited("MakeThing", "thing-1", reason="it was asked for"),
        )
        await at.at.service.work.commit(at.at.ctx(), HOME, ["thing"], lambda _: decision)
        await at.relay_left_behind()
        _, audit, _ = await at.call("GET", "/audit")
        _, events, _ = await at.call("GET", "/events")
        _, none, _ = await at.call("GET", "/events", tenant="globex")
        _, verified, _ = await at.call("GET", "/audit-verification")

        (entry,) = audit["value"]
        assert (entry["actor"], entry["action"], entry["target"]) == (
            "user:ann", "MakeThing", "thing-1",
        )  # fmt: skip
        assert entry["reason"].endswith(": it was asked for")
        assert entry["events"] == ["ThingCounted"]
        assert [each["eventType"] for each in events["value"]] == ["ThingCounted"]
        assert none["value"] == []
        assert verified == {"tenantId": "acme", "status": "Sound", "brokenAt": None}

    desk(act, tmp_path)


def test_an_actor_of_another_tenant_is_in_both_trails_each_with_the_other(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        decision: Decision[Json] = Decision(
            {}, outbox=[Publish(counted(7))], audited=Audited("MakeThing", "thing-1")
        )
        ctx = at.at.ctx(actor_tenant=TenantId("globex"))
        await at.at.service.work.commit(ctx, HOME, [], lambda _: decision)
        await at.relay_left_behind()
        _, own, _ = await at.call("GET", "/audit")
        _, events, _ = await at.call("GET", "/events")
        _, actors, _ = await at.call("GET", "/audit", tenant="globex")
        _, none, _ = await at.call("GET", "/events", tenant="globex")

        (entry,), (other,) = own["value"], actors["value"]
        assert [(each["actor"], each["action"]) for each in (entry, other)] == [
            ("user:ann", "MakeThing")
        ] * 2
        assert (entry["actorTenant"], entry["targetTenant"]) == ("globex", None)
        assert (other["actorTenant"], other["targetTenant"]) == (None, "acme")
        assert [each["actorTenant"] for each in events["value"]] == ["globex"]
        assert none["value"] == other["events"] == []

    desk(act, tmp_path)


async def targets(at: Desk, path: str) -> list[str]:
    """Return the targets of all pages from *path* on."""
    found = []
    while path:
        _, page, _ = await at.call("GET", path)
        found += [each["target"] for each in page["value"]]
        assert page["nextLink"] is None or page["nextLink"].startswith("http://")
        path = (page["nextLink"] or "").rpartition(ROOT)[2]
    return found


async def make_things(at: Desk, count: int) -> None:
    for number in range(count):
        decision: Decision[Json] = Decision(
            {},
            [Put(f"thing-{number}", {"type": "thing"})],
            audited=Audited("Make", f"{number}"),
        )
        await at.at.service.work.commit(at.at.ctx(), HOME, [], lambda _, d=decision: d)
    await at.relay_left_behind()


def test_the_audit_trail_is_paged_by_absolute_links(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        await make_things(at, 5)

        assert sorted(await targets(at, "/audit?top=2")) == ["0", "1", "2", "3", "4"]

    desk(act, tmp_path)


@pytest.mark.parametrize("top", [1, 2, 5, 6])
def test_the_audit_trail_is_read_from_its_end_too(top: int, tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        assert await targets(at, "/audit?before=1") == []
        await make_things(at, 5)
        oldest_first = await targets(at, "/audit")

        assert await targets(at, f"/audit?before=999999999999&top={top}") == oldest_first[::-1]
        assert await targets(at, f"/audit?before=3&top={top}") == oldest_first[1::-1]
        assert await targets(at, "/audit?before=1") == []

    desk(act, tmp_path)


@pytest.mark.parametrize("query", ["before=0", "before=x", "before=5&after=1"])
def test_a_page_that_cannot_be_is_refused_by_name(query: str, tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        status, answer, _ = await at.call("GET", f"/audit?{query}")

        assert (status, answer["error"]["target"]) == (400, "before")

    desk(act, tmp_path)


def test_health_has_the_store_s_only_for_who_is_known(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        status, anonymous, _ = await at.call("GET", "/health", is_known=False)
        _, known, _ = await at.call("GET", "/health")
        bad = await at.call("GET", "/health", is_known=False, authorization="Bearer x")

        assert (status, anonymous["status"], anonymous["entries"]) == (200, "Healthy", {})
        assert known["entries"]["store"]["status"] == "Healthy"
        assert set(known) == {"status", "totalDuration", "entries"}
        assert bad[0] == 401

    desk(act, tmp_path)


def test_a_sweep_that_left_a_document_undone_is_degraded_and_the_app_still_serves(
    tmp_path: Any,
) -> None:
    async def act(at: Desk) -> None:
        service = at.at.service
        unreadable = {"type": "outbox", "kind": "fax", "dueAt": isoformat(service.clock.now())}
        await service.store.batch(HOME, [Create("outbox/0", unreadable)])
        await service.relay.sweep()
        status, health, _ = await at.call("GET", "/health")

        assert (status, health["status"]) == (200, "Degraded")
        assert health["entries"]["sweep_outbox"]["status"] == "Degraded"
        assert "1 documents" in health["entries"]["sweep_outbox"]["description"]

    desk(act, tmp_path)


def test_an_app_whose_store_is_away_is_unhealthy_and_alive(tmp_path: Any) -> None:
    class Away:
        async def batch(self, partition: Partition, operations: object) -> None:
            raise Unavailable("the store is away")

    async def main() -> tuple[int, int]:
        at = bench("environments")
        store: Any = Away()
        app: Any = Administration(replace(at.service, store=store), None, None, dict)  # type: ignore[arg-type]
        nobody: Request[None] = Request(None, at.ctx(Scope(TenantId(""), "anonymous")))
        return (await get_health(nobody, app)).status, (await get_alive(nobody, app)).status

    assert run_virtual(main()) == (503, 200)


@pytest.mark.real
async def test_health_follows_a_disk_that_fills_and_empties(tmp_path: Path) -> None:
    at = bench("environments")
    app = Administration(at.service, None, None, dict)  # type: ignore[arg-type]
    asked: Request[None] = Request(None, at.ctx())

    async def health() -> tuple[int, str]:
        await at.service.clock.sleep(VALID_S)
        answer = await get_health(asked, app)
        body: Any = answer.body
        return answer.status, body["entries"]["store"].get("description", "")

    with small_disk(tmp_path / "disk") as disk:
        database = Database(disk / "d.db")
        store = SqliteStore(database, "environments", at.service.clock)
        app = replace(app, service=replace(at.service, store=store))
        before = await health()
        filler = fill(disk)
        full = await health()
        filler.unlink()
        after = await health()
        database.close()

    assert before == after == (200, "")
    assert full[0] == 503
    assert "the disk is full" in full[1]


def test_callers_who_ask_for_health_at_once_cost_one_write() -> None:
    class Counted:
        batches = 0

        async def batch(self, partition: Partition, operations: object) -> None:
            Counted.batches += 1

    async def main() -> int:
        at = bench("environments")
        store: Any = Counted()
        app: Any = Administration(replace(at.service, store=store), None, None, dict)  # type: ignore[arg-type]
        asked: Request[None] = Request(None, at.ctx())
        await asyncio.gather(*(get_health(asked, app) for _ in range(100)))
        await at.service.clock.sleep(VALID_S)
        await get_health(asked, app)
        return Counted.batches

    assert run_virtual(main()) == 2


def test_the_resource_that_is_answered_is_the_published_one(tmp_path: Any) -> None:
    async def act(at: Desk) -> None:
        begun = at.operation().begin_step("apply", at.at.service.clock.now(), percent=1)
        parse(Published, json.dumps(render(begun)).encode())

    desk(act, tmp_path)
