"""Resource limits that this operating system enforces on a process.

Memory is limited as data (RLIMIT_DATA: heap and private mappings), not as address space, because a
runtime may reserve far more than it uses. The limit applies to each process; the supervisor also
restarts an instance whose processes together exceed it.

The system counts processes per user, and per user namespace: an instance with either of its own can
be held to a number. Whether that works depends on kernel, settings and user, so it is tried once.
"""

import resource
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from local_agent import isolation, launcher, processes, sandboxes
from local_agent.sandboxes import Means
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.spec import Resources

REPLICAS_MAX: Final = 16
"""Per component: the limit of a developer's machine."""
PROCESSES_MAX: Final = 1024
"""Processes and threads of an instance without a limit of its own, where that can be enforced."""


def rlimits(resources: Resources, in_force: Means) -> Mapping[str, int]:
    """Return the limits to set, by name in `resource`; core files are never written."""
    data = None if resources.memory_mb is None else resources.memory_mb * 2**20
    limits = {
        "RLIMIT_CORE": 0,
        "RLIMIT_DATA": data,
        "RLIMIT_NOFILE": resources.open_files,
        # The init of a workload is of its user too.
        "RLIMIT_NPROC": (resources.processes or PROCESSES_MAX) + 1
        if in_force.is_namespaced
        else None,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


@lru_cache(maxsize=1)
def enforces_process_limit() -> bool:
    """Return whether a limit of processes works here; the first call tries it, in about 50 ms."""
    in_force = isolation.means()
    if not in_force.is_namespaced:
        return False
    with sandboxes.trial_folder() as trial:
        code = processes.status_of_trial(
            trial,
            "/bin/true; exit 0",
            sandboxes.sandbox(in_force, trial, "trial", owned=[trial / "tmp"]),
            rlimits(Resources(processes=1), in_force),
        )
    return code not in {0, launcher.NOT_STARTED}


def capabilities() -> Capabilities:
    """Return what LocalProcess can do on this machine."""
    lacks = {
        Feature.CONFIGURATION_IN_PLACE: "a process gets its environment once, at its start",
        Feature.SECRET_REFERENCES: "it resolves no references; values are given at the start",
        Feature.NAMESPACES: "one machine has none to give to a tenant, as a cluster has",
        Feature.QUOTAS: "it limits each instance, not an environment's total",
        Feature.CPU_LIMIT: "without control groups a process cannot be held to a share of a CPU",
    }
    if not enforces_process_limit():
        lacks[Feature.PROCESSES_LIMIT] = (
            "it does not work on this machine: it needs a user of its own or user namespaces"
        )
    lacks |= isolation.lacks(isolation.means())
    if sys.platform != "linux":
        lacks[Feature.MEMORY_LIMIT] = f"{sys.platform} does not enforce a memory limit"
    if not hasattr(resource, "RLIMIT_NOFILE"):
        lacks[Feature.OPEN_FILES_LIMIT] = f"{sys.platform} has no limit of open files"
    return Capabilities("LocalProcess", lacks, replicas_max=REPLICAS_MAX)
