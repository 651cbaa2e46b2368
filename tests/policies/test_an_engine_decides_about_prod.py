"""A policy engine of somebody else is asked by a signed request; only its yes is one."""

import asyncio
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from function_apps.environments.use_cases.plan_environment import plan_request
from function_apps.environments.use_cases.provision_environment import provision_environment
from shared.composition.prod_policy import prod_policy
from shared.composition.settings import InvalidSetting, read_settings
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import ProjectId, environment_key
from shared.persistence.store import Comparison, Partition, Query, Where
from shared.policies.engine import PolicyQuestion, SignedPolicyEngine
from shared.policies.prod_policy import PolicyDenied, ProdPolicy
from shared.policies.prod_rules import ProdRules
from shared.probing.signed_request import SIGNATURE, TIMESTAMP, signature
from tests.composition.test_strict_values_are_the_default import built
from tests.environments.driven import Environments, a_request, environments
from tests.kit.apps import APPS
from tests.kit.releases import ENVIRONMENT
from tests.kit.service import TENANT
from tests.kit.world import World

KEY: Final = "k" * 32
LOOPBACK: Final = (ipaddress.ip_network("127.0.0.1/32"),)
QUESTION: Final = PolicyQuestion("evt-1", "acme", "user:ann", {"action": "Deploy"})
YES: Final = json.dumps({"allowed": True}).encode()
NO: Final = json.dumps(
    {"allowed": False, "reasons": ["no change on a Friday", "no owner"], "decisionId": "d-7"}
).encode()


@dataclass
class Served:
    """A real HTTP server that answers as it is told."""

    status: int = 200
    answer: bytes = YES
    delay_s: float = 0.0
    url: str = ""
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((dict(request.headers), await request.read()))
        await SystemClock().sleep(self.delay_s)
        headers = {"Location": f"{self.url}?again"}
        return web.Response(status=self.status, body=self.answer, headers=headers)


@asynccontextmanager
async def served(**how: Any) -> AsyncIterator[Served]:
    server = Served(**how)
    app = web.Application()
    app.router.add_post("/decide", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True)  # who hung up waits for nothing
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/decide"
    try:
        yield server
    finally:
        await runner.cleanup()


def engine(url: str, **how: Any) -> SignedPolicyEngine:
    return SignedPolicyEngine(url, KEY, SystemClock(), LOOPBACK, **how)


def played(scenario: Callable[[Environments, Served], Awaitable[None]], **how: Any) -> None:
    async def main() -> None:
        async with served(**how) as server:
            world = environments()
            policy = ProdPolicy(ProdRules(), engine(server.url))
            world.app = replace(world.app, prod_policy=policy)
            await scenario(world, server)

    asyncio.run(main())


async def provisioned(world: Environments, **cause: Any) -> Any:
    ctx = world.bench.ctx(**cause)
    return await provision_environment(a_request(stage="prod"), ctx, world.app)


async def decisions(world: Environments) -> list[Any]:
    """Return those that were committed, from the outbox."""
    environment = environment_key(TENANT, ProjectId("proj-web"), "shop")
    query = Query([Where("kind", Comparison.EQ, "record")])
    store = world.bench.service.store
    found = await store.query(Partition(TENANT, environment), query)
    records = [document.body["record"] for document in found.documents]
    return [each["policy"] for each in records if "policy" in each]


def test_the_engine_can_verify_who_asks_and_is_told_the_inputs() -> None:
    async def main() -> Served:
        async with served() as server:
            answer = await engine(server.url).ask(QUESTION)
            assert answer.allowed
            return server

    ((headers, body),) = asyncio.run(main()).asked
    expected = signature(KEY, headers[TIMESTAMP], body)
    assert hmac.compare_digest(headers[SIGNATURE], expected)
    assert signature("other", headers[TIMESTAMP], body) != expected
    assert headers["Idempotency-Key"] == "evt-1"
    assert json.loads(body) == {
        "requestId": "evt-1",
        "dryRun": False,
        "tenantId": "acme",
        "actor": "user:ann",
        "inputs": {"action": "Deploy"},
    }


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        pytest.param(500, YES, id="broken"),
        pytest.param(503, YES, id="away"),
        pytest.param(403, YES, id="refused"),
        pytest.param(302, YES, id="elsewhere"),
        pytest.param(201, YES, id="another-status"),
        pytest.param(200, b"", id="nothing"),
        pytest.param(200, b"yes", id="no-json"),
        pytest.param(200, b"\xff\xfe", id="no-text"),
        pytest.param(200, b"true", id="no-object"),
        pytest.param(200, b"{}", id="no-answer"),
        pytest.param(200, b'{"allowed": "true"}', id="a-text"),
        pytest.param(200, b'{"allowed": 1}', id="a-number"),
        pytest.param(200, b'{"allowed": false, "allowed": true}', id="both"),
        pytest.param(200, b'{"allowed": true, "reasons": "s3cret"}', id="odd-reasons"),
        pytest.param(200, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, id="deep"),
        pytest.param(200, YES + b" " * 70_000, id="too-much"),
    ],
)
def test_whatever_else_is_answered_is_no_decision(status: int, answer: bytes) -> None:
    async def main() -> int:
        async with served(status=status, answer=answer) as server:
            with pytest.raises(Unavailable) as unsaid:
                await engine(server.url).ask(QUESTION)
            assert "s3cret" not in unsaid.value.message
            assert server.url not in unsaid.value.message
            assert unsaid.value.retry_after_s >= 1
            return len(server.asked)

    assert asyncio.run(main()) == 1, "a redirect is not followed, and nothing is asked twice"


def test_an_engine_that_is_late_has_made_no_decision() -> None:
    async def main() -> None:
        async with served(delay_s=30.0) as server:
            with pytest.raises(Unavailable, match="TimeoutError"):
                await engine(server.url, within_s=0.2).ask(QUESTION)

    asyncio.run(main())


def test_an_engine_that_is_not_there_has_made_no_decision() -> None:
    async def main() -> None:
        async with served() as server:
            url = server.url
        with pytest.raises(Unavailable, match="is not reached"):
            await engine(url).ask(QUESTION)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        pytest.param("https://169.254.169.254/", [], id="metadata"),
        pytest.param("https://engine.test/", ["10.0.0.1"], id="a-private-address"),
        pytest.param("https://engine.test/", ["8.8.8.8", "192.168.0.1"], id="one-of-two"),
    ],
)
def test_no_request_goes_where_the_guard_denies_it(url: str, addresses: Sequence[str]) -> None:
    async def resolve(_host: str) -> Sequence[str]:
        return addresses

    with pytest.raises(Unavailable, match="Forbidden"):
        asyncio.run(engine(url, resolve=resolve).ask(QUESTION))


def test_a_permission_is_recorded_with_what_the_engine_said() -> None:
    async def scenario(world: Environments, server: Served) -> None:
        await provisioned(world)

        (policy,) = await decisions(world)
        assert (policy["allowed"], policy["engine"]["allowed"]) == (True, True)
        asked = json.loads(server.asked[0][1])
        assert policy["engine"]["requestId"] == asked["requestId"]
        assert policy["inputs"] == asked["inputs"]
        assert KEY not in json.dumps(policy)

    played(scenario)


def test_a_denial_has_the_reasons_of_the_engine() -> None:
    async def scenario(world: Environments, server: Served) -> None:
        with pytest.raises(PolicyDenied) as denied:
            await provisioned(world)

        assert [each.code for each in denied.value.details] == ["PolicyEngineDenied"] * 2
        assert "no change on a Friday" in denied.value.message
        (policy,) = await decisions(world)
        assert policy["allowed"] is False
        assert policy["engine"]["reasons"] == ["no change on a Friday", "no owner"]
        assert policy["engine"]["decisionId"] == "d-7"

    played(scenario, answer=NO)


def test_a_dry_run_asks_as_one_and_lists_the_reasons() -> None:
    async def scenario(world: Environments, server: Served) -> None:
        plan = await plan_request(a_request(stage="prod"), world.ctx, world.app)

        assert [each.code for each in plan.refusals] == ["PolicyEngineDenied"] * 2
        assert json.loads(server.asked[0][1])["dryRun"] is True
        assert await decisions(world) == []

    played(scenario, answer=NO)


def test_the_engine_is_not_asked_about_a_repeat_or_another_stage() -> None:
    async def scenario(world: Environments, server: Served) -> None:
        keyed = {"marker": "idem/1", "fingerprint": "f"}
        first = await provisioned(world, **keyed)
        server.status = 503

        again = await provisioned(world, **keyed)
        await world.request(name="other")

        assert (again.value, again.is_repeat) == (first.value, True)
        assert len(server.asked) == 1

    played(scenario)


def test_without_a_decision_nothing_is_changed_and_the_same_command_is_tried_again() -> None:
    async def scenario(world: Environments, server: Served) -> None:
        keyed = {"marker": "idem/1", "fingerprint": "f"}
        with pytest.raises(Unavailable):
            await provisioned(world, **keyed)
        assert await decisions(world) == []
        server.status = 200

        outcome = await provisioned(world, **keyed)

        assert not outcome.is_repeat
        assert len(await decisions(world)) == 1

    played(scenario, status=503)


def test_a_caller_is_told_when_to_ask_again() -> None:
    async def main() -> tuple[int, dict[str, str], Any]:
        async with served(status=503) as server:
            world = World(
                app_settings={
                    "RUNTIME_POLICY_ENGINE_URL": server.url,
                    "RUNTIME_POLICY_ENGINE_KEY": KEY,
                }
            )
            await world.boot()
            prod = {**ENVIRONMENT, "stage": "prod"}
            answer = await world.send("POST", "/runtime/environments", prod)
            await world.stop()
            headers = {name.lower(): value for name, value in answer.headers}
            return answer.status, headers, json.loads(answer.body)

    status, headers, body = asyncio.run(main())

    assert (status, headers["retry-after"]) == (503, "5")
    assert "the policy engine answered 503" in body["error"]["message"]


def test_the_settings_describe_the_engine_and_show_no_key() -> None:
    given = {
        "RUNTIME_PROFILE": "local",
        "RUNTIME_POLICY_ENGINE_URL": "https://policy.example/decide",
        "RUNTIME_POLICY_ENGINE_KEY": KEY,
        "RUNTIME_POLICY_ENGINE_NETWORKS": "10.1.0.0/16",
    }
    settings = read_settings(given)
    policy = prod_policy(settings, SystemClock())

    assert policy is not None
    assert isinstance(policy.engine, SignedPolicyEngine)
    assert "10.1.0.0/16" in map(str, policy.engine.networks)
    assert KEY not in f"{settings!r}{policy!r}"
    assert prod_policy(read_settings({"RUNTIME_PROFILE": "local"}), SystemClock()) is None


@pytest.mark.parametrize("name", ["environments", "deployments", "scaling"])
def test_the_apps_that_change_prod_are_built_with_the_policy(name: str, tmp_path: Path) -> None:
    given = {
        "RUNTIME_PROFILE": "local",
        "RUNTIME_PROD_POLICY": json.dumps({"regions": ["local"]}),
        "RUNTIME_POLICY_ENGINE_URL": "https://policy.example/decide",
        "RUNTIME_POLICY_ENGINE_KEY": KEY,
    }

    policy = built(APPS[name], given, tmp_path).prod_policy

    assert policy.rules.regions == ("local",)
    assert policy.engine.url == "https://policy.example/decide"
    assert built(APPS[name], {"RUNTIME_PROFILE": "local"}, tmp_path).prod_policy is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"RUNTIME_POLICY_ENGINE_KEY": None}, "KEY is missing", id="no-key"),
        pytest.param({"RUNTIME_POLICY_ENGINE_URL": None}, "URL is missing", id="no-url"),
        pytest.param({"RUNTIME_POLICY_ENGINE_KEY": "sh0rt"}, "at least 32", id="short-key"),
        pytest.param(
            {"RUNTIME_POLICY_ENGINE_KEY": "@Microsoft.KeyVault(SecretUri=https://vault.example/s)"},
            "a reference that Azure follows",
            id="a-reference-that-was-not-followed",
        ),
        pytest.param(
            {"RUNTIME_POLICY_ENGINE_URL": "http://policy.example/", "RUNTIME_PROFILE": None},
            "expected https",
            id="in-the-clear",
        ),
    ],
)
def test_a_mistake_in_its_settings_stops_the_start(
    changes: dict[str, str | None], says: str
) -> None:
    given = {
        "RUNTIME_PROFILE": "local",
        "RUNTIME_POLICY_ENGINE_URL": "https://policy.example/decide",
        "RUNTIME_POLICY_ENGINE_KEY": KEY,
        **changes,
    }

    with pytest.raises(InvalidSetting, match=says) as refused:
        read_settings({name: value for name, value in given.items() if value is not None})

    assert "sh0rt" not in refused.value.message
