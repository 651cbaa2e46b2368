"""No acknowledged version is lost when its process is killed, whoever made the key."""

import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from local_cloud.vault.vault import Vaults
from shared.kernel.entropy import SystemEntropy
from tests.kit.stores import HandClock

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.real


def killed(folder: Path, names: list[str], acknowledged: int) -> dict[str, list[str]]:
    """Let a process for each name begin a vault in *folder*; kill each after so many versions.

    Return the lines that each printed.
    """
    with ExitStack() as running:
        processes = {
            name: running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.kit.vault_writer", str(folder), name],
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=REPOSITORY,
                )
            )
            for name in names
        }
        lines: dict[str, list[str]] = {}
        for name, process in processes.items():
            assert process.stdout is not None
            lines[name] = [process.stdout.readline() for _ in range(acknowledged)]
            process.kill()
            lines[name] += process.stdout.readlines()
        return lines


@pytest.mark.parametrize("acknowledged", [1, 40])
async def test_what_two_killed_processes_set_in_a_new_vault_is_there(
    tmp_path: Path, acknowledged: int
) -> None:
    printed = killed(tmp_path / "vaults", ["a", "b"], acknowledged)

    with closing(Vaults(tmp_path / "vaults", HandClock(), SystemEntropy()).open("v")) as vault:
        for name, lines in printed.items():
            versions = [line.split() for line in lines if line.endswith("\n")]
            assert len(versions) >= acknowledged
            for number, version in versions:
                assert (await vault.get(name, version)).value.reveal() == f"{name} {number}"
            assert len(await vault.versions(name)) - len(versions) in {0, 1}
