"""Images of one program each, in the registry of a cluster: what pods of tests run.

The program is `crane`, which answers `GET /v2/` as the registry that it is: a real server that
needs no file but itself.
"""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests.kit.kubernetes_cluster import KubernetesCluster

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
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()
