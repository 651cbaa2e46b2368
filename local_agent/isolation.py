"""What holds a workload on this machine.

As root each start has a user of its own. Everywhere the kernel's namespaces give it a root folder
with what it needs, and processes of its own; Landlock holds files and ports, also where namespaces
cannot be had. What works depends on kernel, settings and user, so it is tried once.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from shlex import quote

from local_agent import processes, sandboxes
from local_agent.sandbox import call_filter, landlock, system_calls
from local_agent.sandboxes import Means
from shared.surfaces.capabilities import Feature


@lru_cache(maxsize=1)
def means() -> Means:
    """Return what works here; the first call tries it, in about 50 ms."""
    if sys.platform != "linux":
        return Means(is_namespaced=False, landlock=0)
    abi = system_calls.landlock_abi()
    filters = call_filter.is_available()
    for tried in (Means(True, abi, filters), Means(True, 0, filters), Means(False, abi, filters)):
        with suppress(OSError):  # a container may know none of the users that we would take
            if _works(tried):
                return tried
    return Means(is_namespaced=False, landlock=0)


def _works(tried: Means) -> bool:
    """Return whether a process starts in a sandbox of *tried*, and is held by it."""
    with sandboxes.trial_folder() as folder:
        secret = folder / "secret"
        secret.touch(0o600)
        is_apart = f"test $$ -eq 2 && test ! -e {quote(str(secret))} &&"
        checks = is_apart if tried.is_namespaced else ""
        script = f"{checks} touch {quote(str(folder / 'tmp' / 'file'))}"
        sandbox = sandboxes.sandbox(tried, folder, "trial", owned=[folder / "tmp"])
        return processes.status_of_trial(folder, script, sandbox) == 0


def lacks(in_force: Means) -> Mapping[Feature, str]:
    """Return what workloads of this machine are not isolated by, with the reason."""
    ours = f"user {os.getuid()}" if os.geteuid() else "root"
    no_namespaces = f"{ours} cannot make mount and PID namespaces on this machine"
    lacking = {}
    if not in_force.has_own_user:
        lacking[Feature.OWN_USER] = (
            no_namespaces
            if os.geteuid() == 0
            else f"the platform runs as {ours}, and only root gives each instance a user (uid)"
        )
    if not in_force.is_namespaced:
        lacking[Feature.OWN_PROCESSES] = f"{no_namespaces}: an instance sees others' processes"
        lacking[Feature.PRIVATE_FILES] = f"{no_namespaces}: " + (
            "temporary files and shared memory are everybody's; Landlock hides other files"
            if in_force.landlock
            else "an instance reads what the user of the platform reads"
        )
        lacking[Feature.READ_ONLY_PROGRAM] = f"{no_namespaces}: an instance can change its files"
    if in_force.landlock < landlock.PORTS_ABI:
        lacking[Feature.OWN_PORTS] = (
            f"it needs Landlock {landlock.PORTS_ABI} (Linux 6.7), "
            f"here is {in_force.landlock or 'none'}"
        )
    elif not in_force.has_own_ports:
        lacking[Feature.OWN_PORTS] = (
            f"{os.uname().machine} and this kernel have no filter of system calls (seccomp) that "
            "we know: MPTCP takes any port past Landlock"
        )
    return lacking
