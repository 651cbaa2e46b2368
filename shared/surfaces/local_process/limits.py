"""What this operating system enforces on a process, and what it cannot.

Memory is limited as data (RLIMIT_DATA: heap and private mappings), not as address space: a runtime
may reserve far more than it uses. The limit holds for each process; the supervisor also restarts
an instance whose processes together exceed it.
"""

import resource
import sys
from collections.abc import Mapping
from typing import Final

from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.spec import Resources

REPLICAS_MAX: Final = 16
"""Per component: what a developer's machine carries."""


def rlimits(resources: Resources) -> Mapping[str, int]:
    """Return the limits to set, by name in `resource`; core files are never written."""
    limits = {"RLIMIT_CORE": 0}
    if resources.memory_mb is not None:
        limits["RLIMIT_DATA"] = resources.memory_mb * 2**20
    if resources.open_files is not None:
        limits["RLIMIT_NOFILE"] = resources.open_files
    return limits


def capabilities() -> Capabilities:
    """Return what LocalProcess can do on this machine."""
    lacks = {
        Feature.CONFIGURATION_IN_PLACE: "a process gets its environment once, at its start",
        Feature.SECRET_REFERENCES: "it resolves no references; values are given at the start",
        Feature.NAMESPACES: "processes of one machine user can see each other",
        Feature.QUOTAS: "it limits each instance, not an environment's total",
        Feature.CPU_LIMIT: "without control groups a process cannot be held to a share of a CPU",
        Feature.PROCESSES_LIMIT: (
            "the system counts processes per user, and not at all for the superuser, so one "
            "workload's limit would hit all of them or none"
        ),
    }
    if sys.platform != "linux":
        lacks[Feature.MEMORY_LIMIT] = f"{sys.platform} does not enforce a memory limit"
    if not hasattr(resource, "RLIMIT_NOFILE"):
        lacks[Feature.OPEN_FILES_LIMIT] = f"{sys.platform} has no limit of open files"
    return Capabilities("LocalProcess", lacks, replicas_max=REPLICAS_MAX)
