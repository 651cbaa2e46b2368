"""G18: the inventory of 1,000 workloads on a real API server with nodes that are played (KWOK).

Cold: from a surface that has read nothing, watches not yet begun. Warm: the same inventory again.
Requests while nothing changes, and memory of the process that watches, are counted too. The time
depends on what else the machine does, so the processor time is said too, ours and the API server's.

Run as `.venv/bin/python benchmarks/g18_inventory.py [COUNT]`; `make kubebox` first.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dataclasses import replace

from cli.state_folder import REPOSITORY
from local_cluster.cluster_folder import ClusterFolder, Form
from shared.kernel.clock import SystemClock
from shared.kernel.ids import ModuleId
from shared.kernel.observation import Present
from shared.surfaces.aks import revisions
from shared.surfaces.aks.cluster_access import ClusterAccess, KubeconfigSource
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.kinds import DEPLOYMENTS, NAMESPACES
from shared.surfaces.aks.names import MANAGED, MANAGER, Installation
from shared.surfaces.aks.surface import AksSurface
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, TEMPLATE, fence

TARGETS: Final = "cold ≤ 3 s, memory ≤ 200 MiB, no request while nothing changes"
CLOCK: Final = SystemClock()
QUIET_S: Final = 20


def opened(folder: ClusterFolder) -> ClusterAccess:
    return ClusterAccess(KubeconfigSource(folder.kubeconfig, None, CLOCK), CLOCK)


async def fill(folder: ClusterFolder, count: int) -> None:
    """Make a site with *count* workloads of one pod each, and wait for the pods."""
    while folder.record() is None:
        await CLOCK.sleep(0.1)
    access = opened(folder)
    api, installation = ClusterApi(access.client), Installation()
    labels = {MANAGED: MANAGER}
    metadata = {"name": installation.name, "labels": labels}
    await api.create(
        NAMESPACES, {"apiVersion": "v1", "kind": NAMESPACES.name, "metadata": metadata}
    )
    surface = AksSurface(access.client, CLOCK, installation)
    await surface.ensure_site(SITE, fence(1))
    template = replace(TEMPLATE, image="registry.test/shop", path_prefix=None)
    for number in range(count):
        component = replace(SHOP, module=ModuleId(f"module-{number}"))
        spec = replace(template, component=component)
        await api.apply(DEPLOYMENTS, revisions.deployment(spec, installation))
    while True:
        reading = await surface.inventory(ENVIRONMENT)
        ready = [
            each
            for each in (reading.value.components if isinstance(reading, Present) else ())
            if each.revisions[0].ready
        ]
        print(f"\r{len(ready)} of {count} ready", end="", flush=True)
        if len(ready) == count:
            break
        await CLOCK.sleep(2)
    print()
    await surface.close()
    await access.close()


def api_server_cpu_s(folder: ClusterFolder) -> float:
    """Return the processor time of the API server in *folder* until now."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            if "kube-apiserver" in words and str(folder.path) in " ".join(words):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue  # it ended meanwhile
    raise AssertionError("no API server runs")


async def measure(folder: ClusterFolder, count: int) -> None:
    access = opened(folder)
    requests: list[str] = []
    client = await access.client()

    async def note(request: object) -> None:
        requests.append(str(request))

    client._client._client.event_hooks["request"].append(note)  # noqa: SLF001  no other way
    surface = AksSurface(access.client, CLOCK)
    served_s = api_server_cpu_s(folder)
    began, worked = time.perf_counter(), time.process_time()
    reading = await surface.inventory(ENVIRONMENT)
    cold_s, cold_cpu_s = time.perf_counter() - began, time.process_time() - worked
    served_s = api_server_cpu_s(folder) - served_s
    assert isinstance(reading, Present), reading
    assert len(reading.value.components) == count, len(reading.value.components)
    in_cold = len(requests)
    requests.clear()
    began = time.perf_counter()
    await surface.inventory(ENVIRONMENT)
    warm_s = time.perf_counter() - began
    in_warm = len(requests)
    requests.clear()
    await CLOCK.sleep(QUIET_S)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"cold {cold_s:.2f} s with {in_cold} requests; of the processor {cold_cpu_s:.2f} s here"
        f" and {served_s:.2f} s in the API server, beside a load of {os.getloadavg()[0]:.1f}"
    )
    print(f"warm {warm_s * 1000:.0f} ms with {in_warm}")
    print(f"{len(requests)} requests in {QUIET_S} s without a change; memory {peak_mib:.0f} MiB")
    print(f"targets: {TARGETS}")
    await surface.close()
    await access.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    if len(sys.argv) > 2:  # the side that measures: a process that has done nothing else
        asyncio.run(measure(ClusterFolder(Path(sys.argv[2])), count))
        return
    with tempfile.TemporaryDirectory(prefix="g18-") as folder:
        line = [
            sys.executable,
            "-m",
            "local_cluster",
            "--state",
            folder,
            "--form",
            Form.KWOK,
            "--nodes",
            "12",
        ]
        line += ["--cache", str(REPOSITORY / ".factory" / "cache")]
        with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as cluster:
            try:
                asyncio.run(fill(ClusterFolder(Path(folder)), count))
                subprocess.run([sys.executable, __file__, str(count), folder], check=True)
            finally:
                cluster.terminate()


if __name__ == "__main__":
    main()
