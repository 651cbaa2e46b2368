"""Resource limits that this operating system enforces on a process.

Memory is limited as data (RLIMIT_DATA: heap and private mappings), not as address space, because a
runtime may reserve far more than it uses. The limit applies to each process; the supervisor also
restarts an instance whose processes together exceed it.

The system counts processes per user, and per user namespace: an instance with either of its own can
be held to a number. Whether that works depends on kernel, settings and user, so it is tried once.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from local_agent import launcher
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import Means, sandbox_order
from local_agent.trials import status_of_trial, trial_folder
from shared.surfaces.spec import Resources

PROCESSES_MAX: Final = 1024
"""Processes and threads of an instance without a limit of its own, where that can be enforced."""


def rlimits(resources: Resources, in_force: Means) -> Mapping[str, int]:
    """Return the limits to set, by name in `resource`; core files are never written."""
    data = None if resources.memory_mb is None else resources.memory_mb * 2**20
    limits = {
        "RLIMIT_CORE": 1,  # at 0 one would be handed to a program: `shared.kernel.cores`
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
    in_force = tried_means()
    if not in_force.is_namespaced:
        return False
    with trial_folder() as trial:
        code = status_of_trial(
            trial,
            "/bin/true; exit 0",
            sandbox_order(in_force, trial, "trial", owned=[trial / "tmp"]),
            rlimits(Resources(processes=1), in_force),
        )
    return code not in {0, launcher.NOT_STARTED}
