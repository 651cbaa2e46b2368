"""Builds images from what `artifact build` takes, and pushes them."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cli import debian_base, image_parts
from cli.exit_codes import ExitCode
from cli.failure import Failure
from shared.images.build import (
    ACCOUNTS,
    Base,
    BuiltImage,
    ImageSettings,
    architecture,
    build_image,
)
from shared.images.layer import Entry
from shared.images.layout import Layout
from shared.images.reference import ImageReference, parse_reference
from shared.kernel.errors import Refused, Unavailable

if TYPE_CHECKING:
    from shared.images.registries import Password
    from shared.images.registry_client import RegistryClient

DEBIAN: Final = "debian"
SCRATCH: Final = "scratch"
_SCRATCH: Final = Base(environ={"PATH": "/app:/usr/local/bin:/usr/bin:/bin"})
T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """What goes into an image: an archive, and whether it has packages or the files of a folder."""

    archive: Path
    has_packages: bool


def build(
    source: Source, base: str, entrypoint: Sequence[str], target: Path, cache: Path
) -> BuiltImage:
    """Write the image of *source* on *base* into the folder *target*.

    *base* is `debian`, `scratch`, or the reference of an image by digest.

    Raises:
        Failure: with what to do instead.
    """
    layout = Layout(target)
    try:
        layout.make()
        with tempfile.TemporaryDirectory(prefix="image-") as temporary:
            folder = Path(temporary)
            found = image_parts.unpacked(source.archive, folder / "archive")
            stands_on = _base(base, layout, cache)
            own = ACCOUNTS if base == SCRATCH else {}
            part: Mapping[str, Entry]
            if source.has_packages:
                _refuse_packages_on_nothing(base)
                python = debian_base.PYTHON if base == DEBIAN else "/usr/bin/env python3"
                part = image_parts.packages(found, folder / "site", python, cache)
                environ = image_parts.environ_of(None)
            else:
                part = image_parts.folder_files(found)
                environ = image_parts.environ_of(found)
            settings = ImageSettings(entrypoint, environ, image_parts.FOLDER)
            return build_image(layout, stands_on, [own, part], settings)
    except Refused as refused:
        raise Failure(refused.message, ExitCode.REFUSED, code=refused.code) from refused


def _refuse_packages_on_nothing(base: str) -> None:
    if base == SCRATCH:
        raise Failure(
            "packages of Python need a base that has one, and scratch has nothing",
            ExitCode.USAGE,
            remedy=f"leave --base out, for `--base {DEBIAN}`",
        )


def _base(base: str, layout: Layout, cache: Path) -> Base:
    if base == SCRATCH:
        return _SCRATCH
    if base == DEBIAN:
        return debian_base.debian_base(layout, cache)
    reference = reference_of(base)
    if reference.digest is None:
        raise Failure(
            f"--base {base} names a tag, which is another image tomorrow",
            ExitCode.USAGE,
            remedy="name its digest: `--base registry/repository@sha256:…`",
        )
    from shared.images.pull import pull_base  # noqa: PLC0415  brings HTTP

    client = registry_client(reference, None)
    return answered(pull_base(client, reference, layout, architecture()))


def push(layout: Path, reference: ImageReference, password: "Password | None") -> str:
    """Push the image in *layout* as *reference*; return its digest.

    Raises:
        Failure: the registry is away, or does not take it.
    """
    from shared.images.push import push_image  # noqa: PLC0415  brings HTTP

    client = registry_client(reference, password)
    return answered(push_image(client, Layout(layout), reference))


def registry_client(reference: ImageReference, password: "Password | None") -> "RegistryClient":
    """Return a client of the registry of *reference*, wherever in the network it is.

    Whoever types its name on this machine may reach it by other programs too.
    """
    from shared.images.registries import Registries  # noqa: PLC0415  brings pydantic
    from shared.images.registry_authorization import RegistryAuthorization  # noqa: PLC0415
    from shared.images.registry_client import RegistryClient  # noqa: PLC0415
    from shared.images.registry_connection import RegistryConnection  # noqa: PLC0415
    from shared.kernel.clock import SystemClock  # noqa: PLC0415

    everywhere = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    connection = RegistryConnection(everywhere, plain_loopback=True, ca_file=_authorities())
    known = Registries({reference.registry: password} if password else {})
    return RegistryClient(RegistryAuthorization(connection, known, SystemClock()))


def _authorities() -> Path | None:
    named = os.environ.get("RUNTIME_CA_FILE")
    return Path(named) if named else None


def reference_of(text: str) -> ImageReference:
    """Return the reference that was typed. Raises Failure."""
    try:
        return parse_reference(text)
    except Refused as refused:
        raise Failure(refused.message, ExitCode.USAGE, code=refused.code) from refused


def answered(question: Coroutine[Any, Any, T]) -> T:
    """Return what a registry answers. Raises Failure."""
    try:
        return asyncio.run(question)
    except Refused as refused:
        raise Failure(refused.message, ExitCode.REFUSED, code=refused.code) from refused
    except Unavailable as away:
        raise Failure(away.message, ExitCode.UNAVAILABLE, remedy="try again in a moment") from away


def moved(built: BuiltImage, target: Path) -> Path:
    """Move the layout of *built* to *target*, in place of an image that is there.

    Raises:
        Failure: there is something else, or it cannot be written.
    """
    try:
        if target.exists() and any(target.iterdir()):
            json.loads((target / "oci-layout").read_bytes())["imageLayoutVersion"]
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rmdir()
        shutil.move(built.folder, target)
    except (OSError, ValueError, LookupError, TypeError) as refused:
        raise Failure(
            f"{target} has something else than the layout of an image, or cannot be written",
            ExitCode.USAGE,
            remedy="name a new folder: `--to build/image`",
        ) from refused
    return target
