"""A state folder may be nearly anywhere; of it a workload sees its own part only."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import Means, unfit_place
from shared.kernel.observation import Present
from tests.surfaces.harness import SHOP
from tests.surfaces.local_process_harness import agent_harness

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are of Linux")
NAMESPACES = Means(is_namespaced=True, landlock=0)
NOTHING = Means(is_namespaced=False, landlock=0)


@pytest.fixture
def opt() -> Iterator[Path]:
    if not os.access("/opt", os.W_OK):
        pytest.skip("on this machine /opt is not ours")
    with TemporaryDirectory(dir="/opt") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("place", ["/dev/shm", "/proc/self", sys.base_prefix])
def test_a_folder_that_is_no_place_for_it_is_named(place: str) -> None:
    said = unfit_place(Path(place, "state"), NAMESPACES)

    assert said is not None
    assert said.startswith(f"{place}/state is below ")
    assert unfit_place(Path(place, "state"), NOTHING) is None


def test_a_place_is_judged_by_where_its_links_lead(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/shm")

    assert unfit_place(tmp_path / "link" / "state", NAMESPACES) is not None
    assert unfit_place(tmp_path / "state", NAMESPACES) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="on this machine root does not run the tests")
def test_below_a_system_folder_the_users_of_workloads_must_pass(opt: Path) -> None:
    closed = opt / "closed" / "state"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)

    assert f"{closed.parent} is closed" in (unfit_place(closed, NAMESPACES) or "")
    assert unfit_place(opt / "state", NAMESPACES) is None


@pytest.mark.real
@pytest.mark.skipif(not tried_means().is_namespaced, reason="this machine gives no namespaces")
async def test_below_a_system_folder_a_workload_sees_its_own_part_only(opt: Path) -> None:
    state = opt / "state"
    state.mkdir(mode=0o700)
    look = f"ls {state}; ls {state}/surface; cat {state}/agent.json; echo looked; exec sleep 60"
    async with agent_harness(state) as harness:
        await harness.serve(harness.worker(1, command=("/bin/sh", "-c", look)))
        live = await harness.until(lambda _: True)
        lines = await harness.surface.logs(SHOP, live.revisions[0].instances[0].id, 20)

        assert isinstance(lines, Present)
        *seen, last = lines.value
        assert last == "looked"
        assert [line for line in seen if "agent" in line and "No such file" not in line] == []
