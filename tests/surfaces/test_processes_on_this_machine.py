"""Workloads as processes: isolated, limited, identified, restarted; others are never touched."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from cli.state_folder import REPOSITORY
from local_agent import process_trees, starts
from local_agent.agent_lock import AgentRunning
from local_agent.capabilities import capabilities
from local_agent.envoy_admin import wait_until
from local_agent.launcher import NOT_STARTED
from local_agent.limits import rlimits
from local_agent.process_identity import ProcessIdentity, boot, environ_of, is_alive, start_ticks
from local_agent.sandbox.output import BYTES_MAX
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import sandbox_order
from local_agent.shutdown import stop_everything
from local_agent.trials import status_of_trial
from local_agent.wheel_installer import base_python
from shared.kernel.clock import SystemClock
from shared.kernel.ids import ModuleId
from shared.kernel.observation import Absent, Present, Unknown
from shared.persistence.file_trees import remove_tree
from shared.surfaces.capabilities import Feature
from shared.surfaces.configuration import configuration
from shared.surfaces.errors import BadArtifact
from shared.surfaces.observed_state import LiveComponent, Phase
from shared.surfaces.spec import HttpProbe, Resources
from tests.kit.machine_processes import workloads_below
from tests.kit.patience import PATIENCE_S
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence
from tests.surfaces.local_process_harness import (
    FolderBlobs,
    agent_harness,
    answers_at,
    local_process_harness,
    upload,
    zipped,
)

pytestmark = pytest.mark.real

STUBBORN = """
import signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Event().wait()
"""
CHATTY = """
import threading
for n in range(300_000):
    print("line", n, "x" * 20)
print("done", flush=True)
threading.Event().wait()
"""
FORKING = """
import os, time
started = 0
try:
    for _ in range(10):
        if os.fork() == 0:
            time.sleep(0.3)
            os._exit(0)
        started += 1
except BlockingIOError:
    pass
print(started)
"""
GREEDY = """
import subprocess, sys, threading
child = "import threading; held = b'x' * (60 << 20); threading.Event().wait()"
children = [subprocess.Popen([sys.executable, "-c", child]) for _ in range(3)]
threading.Event().wait()
"""


async def _ask(live: LiveComponent, path: str) -> Any:
    address = live.revisions[0].instances[0].address
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}{path}") as answer,
    ):
        return await answer.json(content_type=None)


@asynccontextmanager
async def _bystander(**environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is not ours, in a session of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE,
        env={**os.environ, **environ}, start_new_session=True,
    )  # fmt: skip
    while not environ_of(process.pid):  # empty while the kernel is inside exec
        await SystemClock().sleep(0.01)
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_a_workload_sees_its_own_environment_only(tmp_path: Path) -> None:
    os.environ["A_SECRET_OF_THE_HOST"] = "must not leak"
    async with local_process_harness(tmp_path) as harness:
        answers_at(tmp_path, "http://127.0.0.1:7071")
        asked = configuration("c0ffee", files={"app.json": "{}"})
        await harness.serve(harness.spec(1, configuration=asked, follows_configuration=True))

        environ = (await _ask(await harness.until(lambda _: True), "/"))["environ"]

        page = (REPOSITORY / "docs" / "process.md").read_text(encoding="utf-8")
        documented = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
        others = {"VIRTUAL_ENV", "RUNTIME_SECRETS"}  # of archives of packages, and of secrets
        assert documented - others == environ.keys() - {"VERSION", "LC_CTYPE"}
        place = str(tmp_path / "surface" / "sites" / ENVIRONMENT / "instances")
        assert environ["HOME"].startswith(place)
        assert environ["TMPDIR"].startswith(place)


@pytest.mark.shows(Feature.MEMORY_LIMIT, Feature.OPEN_FILES_LIMIT, on="local-process")
async def test_a_workload_that_eats_memory_harms_only_itself(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        spec = harness.spec(1, replicas=2, resources=Resources(memory_mb=128, open_files=64))
        await harness.serve(spec, weights={1: 100})
        before = await harness.until(lambda _: True)
        eater, other = before.revisions[0].instances

        with pytest.raises(aiohttp.ClientError):
            await _ask(before, "/eat")

        after = await harness.until(lambda live: live.revisions[0].ready == 2)
        assert after.revisions[0].instances[1] == other
        workload = psutil.Process(eater.pid).children(recursive=True)[-1]
        claim = next(_work(tmp_path, eater.id).parent.glob("claim-*"))
        identity = starts.read_claim(claim)
        assert identity is not None
        assert process_trees.workload_processes(identity) == [workload.pid]  # it alone is counted
        limits = _limits_of(workload.pid)
        assert re.search(rf"Max data size +{128 << 20} +{128 << 20} ", limits)
        assert re.search(r"Max open files +64 +64 ", limits)


async def test_processes_that_together_exceed_the_memory_limit_end(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        artifact = upload(FolderBlobs(tmp_path / "blobs"), zipped({"server.py": GREEDY}))
        limited = Resources(memory_mb=128)

        await harness.surface.apply(
            harness.worker(1, artifact=artifact, resources=limited), fence(1)
        )

        live = await harness.until(
            lambda live: any(i.restarts for r in live.revisions for i in r.instances)
        )
        assert live.revisions[0].instances[0].last_exit == "memory limit exceeded"


NESTED = "unshare --user --pid --fork sh -c 'echo $$; while :; do sleep 600; done' || echo refused"


async def test_a_workload_that_makes_namespaces_counts_whole(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.worker(1, command=("/bin/sh", "-c", NESTED)))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]
        folder = _work(tmp_path, instance.id).parent
        while not (output := (folder / "output.log").read_text()):
            await harness.clock.sleep(0.01)
        if output != "1\n":
            pytest.skip("a workload makes no namespaces on this machine")

        identity = starts.read_claim(next(folder.glob("claim-*")))

        assert identity is not None
        counted = {psutil.Process(pid).name() for pid in process_trees.workload_processes(identity)}
        assert counted == {"sh", "unshare", "sleep"}
        inits = [p for p in process_trees.workload_processes(identity) if _pids_of(p)[-1] == "1"]
        assert len(inits) == 1


def _pids_of(pid: int) -> list[str]:
    """Return the numbers of *pid* in its namespaces, ours first."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))


ENDLESS = """
import ctypes, mmap, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
libc.sbrk.restype = ctypes.c_void_p
size = 1 << 42
at = libc.mmap(None, size, 1, 0x4022, -1, 0)  # to read only, and nothing is reserved for it
field = ["0", "0", *open("/proc/self/stat").read().rpartition(")")[2].split()]
field = [0] + [int(f) if f.lstrip("-").isdigit() else 0 for f in field]
layout = struct.pack(
    "=12QII", field[26], field[27], field[45], field[46], field[47], libc.sbrk(0), field[28],
    field[48], field[49], at, at + size, 0, 0, 0xFFFFFFFF,
)
if libc.prctl(35, 14, layout, len(layout), 0):
    print("refused", ctypes.get_errno(), flush=True)
else:
    print("moved", flush=True)
sys.stdin.read()
"""


def test_a_trial_that_does_not_end_is_ended(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    script = f"echo $$ > {tmp_path}/pid; sleep 600"

    code = status_of_trial(tmp_path, script, None, within_s=1)

    assert code == NOT_STARTED
    assert start_ticks(int((tmp_path / "pid").read_text())) is None


ENDED_HALF_WAY = """
import os, signal
from local_agent.sandbox import identity
def end(path, _):
    print(path.split("/")[2], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
identity._write = end
identity.user_mapping(1, 2)
"""


@pytest.mark.skipif(not tried_means().is_namespaced, reason="there are no user namespaces")
async def test_what_maps_owners_ends_with_the_shim_that_needs_it() -> None:
    shim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENDED_HALF_WAY, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await shim.communicate()

    helper = int(output)

    while start_ticks(helper) is not None:
        await SystemClock().sleep(0.01)


async def test_an_environment_without_an_end_is_read_in_part() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENDLESS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if (await process.stdout.readline()) != b"moved\n":
            pytest.skip("this kernel lets no process move its environment")

        assert environ_of(process.pid) == {}
    finally:
        process.kill()
        await process.wait()


async def test_a_claim_is_of_the_boot_it_was_made_in(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.worker(1))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]
        claim = next(_work(tmp_path, instance.id).parent.glob("claim-*"))

        assert json.loads(claim.read_text())["boot"] == boot()


async def test_an_instance_whose_folder_is_gone_is_started_again(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.worker(1))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]
        await harness.kill_host()
        assert instance.pid is not None
        os.kill(instance.pid, signal.SIGKILL)
        remove_tree(_work(tmp_path, instance.id).parent)

        await harness.restart()

        await harness.until(
            lambda live: (
                live.revisions[0].ready == 1
                and live.revisions[0].instances[0].pid not in {None, instance.pid}
            )
        )


@pytest.mark.shows(Feature.PROCESSES_LIMIT, on="local-process")
async def test_a_limit_of_processes_is_offered_exactly_where_it_holds(tmp_path: Path) -> None:
    output = tmp_path / "output"
    in_force = tried_means()
    for name in ("root", "tmp"):
        (tmp_path / name).mkdir()
    pid = starts.spawn(
        tmp_path, "t", [base_python(), "-c", FORKING], environ={}, workdir=tmp_path / "tmp",
        output=output, limits=rlimits(Resources(processes=4), in_force),
        sandbox=sandbox_order(in_force, tmp_path, "t", owned=[tmp_path / "tmp"]),
    )  # fmt: skip

    await asyncio.to_thread(os.waitpid, pid, 0)

    started = int(output.read_text())
    assert started == (3 if capabilities().supports(Feature.PROCESSES_LIMIT) else 10)


@pytest.mark.parametrize("name", ["output.log", "claim-*", "order.json"])
async def test_a_workload_that_puts_a_pipe_in_place_of_a_file_of_ours_harms_only_itself(
    name: str, tmp_path: Path
) -> None:
    async with local_process_harness(tmp_path) as harness:
        trick = f"for f in ../{name}; do rm -f $f; mkfifo $f; done; exit 1"
        hostile = replace(harness.worker(1), command=("/bin/sh", "-c", trick))
        await harness.surface.apply(hostile, fence(1))
        await harness.until(lambda live: bool(live.revisions))

        other = replace(SHOP, module=ModuleId("module-other"))
        good = replace(harness.spec(1), component=other, path_prefix="/other")
        await harness.surface.apply(good, fence(2))

        live = await harness.until(lambda live: live.revisions[0].ready == 1, other)
        assert live.revisions[0].instances[0].is_ready


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("exit 3", 3, "exit status 3"),
        ("kill -TERM $$", -15, "ended by SIGTERM"),
        ("exec /no/such/program", 127, "exit status 127"),
    ],
)
async def test_an_instance_that_ended_says_how(
    script: str, code: int, words: str, tmp_path: Path
) -> None:
    async with local_process_harness(tmp_path) as harness:
        ending = replace(harness.worker(1), command=("/bin/sh", "-c", script))
        await harness.surface.apply(ending, fence(1))

        live = await harness.until(
            lambda live: any(i.restarts > 1 for r in live.revisions for i in r.instances)
        )
        instance = live.revisions[0].instances[0]
        assert (instance.exit_code, instance.last_exit) == (code, words)


async def test_a_dead_instance_is_started_again(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        before = (await harness.until(lambda _: True)).revisions[0].instances[0]
        assert before.pid is not None

        os.kill(before.pid, 9)

        after = await harness.until(
            lambda live: (
                live.revisions[0].ready == 1 and live.revisions[0].instances[0].restarts == 1
            )
        )
        assert after.revisions[0].instances[0].pid != before.pid
        assert after.revisions[0].instances[0].last_exit == "ended by SIGKILL"
        assert after.revisions[0].instances[0].started_at > before.started_at
        assert after.weights == {1: 100}


async def test_an_instance_that_is_not_live_is_started_anew(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        probe = HttpProbe("/live", period_s=0.1, failure_threshold=10)
        await harness.serve(harness.spec(1, liveness=probe))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]

        _work(tmp_path, instance.id).joinpath("sick").touch()

        await harness.until(lambda live: not live.revisions[0].instances[0].is_live)
        after = await harness.until(lambda live: live.revisions[0].phase is Phase.READY)
        assert after.revisions[0].instances[0].restarts == 1
        assert after.revisions[0].instances[0].last_exit == "liveness probe failed"
        assert not _work(tmp_path, instance.id).joinpath("sick").exists()


async def test_an_instance_that_is_not_ready_gets_no_traffic_and_is_left_running(
    tmp_path: Path,
) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        sick, well = (await harness.until(lambda _: True)).revisions[0].instances

        _work(tmp_path, sick.id).joinpath("sick").touch()
        hidden = await harness.until(lambda live: live.revisions[0].ready == 1)
        give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
        while (answers := set(await _through_the_edge(harness, 20))) != {well.id}:
            assert harness.clock.monotonic_s() < give_up_at_s, answers
        _work(tmp_path, sick.id).joinpath("sick").unlink()
        after = await harness.until(lambda live: live.revisions[0].ready == 2)

        because = {i.id: i.unready_because for i in hidden.revisions[0].instances}
        assert because == {sick.id: "ProbeFailed: GET /ready answered 503", well.id: ""}
        assert [i.message for i in after.revisions[0].instances] == ["", ""]
        assert after.revisions[0].instances[0].pid == sick.pid


async def test_an_instance_that_never_listens_is_asked_for_its_port(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.surface.apply(harness.spec(1, command=("sleep", "60")), fence(1))

        live = await harness.until(
            lambda live: any(i.message for r in live.revisions for i in r.instances)
        )

        instance = live.revisions[0].instances[0]
        assert instance.reason == "Starting"
        assert instance.address is not None
        assert f"({instance.address.rpartition(':')[2]}): does it listen" in instance.message


async def test_an_agent_that_took_an_instance_over_knows_how_it_ended(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        script = 'trap "exit 5" USR1; while :; do sleep 0.05; done'
        await harness.serve(harness.worker(1, command=("/bin/sh", "-c", script)))
        await harness.restart()
        instance = (await harness.until(lambda live: True)).revisions[0].instances[0]

        os.kill(instance.pid or 0, signal.SIGUSR1)

        after = await harness.until(lambda live: bool(live.revisions[0].instances[0].restarts))
        assert after.revisions[0].instances[0].last_exit == "exit status 5"


async def test_a_program_that_cannot_start_says_why_and_is_retried(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.surface.apply(harness.spec(1, command=("no-such-program",)), fence(1))

        live = await harness.until(
            lambda live: any(i.restarts > 1 for r in live.revisions for i in r.instances)
        )

        assert live.revisions[0].phase is Phase.STARTING
        assert live.revisions[0].reason == "Exited"
        lines = await harness.surface.logs(SHOP, live.revisions[0].instances[0].id, 1)
        assert isinstance(lines, Present)
        assert "no-such-program" in lines.value[0]


async def test_the_output_of_a_revision_that_was_removed_can_still_be_read(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.surface.apply(harness.spec(1, command=("no-such-program",)), fence(1))
        live = await harness.until(
            lambda live: any(i.restarts > 1 for r in live.revisions for i in r.instances)
        )
        instance = live.revisions[0].instances[0].id

        await harness.surface.remove(SHOP, 1, fence(1))
        while not isinstance(await harness.surface.observe(SHOP), Absent):
            await harness.clock.sleep(0.1)

        assert await harness.surface.kept_outputs(SHOP, 1) == Present((instance,))
        lines = await harness.surface.logs(SHOP, instance, 1)
        assert isinstance(lines, Present)
        assert "no-such-program" in lines.value[0]


async def test_a_process_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        artifact = upload(FolderBlobs(tmp_path / "blobs"), zipped({"server.py": STUBBORN}))
        worker = harness.worker(1, artifact=artifact, grace_s=0.5)
        await harness.serve(worker)

        await harness.surface.remove(SHOP, 1, fence(1))

        await harness.until_gone()


async def test_a_recycled_pid_is_never_killed(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1))
        ours = (await harness.until(lambda _: True)).revisions[0].instances[0]
        await harness.kill_host()
        assert ours.pid is not None
        os.kill(ours.pid, 9)
        while start_ticks(ours.pid) is not None:
            await harness.clock.sleep(0.01)
        async with _bystander() as bystander:
            claim = next(_work(tmp_path, ours.id).parent.glob("claim-*"))
            content = json.loads(claim.read_text())
            claim.write_text(json.dumps({**content, "pid": bystander.pid}))

            await harness.restart()
            after = await harness.until(lambda live: live.revisions[0].ready == 1)
            await harness.surface.remove(SHOP, 1, fence(2))
            await harness.until_gone()

            assert bystander.returncode is None
            assert start_ticks(bystander.pid) is not None
            assert after.revisions[0].instances[0].pid != bystander.pid


async def test_a_process_with_another_token_is_not_ours(tmp_path: Path) -> None:
    async with _bystander(RUNTIME_INSTANCE_TOKEN="theirs") as bystander:
        ticks = start_ticks(bystander.pid)
        assert ticks is not None
        ours = ProcessIdentity(bystander.pid, ticks, boot(), "ours")

        process_trees.terminate(ours)
        process_trees.kill(ours)

        assert not is_alive(ours)
        assert is_alive(replace(ours, token="theirs"))
        assert not is_alive(replace(ours, token="theirs", boot="an earlier one"))


async def test_a_start_that_was_declared_void_does_not_happen(tmp_path: Path) -> None:
    claim = starts.claim_file(tmp_path, "t")
    work, output = tmp_path / "work", tmp_path / "output"
    work.mkdir()
    assert starts.void_claim(claim)

    pid = starts.spawn(
        tmp_path, "t", ["/bin/sh", "-c", "touch was-here"], environ={}, workdir=work,
        output=output, limits={},
    )  # fmt: skip
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)

    assert os.waitstatus_to_exitcode(status) == 75
    assert list(work.iterdir()) == []
    assert starts.read_claim(claim) is None


async def test_a_host_killed_between_a_record_and_its_start_starts_it_once(
    tmp_path: Path,
) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        lost, kept = (await harness.until(lambda _: True)).revisions[0].instances
        await harness.kill_host()
        assert lost.pid is not None
        os.kill(lost.pid, 9)
        # A kill between the record and the start leaves a token that no process has.
        record_file = (
            tmp_path / "surface" / "sites" / ENVIRONMENT / "running" / f"{SHOP.service}.json"
        )
        record = json.loads(record_file.read_text())
        record["instances"][0]["token"] = "written-down-and-never-started"
        record_file.write_text(json.dumps(record))

        await harness.restart()

        after = await harness.until(lambda live: live.revisions[0].ready == 2)
        started, adopted = after.revisions[0].instances
        assert (adopted.id, adopted.pid) == (kept.id, kept.pid)
        assert started.id == lost.id
        servers = workloads_below(tmp_path)
        assert sorted(servers) == sorted([adopted.pid, started.pid])


async def test_a_changed_file_shows_in_the_proof(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2))
        first, _ = (await harness.until(lambda _: True)).revisions[0].instances

        _work(tmp_path, first.id).joinpath("server.py").write_text("# changed on the machine")
        proofs = await harness.surface.prove(SHOP)

        assert isinstance(proofs, Present)
        changed, whole = proofs.value
        assert changed.departs[0].startswith("content is sha256:")
        assert not changed.holds
        assert whole.holds


async def test_a_proof_goes_by_the_start_and_not_by_what_the_process_says(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        claims = f"RUNTIME_CONTENT=/usr RUNTIME_ARTIFACT=sha256:{'f' * 64} RUNTIME_VERSION=9.9"
        others = "RUNTIME_RELEASE_REVISION=7 RUNTIME_UNIT={}"
        script = f"{claims} {others} exec python server.py"
        spec = harness.spec(1, command=("/bin/sh", "-c", script), release=None)
        await harness.serve(spec)
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]

        honest = await harness.surface.prove(SHOP)
        _work(tmp_path, instance.id).joinpath("server.py").write_text("# changed on the machine")
        changed = await harness.surface.prove(SHOP)

        assert isinstance(honest, Present)
        assert isinstance(changed, Present)
        proof = honest.value[0]
        assert (proof.artifact, proof.revision, proof.release) == (spec.artifact, 1, "1.0")
        assert (proof.unit, proof.holds) == (spec.unit, True)
        assert [text.split()[0] for text in changed.value[0].departs] == ["content"]


async def test_an_instance_whose_start_is_not_on_record_is_not_proved(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]

        order = _work(tmp_path, instance.id).with_name("order.json")
        order.write_text(order.read_text().replace("/claim-", "/claim-of-another-"))
        reading = await harness.surface.prove(SHOP)

        assert isinstance(reading, Unknown)
        assert reading.reason.endswith("has no record of its start")


async def test_a_release_other_than_the_applied_one_shows_in_the_proof(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        lying = replace(harness.spec(1), environ={"VERSION": "0.9"})
        await harness.serve(lying)

        proofs = await harness.surface.prove(SHOP)

        assert isinstance(proofs, Present)
        assert proofs.value[0].departs == ("release is 0.9, expected 1.0",)


async def test_a_corrupt_state_file_starts_and_stops_nothing(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0]
        assert instance.pid is not None
        await harness.kill_host()
        harness.break_reads()

        await harness.restart()
        await harness.clock.sleep(1.0)

        assert start_ticks(instance.pid) is not None
        assert set(await _through_the_edge(harness, 5)) == {instance.id}


async def test_output_is_bounded(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        artifact = upload(FolderBlobs(tmp_path / "blobs"), zipped({"server.py": CHATTY}))
        await harness.serve(harness.worker(1, artifact=artifact))
        instance = (await harness.until(lambda _: True)).revisions[0].instances[0].id
        log = _work(tmp_path, instance).parent / "output.log"

        async def is_rotated_to_its_end() -> bool:
            lines = await harness.surface.logs(SHOP, instance, 1)
            return lines == Present(("done",)) and log.with_suffix(".log.1").exists()

        await wait_until(is_rotated_to_its_end, harness.clock, 30, "it was not")
        assert log.stat().st_size < BYTES_MAX


async def test_nothing_is_stopped_that_would_start_again_at_once(tmp_path: Path) -> None:
    async with agent_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1), weights={1: 100})

        with pytest.raises(AgentRunning, match="agent first"):
            await stop_everything(tmp_path / "surface", harness.clock)


async def test_everything_can_be_stopped_and_comes_back(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        await harness.serve(harness.spec(1, replicas=2), weights={1: 100})
        pids = [i.pid for i in (await harness.until(lambda _: True)).revisions[0].instances]
        await harness.kill_host()

        stopped = await stop_everything(tmp_path / "surface", harness.clock)
        gone = [start_ticks(pid or 0) for pid in pids]
        again = await stop_everything(tmp_path / "surface", harness.clock)
        await harness.restart()

        await harness.until(lambda live: live.revisions[0].ready == 2 and live.weights == {1: 100})
        assert (stopped, gone, again) == (3, [None, None], 0)


@pytest.mark.long
async def test_a_wheelhouse_runs_in_an_environment_of_its_own(tmp_path: Path) -> None:
    async with local_process_harness(tmp_path) as harness:
        blobs = FolderBlobs(tmp_path / "blobs")
        artifact = upload(blobs, zipped({"greeter-1.0-py3-none-any.whl": _wheel()}))
        spec = harness.spec(
            1, artifact=artifact, command=("greeter", "$PORT"), release=None,
            environ={}, readiness=None,
        )  # fmt: skip

        await harness.serve(spec, weights={1: 100})
        body = await _ask(await harness.until(lambda _: True), "/")
        proofs = await harness.surface.prove(SHOP)

        assert body["packages"] == ["greeter"]
        assert body["files"] == []
        assert isinstance(proofs, Present)
        assert proofs.value[0].holds
        broken = upload(blobs, zipped({"broken-1.0-py3-none-any.whl": b"no wheel"}))
        with pytest.raises(BadArtifact, match="install the wheels"):
            await harness.surface.apply(harness.spec(2, artifact=broken), fence(1))


def _limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


def _work(tmp_path: Path, instance: str) -> Path:
    site = tmp_path / "surface" / "sites" / ENVIRONMENT
    return site / "instances" / SHOP.service / instance / "work"


async def _through_the_edge(harness: SurfaceHarness, count: int) -> list[str]:
    """Return the instances that answered."""
    site = await harness.surface.read_site(ENVIRONMENT)
    assert isinstance(site, Present)
    instances = []
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            async with session.get(site.value.endpoint) as answer:
                environ = (await answer.json(content_type=None))["environ"]
                instances.append(environ["RUNTIME_INSTANCE_ID"])
    return instances


def _wheel() -> bytes:
    program = """
import http.server, importlib.metadata, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        names = sorted(d.name for d in importlib.metadata.distributions())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"packages": names, "files": os.listdir()}).encode())

def main():
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
    about = "greeter-1.0.dist-info"
    return zipped(
        {
            "greeter.py": program,
            f"{about}/METADATA": "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
            f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\n"
            "Tag: py3-none-any\n",
            f"{about}/entry_points.txt": "[console_scripts]\ngreeter = greeter:main\n",
            f"{about}/RECORD": "",
        }
    )


async def test_of_a_start_that_has_ended_its_exit_code_is_told_and_nothing_is_kept(
    tmp_path: Path,
) -> None:
    spawned = starts.SpawnedProcesses()
    pid = starts.spawn(
        tmp_path, "once", ["/bin/sh", "-c", "exit 7"],
        environ={}, workdir=tmp_path, output=tmp_path / "output.log", limits={},
    )  # fmt: skip
    spawned.add("once", pid)

    async def has_ended() -> bool:
        return spawned.find(tmp_path, "once") is None

    await wait_until(has_ended, SystemClock(), 20, "it did not end")

    assert spawned.end(tmp_path, "once") == 7
    assert not any(vars(spawned).values())
