"""Images of one program each, in the registry of a cluster: what pods of tests run.

The program is `crane`, which answers `GET /v2/` as the registry that it is: a real server that
needs no file but itself.
"""

import io
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Final

from shared.kernel.clock import SystemClock
from tests.kit.kubernetes_cluster import KubernetesCluster
from tests.kit.patience import PATIENCE_S

PORT: Final = 8080
_COMMAND: Final = ("registry", "serve", f"--address=:{PORT}")


def push_server(cluster: KubernetesCluster, name: str, layer: Path) -> str:
    """Push an image that serves at PORT; return its name with its digest. *layer* is scratch."""
    assert cluster.runtime is not None, "a cluster with a registry has the node runtime"
    crane = cluster.runtime / "crane"
    _write_layer(crane, layer)
    reference = f"{cluster.record.registry}/{name}:1"
    _run(crane, "append", "--oci-empty-base", "-f", str(layer), "-t", reference)
    entry = [f"--entrypoint=/{crane.name}", *(f"--cmd={word}" for word in _COMMAND)]
    _run(crane, "mutate", reference, *entry, "--user=65532", "-t", reference)
    return f"{cluster.record.registry}/{name}@{_run(crane, 'digest', reference)}"


def _write_layer(program: Path, layer: Path) -> None:
    content = program.read_bytes()
    with tarfile.open(layer, "w") as packed:
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        packed.addfile(temporary)
        member = tarfile.TarInfo(program.name)
        member.size, member.mode = len(content), 0o755
        packed.addfile(member, io.BytesIO(content))


def _run(*words: str | Path) -> str:
    """Return what a program prints; again while the registry is away, which a test kills."""
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + PATIENCE_S
    while True:
        ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            return ended.stdout.strip()
        is_away = "connection refused" in ended.stderr
        assert is_away, ended.stderr
        assert clock.monotonic_s() < give_up_at_s, ended.stderr
        threading.Event().wait(0.1)
