"""Images for tests, built by the product, and what is in them."""

import gzip
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.images.build import ACCOUNTS, Base, BuiltImage, ImageSettings, build_image
from shared.images.layer import Entry, files_below
from shared.images.layout import Layout


def image(
    target: Path, files: Mapping[str, Entry], base: Base | None = None, **settings: Any
) -> BuiltImage:
    """Build an image of *files*, on nothing where no *base* is given."""
    layout = Layout(target)
    layout.make()
    own = ACCOUNTS if base is None else {}
    return build_image(layout, base or Base(), [own, files], ImageSettings(**settings))


def program(folder: Path, text: str = "print('hello')") -> Mapping[str, Entry]:
    """Write a small program to *folder*; return its files as they are in the image."""
    (folder / "sub").mkdir(parents=True)
    for name in ("b.py", "sub/a.txt"):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "b.py").chmod(0o755)
    (folder / "link").symlink_to("b.py")
    return files_below(folder, "app")


def documents(built: BuiltImage) -> tuple[Any, Any]:
    """Return manifest and configuration of an image."""
    layout = Layout(built.folder)
    manifest = json.loads(layout.blob(built.digest).read_bytes())
    return manifest, json.loads(layout.blob(manifest["config"]["digest"]).read_bytes())


def members(built: BuiltImage) -> dict[str, tarfile.TarInfo]:
    """Return what an image has, from all of its layers."""
    manifest, _ = documents(built)
    found = {}
    for layer in manifest["layers"]:
        path = Layout(built.folder).blob(layer["digest"])
        with gzip.open(path) as plain, tarfile.open(fileobj=plain) as archive:
            found |= {member.name: member for member in archive}
    return found
