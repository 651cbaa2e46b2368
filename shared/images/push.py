"""Pushes an image to a registry: what is there already is not sent again, the manifest comes last.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md, "Push".
"""

import asyncio
from http import HTTPStatus
from typing import BinaryIO, Final
from urllib.parse import urljoin, urlsplit

from shared.images.layout import Layout
from shared.images.port import Descriptor, ImageDenied
from shared.images.reference import ImageReference
from shared.images.registry_client import RegistryClient, bounded, refusal
from shared.images.registry_connection import Answer, origin_of
from shared.kernel.errors import Unavailable

CHUNK_BYTES: Final = 8 * 1024 * 1024
"""What one request sends, and so what is held in memory; some registries ask for more at least."""
CHUNK_BYTES_MAX: Final = 64 * 1024 * 1024
CHUNK_TIMEOUT_S: Final = 120.0
_ACTIONS: Final = "pull,push"
_BYTES: Final = {"Content-Type": "application/octet-stream"}


async def push_image(client: RegistryClient, layout: Layout, reference: ImageReference) -> str:
    """Push the image of *layout* as *reference*, by its tag; return its digest.

    Safe to repeat, and to break off: without its manifest an image is not there.

    Raises:
        Invalid: *layout* has no image.
        ImageDenied: the registry does not take it.
        Unavailable: it is away, or its answer cannot be believed.
    """
    manifest, blobs = layout.manifest()
    for blob in blobs:
        await _push_blob(client, layout, reference, blob)
    content = await asyncio.to_thread(layout.blob(manifest.digest).read_bytes)
    answer = await _ask(
        client, "PUT", reference, f"manifests/{reference.tag or manifest.digest}",
        headers={"Content-Type": manifest.media_type}, body=content,
    )  # fmt: skip
    _require(answer, {HTTPStatus.CREATED, HTTPStatus.OK}, reference)
    stated = answer.headers.get("docker-content-digest", manifest.digest)
    if stated != manifest.digest:
        raise Unavailable(f"the registry {reference.registry} has kept {stated} for {reference}")
    return manifest.digest


async def _push_blob(
    client: RegistryClient, layout: Layout, reference: ImageReference, blob: Descriptor
) -> None:
    there = await _ask(client, "HEAD", reference, f"blobs/{blob.digest}")
    if there.status == HTTPStatus.OK:
        return
    if there.status != HTTPStatus.NOT_FOUND:
        _require(there, set(), reference)
    begun = await _ask(client, "POST", reference, "blobs/uploads/", body=b"")
    _require(begun, {HTTPStatus.ACCEPTED}, reference)
    at_once = _chunk_bytes(begun)
    url = _location(begun, reference, origin_of(reference.registry))
    with layout.blob(blob.digest).open("rb") as file:
        if blob.size > at_once:
            url = await _push_chunks(client, file, reference, url, at_once)
        rest = await asyncio.to_thread(file.read, at_once)
    separator = "&" if urlsplit(url).query else "?"
    ended = await _ask(
        client, "PUT", reference, f"{url}{separator}digest={blob.digest}", headers=_BYTES, body=rest
    )
    _require(ended, {HTTPStatus.CREATED}, reference)


async def _push_chunks(
    client: RegistryClient, file: BinaryIO, reference: ImageReference, url: str, at_once: int
) -> str:
    """Send all chunks of *file*; return where the upload is ended."""
    sent = 0
    while chunk := await asyncio.to_thread(file.read, at_once):
        place = f"{sent}-{sent + len(chunk) - 1}"
        taken = await _ask(
            client, "PATCH", reference, url, headers={**_BYTES, "Content-Range": place}, body=chunk
        )
        _require(taken, {HTTPStatus.ACCEPTED}, reference)
        url = _location(taken, reference, url)
        sent += len(chunk)
    return url


async def _ask(
    client: RegistryClient,
    method: str,
    reference: ImageReference,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    async with bounded(reference.registry, CHUNK_TIMEOUT_S):
        return await client.ask(
            method, reference, path, headers=headers, body=body, actions=_ACTIONS, at_most=0
        )


def _chunk_bytes(begun: Answer) -> int:
    least = begun.headers.get("oci-chunk-min-length", "")
    asked = int(least) if least.isdecimal() and len(least) < 12 else 0  # noqa: PLR2004  digits
    return min(max(CHUNK_BYTES, asked), CHUNK_BYTES_MAX)


def _location(answer: Answer, reference: ImageReference, asked: str) -> str:
    """Return where the upload goes on: at the registry itself, since our credentials go with it."""
    url = urljoin(asked, answer.headers.get("location", ""))
    parts, own = urlsplit(url), urlsplit(origin_of(reference.registry))
    if (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
        raise Unavailable(f"the registry {reference.registry} has uploads go to another host")
    return url


def _require(answer: Answer, statuses: set[HTTPStatus], reference: ImageReference) -> None:
    if answer.status in statuses:
        return
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        raise ImageDenied(
            f"the registry {reference.registry} does not let you push to {reference.repository}:"
            f" its answer is {answer.status}"
        )
    if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ImageDenied(
            f"the registry {reference.registry} does not take {reference}: its answer is"
            f" {answer.status}"
        )
    raise refusal(answer, reference)
