"""Removes what a cluster leaves on this machine: its own last act, and that of whoever finds it."""

import asyncio
import shutil

from local_cluster import control_groups
from local_cluster.cluster_folder import ClusterFolder
from local_cluster.network import ClusterNetwork, claimed, release
from local_cluster.programs import kill_programs, programs_of
from shared.kernel.clock import Clock
from shared.persistence.plain_files import remove

_ENDED_WITHIN_S = 5.0
_POLL_INTERVAL_S = 0.02


async def remove_leftovers(folder: ClusterFolder, clock: Clock) -> tuple[str, ...]:
    """End the programs of the cluster in *folder*, and remove its network, groups and files.

    Safe to repeat. Returns what could not be removed, in words; empty where nothing is left.
    """
    left: list[str] = []
    deadline_s = clock.monotonic_s() + _ENDED_WITHIN_S
    while await asyncio.to_thread(kill_programs, folder.path):
        if clock.monotonic_s() > deadline_s:
            left += [f"process {pid}" for pid in programs_of(folder.path)]
            break
        await clock.sleep(_POLL_INTERVAL_S)
    for network in await asyncio.to_thread(_networks, folder):
        # The groups first: whoever has the bridge has the name, and the next may take it at once.
        if not await control_groups.remove(network.name, clock):
            left.append(f"control group {network.name}")
        await asyncio.to_thread(release, network)
    for path in folder.temporary:
        await asyncio.to_thread(remove, path)
    return tuple(left)


def _networks(folder: ClusterFolder) -> list[ClusterNetwork]:
    return list(claimed(folder.path)) if shutil.which("ip") else []
