"""What LocalProcess can do on this machine, and why it cannot do the rest."""

import os
import resource
import sys
from collections.abc import Mapping
from typing import Final

from local_agent.limits import enforces_process_limit
from local_agent.sandbox import landlock
from local_agent.sandbox_means import tried_means
from local_agent.sandbox_order import Means
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.data_servers import LOCAL_POSTGRES, LOCAL_VALKEY, program_folders
from shared.surfaces.errors import ServerMissing

REPLICAS_MAX: Final = 16
"""Per component: the limit of a developer's machine."""


OF_TENANTS: Final = (Feature.TENANT_DATA, Feature.TENANT_SECRETS, Feature.TENANT_IDENTITY)
"""What the sandbox of each instance does for its tenant too."""
NEVER: Final[Mapping[Feature, str]] = {
    Feature.IMAGES: "a process runs from an archive: upload one and name its artifactDigest",
    Feature.NETWORK_POLICY: "the machine's loopback is one network for all",
    Feature.WORKLOAD_IDENTITY: "a process of this machine is no identity in Azure",
    Feature.NATIVE_SCALING: "an agent starts the instances it is told to, and measures no load",
    Feature.EVENT_SCALING: "an agent starts the instances it is told to, and reads no queue",
    Feature.RESTART: "a new release, or the same again, replaces instances",
    Feature.JOBS: "an agent starts again whatever ends: run it by hand before the release",
    Feature.SCHEDULES: "an agent has no clock for runs: let a worker wait for its times",
    Feature.COMMAND_PROBES: "a probe would need a second program in the instance's sandbox",
    Feature.STARTUP_PROBES: "give the liveness probe an initialDelay",
    Feature.CONFIGURATION_IN_PLACE: "a process gets its environment once, at its start",
    Feature.NAMESPACES: "one machine has none to give to a tenant, as a cluster has",
    Feature.CPU_LIMIT: "without control groups a process cannot be held to a share of a CPU",
}
"""What no machine does for a process, and why."""
BY_MACHINE: Final[Mapping[Feature, str]] = {
    Feature.MEMORY_LIMIT: "Linux",
    Feature.OPEN_FILES_LIMIT: "Linux or macOS",
    Feature.PROCESSES_LIMIT: "root, or user namespaces",
    Feature.OWN_USER: "root",
    Feature.OWN_PROCESSES: "mount and PID namespaces",
    Feature.PRIVATE_FILES: "mount and PID namespaces",
    Feature.SECRET_REFERENCES: "Linux; files: mount namespaces, or a tmpfs of the platform's user",
    Feature.READ_ONLY_PROGRAM: "mount and PID namespaces",
    **dict.fromkeys(OF_TENANTS, "mount and PID namespaces"),
    Feature.ISOLATION_ATTEMPTS: "Linux",
    Feature.OWN_PORTS: "Landlock 4 (Linux 6.7) and seccomp",
    Feature.POSTGRES_SERVERS: "`make data-servers`",
    Feature.VALKEY_SERVERS: "`make data-servers`",
}
"""What a machine does if it has what is named."""

_SERVERS: Final = {
    Feature.POSTGRES_SERVERS: LOCAL_POSTGRES,
    Feature.VALKEY_SERVERS: LOCAL_VALKEY,
}


def capabilities() -> Capabilities:
    """Return what LocalProcess can do on this machine."""
    lacks = dict(NEVER)
    if not enforces_process_limit():
        lacks[Feature.PROCESSES_LIMIT] = (
            "it does not work on this machine: it needs a user of its own or user namespaces"
        )
    lacks |= _lacking(tried_means())
    for feature, kind in _SERVERS.items():
        try:
            program_folders(kind)
        except ServerMissing as missing:
            lacks[feature] = missing.message
    if sys.platform != "linux":
        lacks[Feature.ISOLATION_ATTEMPTS] = f"{sys.platform} has no sandbox for an instance"
        lacks[Feature.SECRET_REFERENCES] = f"{sys.platform} has no nameless files in memory"
        lacks[Feature.MEMORY_LIMIT] = f"{sys.platform} does not enforce a memory limit"
    if not hasattr(resource, "RLIMIT_NOFILE"):
        lacks[Feature.OPEN_FILES_LIMIT] = f"{sys.platform} has no limit of open files"
    return Capabilities("LocalProcess", lacks, replicas_max=REPLICAS_MAX)


def _lacking(in_force: Means) -> Mapping[Feature, str]:
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
        others = f"{no_namespaces}: an instance is not apart from those of other tenants"
        lacking |= dict.fromkeys(OF_TENANTS, others)
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
