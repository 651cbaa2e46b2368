"""The image of the container that holds the namespaces of a pod, as an OCI archive."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any, Final

from local_cluster.node_plan import PAUSE_IMAGE

_OCI: Final = "application/vnd.oci.image"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def pause_archive(program: bytes, machine: str) -> bytes:
    """Return an archive of an image that has nothing but *program*; *machine* as `uname -m` says.

    The same program gives the same bytes.
    """
    layer = _tar({"pause": (program, 0o755)})
    configuration = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    ).encode()
    packed = gzip.compress(layer, mtime=0)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _descriptor(configuration, "config.v1+json"),
            "layers": [_descriptor(packed, "layer.v1.tar+gzip")],
        }
    ).encode()
    names = {"io.containerd.image.name": PAUSE_IMAGE}
    index = {
        "schemaVersion": 2,
        "manifests": [{**_descriptor(manifest, "manifest.v1+json"), "annotations": names}],
    }
    blobs = {
        f"blobs/sha256/{_digest(content).removeprefix('sha256:')}": (content, 0o644)
        for content in (configuration, packed, manifest)
    }
    return _tar(
        {
            "oci-layout": (b'{"imageLayoutVersion":"1.0.0"}', 0o644),
            "index.json": (json.dumps(index).encode(), 0o644),
            **blobs,
        }
    )


def _descriptor(content: bytes, kind: str) -> Mapping[str, Any]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _tar(members: Mapping[str, tuple[bytes, int]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, (content, mode) in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()
