"""An instance that follows its configuration has a token for that: short, renewed, and no other."""

import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from local_agent.api_access import INSTANCE_TOKEN_LIFE, RENEWED_AFTER, ApiAccess
from shared.kernel.context import Workload
from shared.kernel.errors import Denied, Unauthenticated
from shared.persistence.plain_files import part_of, write_new
from shared.surfaces.local_process import ISSUER, write_api_url
from shared.surfaces.spec import RevisionSpec
from shared.web.authentication import LEEWAY_S, Authenticator, FileKeys
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.canary_values import CanaryValues
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import SHOP, TEMPLATE, SurfaceHarness, fence
from tests.surfaces.local_process_harness import answers_at
from tests.surfaces.test_contract_of_configuration import proofs
from tests.surfaces.test_secrets_on_this_machine import inside, ready

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
URL: Final = "http://127.0.0.1:7071"
NAME: Final = "module-shop-1-0"
LOOK_S: Final = 5
FOLLOWING: Final = replace(TEMPLATE, follows_configuration=True)


class Machine:
    """A state folder with an issuer, an API that checks tokens, and the folder of an instance."""

    def __init__(self, state: Path) -> None:
        self.clock = LoopClock()
        self.access = self.new_access(state)
        self.issuer = LocalIssuer(
            state / ISSUER, DEV_ISSUER, AUDIENCE, self.clock, SeededEntropy(2)
        )
        self.issuer.token("acme", "ann", ())
        write_api_url(state, URL)
        keys = FileKeys(state / ISSUER / "jwks.json")
        self.api = Authenticator(keys, [DEV_ISSUER], AUDIENCE, self.clock)
        self.instance = state / NAME
        self.instance.mkdir()
        self.token = self.instance / "api" / "token"

    def new_access(self, state: Path) -> ApiAccess:
        return ApiAccess(state, self.clock, SeededEntropy(3))

    async def workload(self, token: str | None = None) -> Workload | None:
        """Return whose workload the API takes the bearer of the token for."""
        bearer = f"Bearer {token or self.token.read_text()}"
        return (await self.api.authenticate(bearer, None)).workload

    async def run_for(self, duration: timedelta) -> int:
        """Look at the instance each *LOOK_S* for *duration*; return how often it was renewed."""
        renewed = 0
        for _ in range(int(duration.total_seconds() / LOOK_S)):
            await self.clock.sleep(LOOK_S)
            if self.access.is_due(self.instance, FOLLOWING):
                self.access.renew(self.instance, FOLLOWING)
                renewed += 1
            await self.workload()
        return renewed


def on_a_machine(act: Callable[[Machine], Coroutine[Any, Any, None]], state: Path) -> None:
    async def main() -> None:
        await act(Machine(state))

    run_virtual(main())


def test_the_token_names_the_instance_and_its_file_is_for_one_user(tmp_path: Path) -> None:
    async def act(machine: Machine) -> None:
        assert machine.access.give(machine.instance, FOLLOWING) == URL

        own = Workload(SHOP.environment, SHOP.module, NAME)
        assert await machine.workload() == own
        with pytest.raises(Denied, match="X-Tenant-Id"):
            await machine.api.authenticate(f"Bearer {machine.token.read_text()}", "globex")
        assert machine.token.stat().st_mode & 0o777 == 0o600
        assert machine.token.parent.stat().st_mode & 0o777 == 0o700

    on_a_machine(act, tmp_path)


def test_it_is_renewed_over_its_lifetime_and_holds_at_every_look(tmp_path: Path) -> None:
    async def act(machine: Machine) -> None:
        machine.access.give(machine.instance, FOLLOWING)

        renewed = await machine.run_for(timedelta(hours=6))

        assert renewed == timedelta(hours=6) // RENEWED_AFTER
        assert [path.name for path in machine.token.parent.iterdir()] == ["token"]

    on_a_machine(act, tmp_path)


def test_it_ends_with_its_instance_and_lapses_where_it_was_taken_along(tmp_path: Path) -> None:
    async def act(machine: Machine) -> None:
        machine.access.give(machine.instance, FOLLOWING)
        taken = machine.token.read_text()

        machine.access.end(machine.instance)

        assert list(machine.instance.iterdir()) == []
        await machine.clock.sleep(INSTANCE_TOKEN_LIFE.total_seconds() + LEEWAY_S)
        with pytest.raises(Unauthenticated) as refused:
            await machine.workload(taken)
        assert refused.value.code == "TokenExpired"

    on_a_machine(act, tmp_path)


def test_an_agent_that_takes_over_renews_at_once(tmp_path: Path) -> None:
    async def act(machine: Machine) -> None:
        machine.access.give(machine.instance, FOLLOWING)
        before = machine.token.read_text()

        machine.access = machine.new_access(tmp_path)

        assert await machine.run_for(timedelta(seconds=LOOK_S)) == 1
        assert machine.token.read_text() != before

    on_a_machine(act, tmp_path)


def test_a_token_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    async def act(machine: Machine) -> None:
        machine.access.give(machine.instance, FOLLOWING)
        in_the_way = machine.token.with_name("aside")
        machine.token.rename(in_the_way)
        (machine.token / "full").mkdir(parents=True)
        await machine.clock.sleep(RENEWED_AFTER.total_seconds())

        machine.access.renew(machine.instance, FOLLOWING)

        assert not machine.access.is_due(machine.instance, FOLLOWING)
        (machine.token / "full").rmdir()
        machine.token.rmdir()
        in_the_way.rename(machine.token)
        assert await machine.run_for(timedelta(seconds=10)) == 1

    on_a_machine(act, tmp_path)


def test_what_a_workload_puts_in_the_place_of_its_token_is_given_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign, given = tmp_path / "foreign", list[int]()
    foreign.touch()

    async def act(machine: Machine) -> None:
        machine.access.give(machine.instance, FOLLOWING)

        def written(path: Path, content: bytes) -> None:
            """Write it; the workload puts a link to *foreign* in the place of each new file."""
            write_new(path, content)
            for each in machine.token.parent.iterdir():
                each.unlink()
                os.link(foreign, each)

        monkeypatch.setattr("local_agent.api_access.write_new", written)
        monkeypatch.setattr(os, "geteuid", lambda: -1)
        monkeypatch.setattr(os, "chown", lambda path, *_, **__: given.append(path.stat().st_ino))
        machine.access.renew(machine.instance, FOLLOWING)

        assert await machine.workload() is not None

    on_a_machine(act, tmp_path)
    assert given
    assert foreign.stat().st_ino not in given


def test_what_a_killed_agent_left_of_a_token_goes_with_it(tmp_path: Path) -> None:
    async def act(machine: Machine) -> None:
        machine.access.give(machine.instance, FOLLOWING)
        part_of(machine.instance / "token").touch()

        machine.access.end(machine.instance)

        assert list(machine.instance.iterdir()) == []

    on_a_machine(act, tmp_path)


def test_a_module_that_does_not_follow_has_none(tmp_path: Path) -> None:
    async def act(machine: Machine) -> None:
        assert machine.access.give(machine.instance, TEMPLATE) is None
        assert not machine.access.is_due(machine.instance, TEMPLATE)
        assert list(machine.instance.iterdir()) == []

    on_a_machine(act, tmp_path)


@pytest.mark.parametrize("missing", ["api.url", "issuer/jwks.json"])
def test_without_an_api_or_an_issuer_on_this_machine_there_is_none(
    missing: str, tmp_path: Path
) -> None:
    async def act(machine: Machine) -> None:
        (tmp_path / missing).unlink()

        assert machine.access.give(machine.instance, FOLLOWING) is None
        machine.access.renew(machine.instance, FOLLOWING)
        assert list(machine.instance.iterdir()) == []

    on_a_machine(act, tmp_path)


def tokens(state: Path) -> list[Path]:
    return [*state.rglob("api/token")]


def following(harness: SurfaceHarness) -> RevisionSpec:
    return harness.spec(follows_configuration=True)


@pytest.mark.shows(on="local-process")
def test_a_process_reads_its_token_cannot_change_it_and_sees_the_next(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        answers_at(tmp_path, URL)
        await harness.serve(following(harness))

        found = await inside(harness, await ready(harness))

        assert found["environ"]["RUNTIME_API_URL"] == URL
        first = found["api"]["files"]["token"]
        assert found["api"] == {
            "files": {"token": first}, "modes": [["0o600", True]], "changed": [],
        }  # fmt: skip
        await harness.restart()
        after = await inside(harness, await ready(harness))
        while after["api"] == found["api"]:
            await harness.clock.sleep(0.05)
            after = await inside(harness, await ready(harness))
        assert after["pid"] == found["pid"]
        assert after["api"]["modes"] == [["0o600", True]]

    run_scenario(scenario)


@pytest.mark.shows(on="local-process")
def test_no_value_of_a_token_is_in_another_file_or_in_what_is_shown(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        answers_at(tmp_path, URL)
        await harness.serve(following(harness))
        found = await inside(harness, await ready(harness))
        signature = found["api"]["files"]["token"].rpartition(".")[2]
        value = CanaryValues.of(signature)

        shown: Mapping[str, Any] = {
            "inventory": await harness.surface.inventory(SHOP.environment),
            "properties": await harness.surface.properties(SHOP),
            "proofs": await proofs(harness),
            "logs": await harness.surface.logs(SHOP, NAME, 100),
        }

        assert [path.parts[-3:] for path in value.files(tmp_path)] == [(NAME, "api", "token")]
        assert [*value.processes(but={os.getpid()})] == []
        assert not value.are_in(repr(shown).encode())

    run_scenario(scenario)


@pytest.mark.shows(on="local-process")
def test_an_instance_that_has_ended_leaves_no_token(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        answers_at(tmp_path, URL)
        await harness.serve(following(harness))
        assert tokens(tmp_path)

        await harness.surface.remove(SHOP, 1, fence(1))
        await harness.until_gone()

        assert not tokens(tmp_path)

    run_scenario(scenario)
