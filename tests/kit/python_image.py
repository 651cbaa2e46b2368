"""An image of the Python that runs the tests, with what one script imports: no network, no Docker.

Files have the paths of this machine. The image runs as a user without any right.
"""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

USER: Final = "65532:65532"
SCRIPT: Final = "/app/server.py"
COMMAND: Final = (str(Path(sys.executable).resolve()), "-I", SCRIPT)
BY_NAME: Final = "/usr/bin/python3"
"""Where a program finds the Python that knows it by its name only."""
_OCI: Final = "application/vnd.oci.image"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def write_image(folder: Path, script: str, imports: Iterable[str]) -> str:
    """Write an OCI layout of *script* into *folder*, and return the image's digest."""
    files = {path: Path(path).read_bytes() for path in sorted(set(_files(imports)))}
    layer = _tar({**files, SCRIPT: script.encode()})
    packed = gzip.compress(layer, compresslevel=1, mtime=0)
    (folder / "blobs" / "sha256").mkdir(parents=True)
    config = _blob(
        folder,
        "config.v1+json",
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": list(COMMAND), "User": USER},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        },
    )
    manifest = _blob(
        folder,
        "manifest.v1+json",
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": config,
            "layers": [_blob(folder, "layer.v1.tar+gzip", packed)],
        },
    )
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    index = {"schemaVersion": 2, "manifests": [manifest]}
    (folder / "index.json").write_text(json.dumps(index))
    return str(manifest["digest"])


def _files(imports: Iterable[str]) -> Iterator[str]:
    program = Path(sys.executable).resolve()
    modules = _modules(imports)
    libraries = [path for path in (str(program), *modules) if path == str(program) or ".so" in path]
    yield str(program)
    yield from modules
    # Text is decoded by modules that are found by name, when first used.
    yield from map(str, (Path(json.__file__).parent.parent / "encodings").glob("*.py"))
    linked = subprocess.run(["ldd", *libraries], capture_output=True, text=True, check=True).stdout
    for line in linked.splitlines():
        for word in line.split():
            if word.startswith("/") and not word.endswith(":"):
                yield word


def _modules(imports: Iterable[str]) -> list[str]:
    """Return the files that Python reads to import them, and before."""
    program = (
        f"import {', '.join(imports)}, sys\n"
        "for each in list(sys.modules.values()): print(getattr(each, '__file__', None) or '')"
    )
    line = [str(Path(sys.executable).resolve()), "-I", "-c", program]
    output = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    return [path for path in output.splitlines() if path.startswith(sys.base_prefix)]


def _blob(folder: Path, kind: str, content: bytes | Mapping[str, Any]) -> dict[str, Any]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    digest = _digest(data)
    (folder / "blobs" / digest.replace(":", "/")).write_bytes(data)
    return {"mediaType": f"{_OCI}.{kind}", "digest": digest, "size": len(data)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _tar(files: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    folders = {str(parent) for path in (*files, BY_NAME) for parent in Path(path).parents}
    with tarfile.open(fileobj=written, mode="w") as archive:
        for path in sorted({*folders, *files}):
            member = tarfile.TarInfo(path.removeprefix("/") or "./")
            member.mode = 0o755
            if path in files:
                member.size = len(files[path])
                archive.addfile(member, io.BytesIO(files[path]))
            else:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
        link = tarfile.TarInfo(BY_NAME.removeprefix("/"))
        link.type, link.linkname, link.mode = tarfile.SYMTYPE, COMMAND[0], 0o777
        archive.addfile(link)
    return written.getvalue()
