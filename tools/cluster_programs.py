"""Fills the cache with the programs of a cluster: `make kubebox`, and `make keda`.

    python -m tools.cluster_programs [--keda]

Each is built by Go from the modules that `tools/kubebox`, `tools/noderuntime` and `tools/keda` pin.
Who has built them already names the folder of the archives in `RUNTIMECTL_PROGRAM_ARCHIVES`: then
they are unpacked, and only what is not in them is built. `nft`, which sets the addresses of
Services, comes from Debian's packages, unpacked and not installed, where the machine has none.
"""

import argparse
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Final

from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.binaries import (
    CRANE,
    NFT,
    RUNTIME_PROGRAMS,
    find_nft,
    kubebox_folder,
    pinned_folder,
    runtime_folder,
)

ARCHIVES: Final = "RUNTIMECTL_PROGRAM_ARCHIVES"
PROGRAM_BYTES_MAX: Final = 2**29
"""Of one program; the largest has 164 MB."""
_CHUNK_BYTES: Final = 2**20
_KUBERNETES: Final = "v1.37.2"
_CONTAINERD: Final = "github.com/containerd/containerd/v2"
_PLUGINS: Final = "github.com/containernetworking/plugins/plugins"
_RUNC: Final = "github.com/opencontainers/runc"
_STATIC: Final = {"CGO_ENABLED": "0"}
_MODULES: Final[Mapping[str, str]] = {
    "containerd": f"{_CONTAINERD}/cmd/containerd",
    "containerd-shim-runc-v2": f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
    "ctr": f"{_CONTAINERD}/cmd/ctr",
    "runc": _RUNC,
    "bridge": f"{_PLUGINS}/main/bridge",
    "host-local": f"{_PLUGINS}/ipam/host-local",
    "loopback": f"{_PLUGINS}/main/loopback",
    "pause": "./pause",
    "registry": "github.com/distribution/distribution/v3/cmd/registry",
    CRANE: "github.com/google/go-containerregistry/cmd/crane",
}
KEDA_PROGRAMS: Final = ("keda-operator", "keda-adapter")
_DEBIAN: Final = (
    "nftables", "libnftables1", "libnftnl11", "libjansson4", "libmnl0", "libedit2", "libxtables12",
    "libbsd0", "libmd0",
)  # fmt: skip
_NFT_SCRIPT: Final = """\
#!/bin/sh
# Debian's nft, with the libraries that lie beside it.
here=$(dirname "$(readlink -f "$0")")/debian
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu) exec "$here/usr/sbin/nft" "$@"
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster_programs")
    parser.add_argument("--keda", action="store_true", help="KEDA's, and not those of a cluster")
    asked = parser.parse_args()
    cache = StateFolder(REPOSITORY / ".factory").cache
    archives = Path(os.environ[ARCHIVES]) if os.environ.get(ARCHIVES) else None
    if archives is not None and not archives.is_dir():
        raise SystemExit(f"{ARCHIVES} names {archives}, which is no folder")
    of_cluster = [(kubebox_folder(cache), fill_kubebox), (runtime_folder(cache), fill_runtime)]
    for folder, fill in [(keda_folder(cache), fill_keda)] if asked.keda else of_cluster:
        if not folder.exists():
            with new_folder(folder) as part:
                fill(part, archives)
        print(folder)
    return 0


def keda_folder(cache: Path) -> Path:
    return pinned_folder(cache, "keda")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that becomes *folder* when it is filled, and is removed when that fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        yield part
        part.chmod(0o755)
        if not folder.exists():  # else another run has filled it meanwhile
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def fill_kubebox(folder: Path, archives: Path | None) -> None:
    archive = _archive(archives, "kubebox.xz")
    if archive is not None:
        with _read(archive), lzma.open(archive) as packed:
            write_program(packed, folder / "kubebox")
        return
    version = "k8s.io/component-base/version"
    major, minor, _ = _KUBERNETES.removeprefix("v").split(".")
    # Without these it says v0.0.0, and its clients complain.
    said = {
        "gitVersion": _KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    flags = [f"-X {version}.{name}={value}" for name, value in said.items()]
    print("building kubebox: 6 minutes of two cores, 3 GB of memory, 4 GB of Go's cache")
    _go_build("kubebox", folder / "kubebox", ["."], flags)


def fill_runtime(folder: Path, archives: Path | None) -> None:
    archive = _archive(archives, "node-runtime.tar.xz")
    if archive is not None:
        with _read(archive):
            unpack_programs(archive, folder, {*RUNTIME_PROGRAMS, CRANE})
    lacking = [name for name in _MODULES if not (folder / name).exists()]
    static = [_MODULES[name] for name in lacking if name != "runc"]
    if static:
        flags = [f"-X {_CONTAINERD}/version.Version=v2.4.2"]
        tags = "no_btrfs no_devmapper no_zfs"
        _go_build("noderuntime", folder, static, flags, tags=tags)
    if "runc" in lacking:  # its seccomp is libseccomp's, by C
        _go_build(
            "noderuntime", folder, [_RUNC], ["-X main.version=1.5.3"],
            tags="seccomp", environ={"CGO_ENABLED": "1"},
        )  # fmt: skip
    if find_nft(folder) is None:
        add_nft(folder)


def fill_keda(folder: Path, archives: Path | None) -> None:
    archive = _archive(archives, "keda.tar.xz")
    if archive is not None:
        with _read(archive):
            unpack_programs(archive, folder, KEDA_PROGRAMS)
    for name in KEDA_PROGRAMS:
        if not (folder / name).exists():
            print(f"building {name}: 6 minutes of two cores, 3 GB of memory")
            package = f"github.com/kedacore/keda/v2/cmd/{name.removeprefix('keda-')}"
            _go_build("keda", folder / name, [package], [])


def add_nft(folder: Path) -> None:
    """Put Debian's `nft` into *folder*, where this machine has Debian's packages."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        print("there is no nft: Services will have no address; install nftables", file=sys.stderr)
        return
    packages = folder / "packages"
    packages.mkdir()
    try:
        _run(["apt-get", "download", "--quiet", *_DEBIAN], packages)
        for package in sorted(packages.glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(folder / "debian")], packages)
        (folder / NFT).write_text(_NFT_SCRIPT)
        (folder / NFT).chmod(0o755)
    except subprocess.CalledProcessError:
        print("nft was not downloaded: Services will have no address", file=sys.stderr)
    finally:
        shutil.rmtree(packages)


def unpack_programs(archive: Path, folder: Path, names: Collection[str]) -> None:
    """Unpack those of *names* that *archive* has into *folder*; nothing else of it is looked at.

    Raises:
        ValueError: one of them is no plain file, or too long.
    """
    with tarfile.open(archive, "r:xz") as packed:
        for member in packed:
            name = member.name.removeprefix("./")
            if name not in names:
                continue
            content = packed.extractfile(member) if member.isreg() else None
            if content is None:
                raise ValueError(f"{name} in {archive} is no plain file")
            write_program(content, folder / name)


def write_program(content: IO[bytes], path: Path) -> None:
    """Write *content* to the new file *path*, which can be run. Raises ValueError if too long."""
    written = 0
    with path.open("xb") as file:
        while part := content.read(_CHUNK_BYTES):
            written += len(part)
            if written > PROGRAM_BYTES_MAX:
                raise ValueError(f"{path.name} is longer than {PROGRAM_BYTES_MAX} bytes")
            file.write(part)
    path.chmod(0o755)


@contextmanager
def _read(archive: Path) -> Iterator[None]:
    """Name *archive* where it is damaged."""
    try:
        yield
    except (lzma.LZMAError, tarfile.TarError, EOFError) as damaged:
        raise SystemExit(f"{archive} is damaged: {damaged}") from damaged


def _archive(archives: Path | None, name: str) -> Path | None:
    found = archives and archives / name
    return found if found and found.is_file() else None


def _go_build(
    module: str, output: Path, packages: Sequence[str], flags: Sequence[str], *,
    tags: str = "", environ: Mapping[str, str] = _STATIC,
) -> None:  # fmt: skip
    if shutil.which("go") is None:
        raise SystemExit(
            f"there is no Go 1.26, which builds what a cluster needs; {ARCHIVES} names built ones"
        )
    where = f"{output}/" if output.is_dir() else str(output)
    command = [
        "go", "build", "-trimpath", "-buildvcs=false", "-tags", tags,
        "-ldflags", " ".join(["-s", "-w", *flags]), "-o", where, *packages,
    ]  # fmt: skip
    _run(command, REPOSITORY / "tools" / module, environ)


def _run(command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, cwd=folder, env={**os.environ, **(environ or {})}, check=True)


if __name__ == "__main__":
    sys.exit(main())
