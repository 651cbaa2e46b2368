"""A process that is confined as an instance of a tenant reaches nothing of others, and says so."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from function_apps.tenants.model.proofs import judge, proof_results
from local_agent import instance_folder, isolation_attempts
from local_agent.process_identity import is_alive
from local_agent.sandbox import attempts
from local_agent.sandbox_order import Means, sandbox_order
from local_agent.starts import read_claim
from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.tenants import ProofVerdict
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import TenantId
from shared.kernel.observation import Absent, Present, Reading
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.boundaries import Quota as BoundQuota
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.isolation_attempts import LayerAttempts
from shared.surfaces.port import Boundaries, IsolationAttempts
from shared.surfaces.spec import Resources
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import EPOCH
from tests.surfaces.harness import ACME, ENVIRONMENT, SurfaceHarness, fence
from tests.surfaces.local_process_harness import agent_harness, local_process_harness

pytestmark = [
    pytest.mark.real,
    pytest.mark.shows(
        Feature.ISOLATION_ATTEMPTS, Feature.TENANT_DATA, Feature.TENANT_SECRETS,
        Feature.TENANT_IDENTITY, on="local-process",
    ),
]  # fmt: skip
GLOBEX = TenantId("globex")
CONFINED = (
    IsolationLayer.COMPUTE, IsolationLayer.DATA, IsolationLayer.SECRETS, IsolationLayer.IDENTITY,
)  # fmt: skip


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SurfaceHarness]:
    async with local_process_harness(tmp_path) as opened:
        skip_unless_confined(opened)
        yield opened


def skip_unless_confined(harness: SurfaceHarness) -> None:
    if Feature.TENANT_DATA in harness.surface.capabilities().lacks:
        pytest.skip("this machine confines nothing")


def without_sandbox(in_force: Means, *args: Any, **named: Any) -> Any:
    weak = replace(in_force, is_namespaced=False, landlock=0, filters_calls=False)
    return sandbox_order(weak, *args, **named)


async def tried(
    harness: SurfaceHarness, tenant: TenantId = GLOBEX
) -> Reading[tuple[LayerAttempts, ...]]:
    surface = cast("IsolationAttempts", harness.surface)
    return await surface.attempt_isolation(ENVIRONMENT, tenant)


async def reached(harness: SurfaceHarness) -> Mapping[IsolationLayer, tuple[str, ...]]:
    """Return what was reached in each layer; in each the control held."""
    reading = await tried(harness)
    assert isinstance(reading, Present), reading
    assert {each.inconclusive_because for each in reading.value} == {""}
    return {each.layer: each.reached for each in reading.value}


def claims_below(state: Path) -> list[Path]:
    return list(state.glob("surface/sites/*/attempts/*/claim-*"))


def left_behind(state: Path) -> list[Path]:
    return list(state.glob("surface/sites/*/attempts/*"))


def program_with(instead: str, planted: Path) -> Path:
    """Write the program to *planted*, which does *instead* what it is to try; return the path."""
    begin = 'if __name__ == "__main__":\n'
    before, found, after = Path(attempts.__file__).read_text(encoding="utf-8").partition(begin)
    assert found
    planted.write_text(
        f"{before}{begin}    if sys.argv[1:] != ['wait']:\n        {instead}\n{after}",
        encoding="utf-8",
    )
    return planted


async def test_a_tenant_reaches_nothing_of_others_and_nothing_is_left(
    harness: SurfaceHarness, tmp_path: Path
) -> None:
    secrets = tmp_path / "vaults"
    secrets.mkdir(exist_ok=True)
    (secrets / "theirs.db").write_text("a secret")

    assert await reached(harness) == dict.fromkeys(CONFINED, ())
    assert left_behind(tmp_path) == []


async def test_a_quota_of_memory_is_in_force_inside(
    harness: SurfaceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = BoundarySpec(ENVIRONMENT, GLOBEX, BoundQuota(memory_mb=512), Resources(memory_mb=128))
    await cast("Boundaries", harness.surface).ensure_boundary(spec, fence(1))
    kept = await reached(harness)
    monkeypatch.setattr(instance_folder, "rlimits", lambda *_: {})

    opened = await reached(harness)

    assert kept[IsolationLayer.QUOTA] == ()
    assert "it can take more than 128 MiB" in opened[IsolationLayer.QUOTA]


async def test_a_sandbox_that_shows_anothers_folder_is_a_breach_until_it_is_closed_again(
    harness: SurfaceHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def opened(in_force: Any, folder: Path, *args: Any, **named: Any) -> Any:
        order = sandbox_order(in_force, folder, *args, **named)
        assert order is not None
        order.readable += [each for each in made if each in now()]
        made.append(str(folder))
        return order

    def now() -> set[str]:
        return {str(path) for path in left_behind(tmp_path)}

    readings = []
    with monkeypatch.context() as planted:
        planted.setattr(instance_folder, "sandbox_order", opened)
        readings += [await tried(harness), await tried(harness)]
    readings.append(await tried(harness))

    target = ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS)
    proofs: Any = ()
    verdicts = []
    for reading in readings:
        proofs, _ = judge(proofs, proof_results([], Quota(), [(target, reading)]), EPOCH)
        data = next(each for each in proofs if each.layer is IsolationLayer.DATA)
        verdicts.append(data.verdict)
    assert verdicts == [ProofVerdict.INDETERMINATE, ProofVerdict.BREACH, ProofVerdict.PASS]


async def test_without_a_sandbox_what_is_others_is_reached_in_every_layer(
    harness: SurfaceHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("vaults", "issuer"):
        (tmp_path / place).mkdir(exist_ok=True)

    monkeypatch.setattr(instance_folder, "sandbox_order", without_sandbox)

    opened = await reached(harness)

    assert [layer for layer in CONFINED if not opened[layer]] == []
    assert any("environ of another" in each for each in opened[IsolationLayer.COMPUTE])
    assert any("can be listened on" in each for each in opened[IsolationLayer.COMPUTE])


async def test_where_the_vaults_are_elsewhere_they_are_what_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vaults = tmp_path / "cloud" / "vaults"
    vaults.mkdir(parents=True)
    vault = vaults / "theirs.db"
    vault.write_text("a secret")
    async with local_process_harness(tmp_path / "state", vaults=vaults) as harness:
        skip_unless_confined(harness)
        closed = await reached(harness)
        monkeypatch.setattr(instance_folder, "sandbox_order", without_sandbox)

        opened = await tried(harness)

    assert closed[IsolationLayer.SECRETS] == ()
    assert isinstance(opened, Present)
    (secrets,) = (each for each in opened.value if each.layer is IsolationLayer.SECRETS)
    assert f"{vault} can be read" in secrets.reached


async def test_who_is_not_confined_reads_the_secret_of_a_neighbour_that_is(
    harness: SurfaceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = itertools.count()

    def second_open(*args: Any, **named: Any) -> Any:
        return (without_sandbox if next(starts) else sandbox_order)(*args, **named)

    monkeypatch.setattr(instance_folder, "sandbox_order", second_open)

    opened = await reached(harness)

    assert any(each.endswith("/proof can be read") for each in opened[IsolationLayer.SECRETS])


async def test_where_there_is_no_secret_of_others_that_layer_shows_nothing(
    harness: SurfaceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation_attempts, "_secrets_of", lambda _: iter(()))

    reading = await tried(harness)

    assert isinstance(reading, Present)
    assert {
        each.layer: each.inconclusive_because for each in reading.value if each.inconclusive_because
    } == {IsolationLayer.SECRETS: "there is no secret of others that could be read"}


@pytest.mark.parametrize(
    ("instead", "why"),
    [
        pytest.param("sys.exit(3)", "ended with 3", id="it-ends"),
        pytest.param("signal.pause()", "did not end in time", id="it-hangs"),
    ],
)
async def test_a_program_that_does_not_come_to_try_shows_nothing(
    instead: str, why: str, harness: SurfaceHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = program_with(instead, tmp_path / "planted.py")
    monkeypatch.setattr(attempts, "__file__", str(planted))

    reading = await tried(harness)

    assert isinstance(reading, Present)
    assert [each.layer for each in reading.value] == list(CONFINED)
    for each in reading.value:
        assert each.inconclusive_because.startswith(f"the process that was to try {why}")
    assert left_behind(tmp_path) == []


async def test_a_caller_that_gives_up_does_not_let_the_next_end_what_still_runs(
    harness: SurfaceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = Event(), Event()
    running: list[int] = []
    most: list[int] = []

    def run(*_: Any) -> tuple[LayerAttempts, ...]:
        running.append(1)
        most.append(len(running))
        begun.set()
        may_end.wait(PATIENCE_S)
        running.pop()
        return ()

    monkeypatch.setattr(isolation_attempts.AttemptsFromInside, "_run", run)
    first = asyncio.ensure_future(tried(harness, ACME))
    await asyncio.to_thread(begun.wait, PATIENCE_S)
    first.cancel()
    second = asyncio.ensure_future(tried(harness, GLOBEX))
    asyncio.get_running_loop().call_later(0.1, may_end.set)

    assert await second == Present(())
    with pytest.raises(asyncio.CancelledError):
        await first
    assert most == [1, 1]


def test_a_folder_that_can_be_written_is_told_and_nothing_is_left_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = os.listdir

    def not_listed(path: str) -> list[str]:
        raise PermissionError(path)

    monkeypatch.setattr(os, "listdir", not_listed)

    assert attempts.reached(str(tmp_path)) == f"{tmp_path} can be written"
    assert attempts.reached(str(tmp_path / "missing")) == ""
    assert names(tmp_path) == []


async def test_where_a_machine_does_not_confine_nothing_is_tried_and_no_layer_passes(
    harness: SurfaceHarness,
) -> None:
    surface: Any = harness.surface
    whole: Capabilities = surface.capabilities()
    lacks = {**whole.lacks, Feature.TENANT_DATA: "it has no namespaces"}
    surface._attempts._capabilities = replace(whole, lacks=lacks)

    reading = await tried(harness)

    assert reading == Present(
        tuple(LayerAttempts(each, "it has no namespaces") for each in CONFINED)
    )
    target = ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS)
    opened = Present(tuple(LayerAttempts(each, reached=("it is open",)) for each in CONFINED))
    proofs: Any = ()
    for each in (opened, opened, reading):
        proofs, _ = judge(proofs, proof_results([], Quota(), [(target, each)]), EPOCH)
    assert {proof.verdict for proof in proofs} == {ProofVerdict.INDETERMINATE}


async def test_tenants_are_tried_one_after_the_other_and_a_site_that_is_gone_not_at_all(
    harness: SurfaceHarness,
) -> None:
    both = await asyncio.gather(tried(harness, ACME), tried(harness, GLOBEX))
    await harness.surface.delete_site(ENVIRONMENT, fence(1, "site"))

    assert all(isinstance(each, Present) for each in both)
    assert isinstance(await tried(harness), Absent)


@pytest.mark.long
async def test_an_agent_that_dies_on_the_way_leaves_no_process_and_the_next_no_folder(
    tmp_path: Path,
) -> None:
    async with agent_harness(tmp_path) as harness:
        asked = asyncio.ensure_future(tried(harness))
        give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
        while not (claims := await asyncio.to_thread(claims_below, tmp_path)):
            assert harness.clock.monotonic_s() < give_up_at_s
            await harness.clock.sleep(0.005)
        started = [identity for claim in claims if (identity := read_claim(claim))]
        harness.kill_host()
        await asked
        while any(is_alive(identity) for identity in started):
            assert harness.clock.monotonic_s() < give_up_at_s, started
            await harness.clock.sleep(0.05)
        await harness.restart()

        assert isinstance(await tried(harness), Present)
        assert left_behind(tmp_path) == []
