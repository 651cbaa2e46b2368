"""Nodes load the image of a pod's own container from an archive, by the name that they ask for."""

import json
import tarfile
from pathlib import Path
from typing import Any

from local_cluster.node_plan import PAUSE_IMAGE
from local_cluster.pause_image import write_pause_archive
from shared.images.layout import Layout


def archived(folder: Path) -> Path:
    program = folder / "program"
    program.write_bytes(b"\x7fELF, or something like it")
    program.chmod(0o755)
    archive = folder / "pause.tar"
    write_pause_archive(program, archive)
    return archive


def test_the_archive_has_one_image_that_starts_the_program(tmp_path: Path) -> None:
    with tarfile.open(archived(tmp_path)) as packed:
        packed.extractall(tmp_path / "layout", filter="data")
    layout = Layout(tmp_path / "layout")

    manifest, (config, layer) = layout.manifest()
    index: Any = json.loads((layout.folder / "index.json").read_bytes())
    started: Any = json.loads(layout.blob(config.digest).read_bytes())
    with tarfile.open(layout.blob(layer.digest)) as files:
        modes = {each.name: each.mode for each in files.getmembers()}

    assert index["manifests"][0]["annotations"] == {"io.containerd.image.name": PAUSE_IMAGE}
    assert index["manifests"][0]["digest"] == manifest.digest
    assert started["config"]["Entrypoint"] == ["/pause"]
    assert started["config"]["User"] != "0"
    assert modes == {"pause": 0o755}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["layout", "pause.tar", "program"]
