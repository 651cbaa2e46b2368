"""What holds a workload on this machine: the means of a sandbox that work here.

As root each start has a user of its own. Everywhere the kernel's namespaces give it a root folder
with what it needs, and processes of its own; Landlock holds files and ports, also where namespaces
cannot be had. What works depends on kernel, settings and user, so it is tried once.
"""

import sys
from contextlib import suppress
from functools import lru_cache
from shlex import quote

from local_agent.sandbox import call_filter, system_calls
from local_agent.sandbox_order import Means, sandbox_order
from local_agent.trials import status_of_trial, trial_folder


@lru_cache(maxsize=1)
def tried_means() -> Means:
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
    with trial_folder() as folder:
        secret = folder / "secret"
        secret.touch(0o600)
        is_apart = f"test $$ -eq 2 && test ! -e {quote(str(secret))} &&"
        checks = is_apart if tried.is_namespaced else ""
        script = f"{checks} touch {quote(str(folder / 'tmp' / 'file'))}"
        sandbox = sandbox_order(tried, folder, "trial", owned=[folder / "tmp"])
        return status_of_trial(folder, script, sandbox) == 0
