"""The image of the container that holds the namespaces of a pod, as an OCI archive."""

import tarfile
import tempfile
from pathlib import Path

from local_cluster.node_plan import PAUSE_IMAGE
from shared.images.build import Base, ImageSettings, build_image
from shared.images.layout import Layout


def write_pause_archive(program: Path, archive: Path) -> None:
    """Write an *archive* of an image that has nothing but *program*, for nodes to load.

    Raises:
        OSError: it cannot be read or written.
    """
    settings = ImageSettings(entrypoint=("/pause",), folder="/", name=PAUSE_IMAGE)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="pause-") as folder:
        layout = Layout(Path(folder))
        layout.make()
        build_image(layout, Base(), [{"pause": program}], settings)
        with tarfile.open(archive, "w") as packed:
            packed.add(folder, arcname=".")
