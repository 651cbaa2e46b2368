"""An instance gets its secrets of the vaults of this machine, and nothing else does."""

import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from local_cloud.vault.vault import LocalVault, Vaults
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.surfaces.capabilities import Feature
from shared.surfaces.errors import RevisionDiffers
from shared.surfaces.observed_state import Instance, LiveComponent
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import RevisionSpec
from shared.vault.port import SecretValue
from tests.kit.canary_values import CanaryValues
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence
from tests.surfaces.test_contract_of_configuration import proofs

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(Feature.SECRET_REFERENCES, on="local-process")
NAME: Final = ENVIRONMENT.removeprefix("env-")
VAULT: Final = f"https://{NAME}.vault.localhost"
CANARY: Final = "canary-of-this-machine-$HOME ${PORT} ünd\n'\"\\"


@asynccontextmanager
async def vault_of(tmp_path: Path, name: str = NAME) -> AsyncIterator[LocalVault]:
    vault = Vaults(tmp_path / "vaults", SystemClock(), SystemEntropy()).open(name)
    try:
        yield vault
    finally:
        vault.close()


async def set_secret(tmp_path: Path, name: str = "db", value: str = CANARY) -> str:
    """Make a version of the secret *name* in the vault of the environment, and return it."""
    async with vault_of(tmp_path) as vault:
        return (await vault.set(name, SecretValue(value))).version


def given(harness: SurfaceHarness, version: str, revision: int = 1, **changes: Any) -> RevisionSpec:
    """Return a component that has *version* of `db` as a variable and as a file."""
    variable = SecretReference("db", version, VAULT, variable="DB_PASSWORD")
    secrets = (variable, replace(variable, variable=None, file="db-password"))
    unit = {"secret.db": version}
    return harness.spec(revision, **{"secrets": secrets, "unit": unit, **changes})


def instance(live: LiveComponent) -> Instance:
    return live.revisions[0].instances[0]


async def inside(harness: SurfaceHarness, live: LiveComponent) -> Mapping[str, Any]:
    assert harness.ask is not None
    return await harness.ask(instance(live), "/inside")


async def ready(harness: SurfaceHarness) -> LiveComponent:
    return await harness.until(lambda live: live.revisions[0].ready == 1)


def _on_disk(tmp_path: Path) -> list[Path]:
    """Return what is in the places of files of secrets, of which only instances see the mounts."""
    return [*tmp_path.rglob("secrets/*")]


def test_an_instance_has_the_version_that_its_release_names(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        version = await set_secret(tmp_path)
        await set_secret(tmp_path, value="a newer one")
        at = {"VERSION": "1.0", "AT": "$RUNTIME_SECRETS/db-password"}
        await harness.serve(given(harness, version, environ=at))

        found = await inside(harness, await ready(harness))

        environ = found["environ"]
        assert environ["DB_PASSWORD"] == CANARY
        assert environ["AT"] == f"{environ['RUNTIME_SECRETS']}/db-password"
        assert found["secrets"] == {
            "files": {"db-password": CANARY},
            "modes": [["0o600", True]],
            "changed": [],
        }
        assert re.search(rf" {environ['RUNTIME_SECRETS']} tmpfs ro,", found["mounts"])
        assert _on_disk(tmp_path) == []
        assert (await proofs(harness))[1].departs == ()

    run_scenario(scenario)


def _commands() -> list[bytes]:
    """Return the commands of all processes of the machine."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            lines.append(path.read_bytes())
    return lines


def _orders(tmp_path: Path, instance: str) -> list[Path]:
    return [*tmp_path.rglob(f"{instance}/order.json")]


def test_a_word_of_a_command_is_no_place_for_a_value(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        spec = given(harness, await set_secret(tmp_path))
        await harness.serve(replace(spec, command=(*spec.command, "$DB_PASSWORD")))
        await ready(harness)

        lines = _commands()
        assert any(b"$DB_PASSWORD" in line for line in lines)
        assert not any(CANARY.encode() in line for line in lines)
        (order,) = _orders(tmp_path, "module-shop-1-0")
        assert "canary-of" not in order.read_text()

    run_scenario(scenario)


@pytest.mark.long
def test_no_file_of_the_state_folder_has_a_value(run_scenario: RunScenario, tmp_path: Path) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        in_clear = "canary-that-is-found-in-specs"
        spec = given(harness, await set_secret(tmp_path))
        await harness.serve(replace(spec, environ={"VERSION": "1.0", "OPEN": in_clear}))
        await ready(harness)
        await harness.restart()
        await ready(harness)
        await proofs(harness)

        assert [*CanaryValues.of(in_clear).files(tmp_path)]
        assert [*CanaryValues.of(CANARY).files(tmp_path)] == []

    run_scenario(scenario)


def test_a_process_that_was_started_with_another_version_departs(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        old, new = await set_secret(tmp_path), await set_secret(tmp_path, value="new")
        await harness.serve(given(harness, old))
        live = await ready(harness)
        with pytest.raises(RevisionDiffers):
            await harness.surface.apply(given(harness, new), fence(2))
        (order,) = _orders(tmp_path, instance(live).id)
        order.write_text(order.read_text().replace(f"db {old}", f"db {new}"))

        proof = (await proofs(harness))[1]

        assert proof.departs == tuple(
            f"secret in {place} is db {new} of {VAULT}, expected db {old} of {VAULT}"
            for place in ("files/db-password", "variables/DB_PASSWORD")
        )

    run_scenario(scenario)


def test_a_restart_while_the_vault_is_away_waits_and_what_runs_goes_on(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        version = await set_secret(tmp_path)
        await harness.serve(given(harness, version, replicas=2))
        live = await harness.until(lambda live: live.revisions[0].ready == 2)
        (tmp_path / "vaults").rename(tmp_path / "away")
        killed, other = live.revisions[0].instances
        assert killed.pid
        os.kill(killed.pid, signal.SIGKILL)

        waiting = await harness.until(
            lambda live: "SecretUnavailable" in [i.reason for i in live.revisions[0].instances]
        )
        found = {each.id: each for each in waiting.revisions[0].instances}
        assert (found[other.id].is_ready, found[other.id].pid) == (True, other.pid)
        assert (found[killed.id].failed_starts, found[killed.id].pid) == (0, None)
        message = found[killed.id].message
        assert message.startswith(f"secret db {version} of {VAULT}: there is no vault")

        (tmp_path / "away").rename(tmp_path / "vaults")
        await harness.until(lambda live: live.revisions[0].ready == 2)

    run_scenario(scenario)


async def _disable(vault: LocalVault, version: str) -> None:
    await vault.set_enabled("db", version, enabled=False)


async def _delete(vault: LocalVault, _version: str) -> None:
    await vault.delete("db")


async def _purge(vault: LocalVault, _version: str) -> None:
    await vault.delete("db")
    await vault.purge("db")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(_disable, "is disabled", id="disabled"),
        pytest.param(_delete, "no such version", id="deleted"),
        pytest.param(_purge, "no such version", id="purged"),
    ],
)
def test_a_version_that_cannot_be_read_is_named(
    run_scenario: RunScenario,
    tmp_path: Path,
    change: Callable[[LocalVault, str], Coroutine[Any, Any, None]],
    words: str,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        version = await set_secret(tmp_path)
        async with vault_of(tmp_path) as vault:
            await change(vault, version)

        await harness.surface.apply(given(harness, version), fence(1))
        live = await harness.until(lambda live: live.revisions[0].reason == "CannotStart")

        assert instance(live).message.startswith(f"secret db {version} of {VAULT}: ")
        assert words in instance(live).message
        assert instance(live).failed_starts >= 1

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("vault", "words"),
    [
        pytest.param("https://runtime.vault.localhost", "own secrets", id="the-platforms"),
        pytest.param(
            "https://abcdefgh2345.vault.localhost", "name of another environment", id="anothers"
        ),
        pytest.param("https://kv.vault.azure.net", "are asked at", id="of-a-cloud"),
        pytest.param("http://127.0.0.1:1", "are asked at", id="no-vault"),
    ],
)
def test_no_other_vault_is_asked(
    run_scenario: RunScenario, tmp_path: Path, vault: str, words: str
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        version = await set_secret(tmp_path)
        spec = given(harness, version)
        elsewhere = tuple(replace(each, vault=vault) for each in spec.secrets)

        await harness.surface.apply(replace(spec, secrets=elsewhere), fence(1))
        live = await harness.until(lambda live: live.revisions[0].reason == "CannotStart")

        assert words in instance(live).message

    run_scenario(scenario)


@pytest.mark.long
def test_a_new_agent_takes_instances_over_and_starts_others_with_their_secrets(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        version = await set_secret(tmp_path)
        await harness.serve(given(harness, version))
        before = instance(await ready(harness))

        await harness.restart()
        assert instance(await ready(harness)).pid == before.pid
        await harness.surface.scale(SHOP, 1, 2, fence(9))
        harness.kill_host()  # in the middle of that start, or before it
        live = await harness.until(lambda live: live.revisions[0].ready == 2)

        assert harness.ask is not None
        for each in live.revisions[0].instances:
            found = await harness.ask(each, "/inside")
            assert found["environ"]["DB_PASSWORD"] == CANARY
            assert found["secrets"]["files"] == {"db-password": CANARY}
        assert all(proof.departs == () for proof in (await proofs(harness)).values())

    run_scenario(scenario)


def test_a_value_that_no_variable_can_have_is_refused_without_it(
    run_scenario: RunScenario, tmp_path: Path
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        version = await set_secret(tmp_path, value="canary\0")
        await harness.surface.apply(given(harness, version), fence(1))
        live = await harness.until(lambda live: live.revisions[0].reason == "CannotStart")

        assert "it has a NUL" in instance(live).message
        assert "canary" not in instance(live).message

    run_scenario(scenario)
