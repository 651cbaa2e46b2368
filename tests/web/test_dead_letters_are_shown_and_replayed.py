"""What the broker gave up is listed, shown and replayed over HTTP, in the embedded host."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func
import pytest

from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import Queue, QueueSettings, Subscription, Topic, Topology
from local_cloud.cloud import CloudSettings
from local_host.host import Host, HostSettings
from local_host.model import App
from shared.composition.embedded import installed_host
from shared.composition.service import Service
from shared.contracts.entities import RUNTIME_EVENTS, command_queue
from shared.contracts.retention import MESSAGES_KEPT
from shared.contracts.shape import Command
from shared.contracts.values import Service as ServiceName
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, Unavailable
from shared.messaging.broker import OutgoingMessage
from shared.messaging.dead_letters import DeadLetter, DeadLetters, Replay
from shared.messaging.entity_path import subscription_path
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.codec import Put
from shared.persistence.store import Partition
from shared.triggers.service_triggers import Triggers, bind
from shared.web.dead_letters import LOOKED_AT_MAX
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.hosting import ask, hosting
from tests.kit.service import TENANT, Bench, bench
from tests.kit.virtual_time import run_virtual
from tests.messaging.envelopes import ThingCounted, an_envelope

ROOT: Final = "/v1/platform/health/parked"
EVENTS: Final = subscription_path(RUNTIME_EVENTS, "health")
COMMANDS: Final = command_queue(ServiceName.HEALTH)
SETTINGS: Final = QueueSettings(max_delivery_count=2)
TOPOLOGY: Final = Topology(
    topics=(Topic(RUNTIME_EVENTS, (Subscription("health", settings=SETTINGS),)),),
    queues=(Queue(COMMANDS, SETTINGS),),
)
NOT_LISTENING: Final = {
    f"AzureWebJobs.health_{each}.Disabled": "true" for each in ("on_runtime_event", "on_command")
}
HOST_JSON: Final = {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}


class DoThing(Command):
    size: int


class ForgottenThing(Command):
    """A command that nobody handles any more."""


class Dying:
    """Dead letters whose process dies so often between the handling and the removal."""

    def __init__(self, inner: DeadLetters, deaths: int) -> None:
        self._inner = inner
        self.page = inner.page
        self.deaths = deaths

    async def replay(self, entity: str, sequence_number: int, handle: Replay) -> bool:
        async def die(letter: DeadLetter) -> None:
            await handle(letter)
            if self.deaths:
                self.deaths -= 1
                raise Unavailable("the process died")

        return await self._inner.replay(entity, sequence_number, die)


class Aged:
    """Dead letters that were sent just before what is remembered: thirty days are long to wait."""

    def __init__(self, inner: DeadLetters) -> None:
        self._inner = inner
        self.replay = inner.replay

    async def page(self, entity: str, *, after: int = 0, limit: int = 100) -> Sequence[DeadLetter]:
        sent_before = MESSAGES_KEPT + timedelta(seconds=1)
        letters = await self._inner.page(entity, after=after, limit=limit)
        return [replace(each, enqueued_at=each.enqueued_at - sent_before) for each in letters]


@dataclass
class Things:
    """A service's app: counts what it handles in its store, and fails as told."""

    service: Service
    problem: Exception | None = None
    handled: list[str] = field(default_factory=list)

    async def handle(self, _payload: Any, ctx: Context, _app: Any) -> None:
        self.handled.append(ctx.tenant)
        if self.problem:
            raise self.problem

        def decide(view: View) -> Decision[Json]:
            count = (view.body("thing") or {"count": 0})["count"] + 1
            return Decision({}, [Put("thing", {"type": "thing", "count": count})])

        await self.service.work.commit(ctx, Partition(ctx.tenant, "k"), ["thing"], decide)

    async def count(self, tenant: Any = "acme") -> int:
        document = await self.service.store.read(Partition(tenant, "k"), "thing")
        return 0 if document is None else int(document.body["count"])


@dataclass
class Desk:
    """Calls the routes of one service in a host, whose broker has dead letters."""

    host: Host
    broker: Broker
    at: Bench
    app: Things
    issuer: LocalIssuer

    async def call(
        self, method: str, path: str = "", *, tenant: str = "acme",
        roles: Sequence[str] = ("Runtime.Operate",), **headers: str,
    ) -> tuple[int, Any]:  # fmt: skip
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["authorization"] = f"Bearer {self.issuer.token(tenant, 'ann', roles)}"
        answer = await ask(self.host, method, f"{ROOT}{path}", headers=sent)
        return int(answer.status), json.loads(answer.body)

    async def listed(self, query: str = "", **caller: Any) -> list[dict[str, Any]]:
        """Return what all pages show."""
        found, path = [], f"?deadLettered=true{query}"
        while path:
            status, page = await self.call("GET", path, **caller)
            assert status == 200, page
            found += page["value"]
            path = (page["nextLink"] or "").rpartition(ROOT)[2]
        return found

    async def give_up(
        self, *messages: OutgoingMessage, path: str = EVENTS, entity: str = RUNTIME_EVENTS
    ) -> None:
        await self.broker.send(entity, messages)
        for received in await self.broker.lock(path, len(messages)):
            await self.broker.dead_letter(received, "Defect", "KeyError: 'weight'")

    def dead(self) -> list[int]:
        counts = self.broker.counts()
        return [counts[path][1] for path in counts]


def message(
    number: int = 1, *, tenant: str = "acme", kind: str = "ThingCounted"
) -> OutgoingMessage:
    envelope = an_envelope(number, kind, tenant_id=tenant)
    if kind == "DoThing":
        envelope = an_envelope(number, kind, tenant_id=tenant, payload={"size": 3})
    return OutgoingMessage(
        envelope.to_json(), envelope.event_id, application_properties=envelope.properties()
    )


def garbage(**properties: str) -> OutgoingMessage:
    return OutgoingMessage(b"garbage", "id-garbage", application_properties=properties)


def desk(
    act: Callable[[Desk], Awaitable[None]], folder: Path, *,
    values: Mapping[str, str] = NOT_LISTENING, is_dying: bool = False,
    wrapped: Callable[[DeadLetters], DeadLetters] = lambda letters: letters,
) -> None:  # fmt: skip
    def opened() -> DeadLetters:
        return letters[0]

    letters: list[DeadLetters] = []

    @asynccontextmanager
    async def started() -> Any:
        at = bench("health", settings={"RUNTIME_ISSUER_KEYS": f"{folder}/jwks.json"})
        service = replace(at.service, dead_letters=opened)
        issuer = LocalIssuer(folder, DEV_ISSUER, AUDIENCE, service.clock, service.entropy)
        app = Things(service)
        triggers = Triggers(events={ThingCounted: app.handle}, commands={DoThing: app.handle})
        functions = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
        functions.register_functions(bind(triggers, app))
        one = App("health", register=functions, host_json=HOST_JSON, values=values)
        settings = HostSettings(threads=0, environ={}, cloud=CloudSettings(TOPOLOGY))
        async with hosting(one, settings=settings) as host:
            offered: Any = installed_host()
            letters.append(wrapped(Dying(offered.dead_letters, int(is_dying))))
            yield Desk(host, offered.sender, at, app, issuer)

    async def main() -> None:
        async with started() as here:
            await act(here)

    run_virtual(main())


def test_what_its_deliveries_used_up_is_shown_and_handled_after_the_repair(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        at.app.problem = KeyError("weight")
        await at.broker.send(RUNTIME_EVENTS, [message()])
        while not at.dead()[0]:
            await at.at.service.clock.sleep(1)
        (letter,) = await at.listed()
        failed = await at.call("POST", f"/{letter['eventId']}/replay")
        at.app.problem = None
        status, answer = await at.call("POST", f"/{letter['eventId']}/replay")

        assert (letter["place"], letter["code"]) == ("DeadLettered", "MaxDeliveryCountExceeded")
        assert (letter["messageId"], letter["eventType"]) == (message().message_id, "ThingCounted")
        assert failed[0] == 500
        assert (status, answer) == (200, {"eventId": letter["eventId"], "status": "Replayed"})
        assert (await at.app.count(), at.dead(), await at.listed()) == (1, [0, 0], [])

    desk(act, tmp_path, values={})


def test_the_queue_and_the_subscription_are_listed_page_by_page(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(*(message(number) for number in range(3)))
        do = message(7, kind="DoThing")
        await at.give_up(do, path=COMMANDS, entity=COMMANDS)
        letters = await at.listed("&top=2")
        status, whole = await at.call("GET", f"/{letters[-1]['eventId']}")
        await at.call("POST", f"/{letters[-1]['eventId']}/replay")

        assert [each["eventType"] for each in letters] == [*["ThingCounted"] * 3, "DoThing"]
        assert letters[-1]["eventId"].startswith("dl-health-commands-")
        assert (status, whole["envelope"]["payload"]) == (200, {"size": 3})
        assert (at.dead(), await at.app.count()) == ([3, 0], 1)

    desk(act, tmp_path)


def test_a_page_looks_at_few_and_leads_to_the_next_one(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        others = [message(number, tenant="globex") for number in range(LOOKED_AT_MAX)]
        await at.give_up(*others, message(99))
        _, first = await at.call("GET", "?deadLettered=true&top=200")

        assert first["value"] == []
        assert [each["messageId"] for each in await at.listed()] == [message(99).message_id]

    desk(act, tmp_path)


def test_a_dead_letter_is_its_tenant_s_only(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(message(1), message(2, tenant="globex"))
        (own,) = await at.listed()
        (foreign,) = await at.listed(tenant="globex")
        shown = await at.call("GET", f"/{foreign['eventId']}")
        replayed = await at.call("POST", f"/{foreign['eventId']}/replay")
        as_admin = await at.call("GET", f"/{foreign['eventId']}", roles=["Runtime.Admin"])
        reader = await at.call("POST", f"/{own['eventId']}/replay", roles=["Runtime.Read"])

        assert (own["tenantId"], foreign["tenantId"]) == ("acme", "globex")
        assert (shown[0], replayed[0], as_admin[0], reader[0]) == (404, 404, 404, 403)
        assert (at.app.handled, at.dead()) == ([], [2, 0])

    desk(act, tmp_path)


@pytest.mark.parametrize(
    "nobody_s",
    [
        pytest.param(garbage(), id="it-names-none"),
        pytest.param(garbage(**{"cs-tenant-id": "-platform"}), id="it-names-what-is-no-tenant"),
        pytest.param(
            garbage(**{"cs-tenant-id": "acme", "tenant-id": "globex"}), id="it-names-two"
        ),
        pytest.param(
            replace(message(tenant="globex"), application_properties={"cs-tenant-id": "acme"}),
            id="envelope-and-property-disagree",
        ),
    ],
)  # fmt: skip
def test_what_names_no_tenant_is_for_administrators_only(
    nobody_s: OutgoingMessage, tmp_path: Path
) -> None:
    async def act(at: Desk) -> None:
        admin = {"roles": ["Runtime.Admin"]}
        await at.give_up(nobody_s, message(5))
        (own,) = await at.listed()
        (letter,) = await at.listed("&unreadable=true", **admin)
        path = f"/{letter['eventId']}"
        denied = await at.call("GET", "?deadLettered=true&unreadable=true")
        hidden = await at.call("GET", path), await at.call("POST", f"{path}/replay")
        shown = await at.call("GET", path, **admin)
        parked = await at.call("POST", f"{path}/replay", **admin)
        (kept,) = (await at.call("GET", "?unreadable=true", **admin))[1]["value"]

        assert own["messageId"] == message(5).message_id
        assert letter["unreadable"]
        assert (letter["reason"], shown[1]["envelope"], shown[1]["messageId"]) == (None,) * 3
        assert (denied[0], [each[0] for each in hidden]) == (403, [404, 404])
        assert parked[1]["status"] == "Parked"
        assert (kept["place"], at.dead()) == ("Parked", [1, 0])

    desk(act, tmp_path)


def test_one_that_cannot_be_read_is_listed_with_the_reason_and_stops_no_other(
    tmp_path: Path,
) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(garbage(**{"tenant-id": "acme"}), message(5))
        unreadable, sound = await at.listed()
        _, whole = await at.call("GET", f"/{unreadable['eventId']}")

        assert "not an envelope" in unreadable["unreadable"]
        assert (whole["envelope"], sound["unreadable"]) == (None, None)

    desk(act, tmp_path)


def test_a_replay_that_comes_twice_has_one_effect_and_one_answer(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(message())
        (letter,) = await at.listed()
        path, key = f"/{letter['eventId']}/replay", {"idempotency_key": "k-1"}
        first, again = await at.call("POST", path, **key), await at.call("POST", path, **key)
        without = await at.call("POST", path)

        assert first == again == (200, {"eventId": letter["eventId"], "status": "Replayed"})
        assert (without[0], await at.app.count()) == (404, 1)
        await at.at.service.clock.sleep(20)
        await at.at.service.relay.sweep()
        entries = await at.at.service.audit.entries(TENANT)
        assert [each.record.action for each in entries] == ["ReplayMessage"]

    desk(act, tmp_path)


def test_one_that_is_older_than_what_is_remembered_is_not_replayed(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(message())
        (letter,) = await at.listed()
        path = f"/{letter['eventId']}/replay"
        status, answer = await at.call("POST", path)

        assert (status, answer["error"]["code"]) == (409, "DeadLetterTooOld")
        assert letter["enqueuedAt"] in answer["error"]["message"]
        assert (await at.app.count(), at.dead()) == (0, [1, 0])

    desk(act, tmp_path, wrapped=Aged)


@pytest.mark.parametrize("key", [{}, {"idempotency_key": "k-1"}], ids=["no-key", "the-same-key"])
def test_a_crash_before_the_removal_leaves_it_and_the_next_replay_changes_nothing(
    key: Mapping[str, str], tmp_path: Path
) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(message())
        (letter,) = await at.listed()
        path = f"/{letter['eventId']}/replay"
        crashed = await at.call("POST", path, **key)
        left = at.dead()
        again = await at.call("POST", path, **key)

        assert (crashed[0], left) == (503, [1, 0])
        assert (again[0], at.dead(), await at.app.count()) == (200, [0, 0], 1)

    desk(act, tmp_path, is_dying=True)


def test_while_somebody_else_has_it_a_replay_is_to_be_asked_again(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(message())
        (letter,) = await at.listed()
        (held,) = await at.broker.lock(f"{EVENTS}/$DeadLetterQueue", 1)
        path = f"/{letter['eventId']}/replay"
        busy = await at.call("POST", path)
        await at.broker.abandon(held)
        free = await at.call("POST", path)

        assert (busy[0], free[0], await at.app.count()) == (503, 200, 1)

    desk(act, tmp_path)


def test_one_that_is_refused_is_parked_with_the_reason(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        at.app.problem = Conflict("not now", code="NotNow")
        await at.give_up(message())
        (letter,) = await at.listed()
        _, answer = await at.call("POST", f"/{letter['eventId']}/replay")
        _, parked = await at.call("GET")

        assert (answer["status"], at.dead()) == ("Parked", [0, 0])
        assert [(each["place"], each["code"]) for each in parked["value"]] == [("Parked", "NotNow")]

    desk(act, tmp_path)


def test_one_without_a_handler_stays_for_the_version_that_has_one(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(message(kind="ForgottenThing"))
        (letter,) = await at.listed()
        status, answer = await at.call("POST", f"/{letter['eventId']}/replay")

        assert (status, answer["error"]["code"], at.dead()) == (409, "NoHandler", [1, 0])

    desk(act, tmp_path)


def test_an_outage_is_told_at_once_and_the_dead_letter_stays(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        at.app.problem = Unavailable("the store is away", retry_after_s=0.1)
        await at.give_up(message())
        (letter,) = await at.listed()
        status, _ = await at.call("POST", f"/{letter['eventId']}/replay")

        assert (status, at.app.handled, at.dead()) == (503, ["acme"], [1, 0])

    desk(act, tmp_path)


def test_under_an_etag_nothing_is_handled(tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        await at.give_up(message())
        (letter,) = await at.listed()
        status, _ = await at.call("POST", f"/{letter['eventId']}/replay", if_match='"1"')

        assert (status, at.app.handled, at.dead()) == (412, [], [1, 0])

    desk(act, tmp_path)


@pytest.mark.parametrize(
    "letter_id",
    [
        "dl-health-events-999", "dl-health-events-0", "dl-catalog-events-1", "dl-health-other-1",
        "dl-health-events-9223372036854775807", "dl-health-events-9999999999999999999", "dl-",
    ],
)  # fmt: skip
def test_an_id_that_names_no_dead_letter_is_not_found(letter_id: str, tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        shown = await at.call("GET", f"/{letter_id}")
        replayed = await at.call("POST", f"/{letter_id}/replay")

        assert (shown[0], replayed[0]) == (404, 404)

    desk(act, tmp_path)


@pytest.mark.parametrize("continuation", ["moon", "events-0", "events-9999999999999999999"])
def test_a_continuation_that_no_page_gave_is_refused(continuation: str, tmp_path: Path) -> None:
    async def act(at: Desk) -> None:
        query = f"?deadLettered=true&continuation={continuation}"
        status, answer = await at.call("GET", query)

        assert (status, answer["error"]["target"]) == (400, "continuation")

    desk(act, tmp_path)
