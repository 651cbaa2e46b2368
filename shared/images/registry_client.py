"""The `Images` port over registries that speak the OCI distribution specification 1.1."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic_core import from_json

from shared.connections.retry_after import retry_after_s
from shared.images.image_manifest import require_image
from shared.images.media_types import IMAGES, INDEX
from shared.images.port import (
    Descriptor,
    ImageDenied,
    ImageMissing,
    ImageUnreadable,
    Manifest,
    Referrer,
)
from shared.images.reference import ImageReference, is_digest
from shared.images.registry_authorization import RegistryAuthorization
from shared.images.registry_connection import (
    AWAY_RETRY_S,
    Answer,
    answer_of,
    away,
    origin_of,
    save_body,
)
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable

MANIFEST_MAX: Final = 4 * 1024 * 1024
"""What registries must take at least, by the specification, and most take at most."""
ERROR_MAX: Final = 64 * 1024
REFERRERS_MAX: Final = 100
TIMEOUT_S: Final = 10.0
"""For one question with all that belongs to it, tokens too: a caller waits for it."""
BLOB_TIMEOUT_S: Final = 120.0
SAVE_TIMEOUT_S: Final = 900.0
"""For a layer of a base, which somebody at a terminal waits for."""
_REDIRECTS_MAX: Final = 3
_DIGEST_HEADER: Final = "docker-content-digest"
_NOT_FOUND: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_DENIED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class RegistryClient:
    """Asks registries; the tokens of one client are kept for all its questions."""

    authorization: RegistryAuthorization
    timeout_s: float = TIMEOUT_S

    async def resolve(self, reference: ImageReference) -> str:
        found = await self.manifest(reference)
        require_image(reference, found)
        return found.digest

    async def manifest(self, reference: ImageReference) -> Manifest:
        async with bounded(reference.registry, self.timeout_s):
            return await self._manifest(reference)

    async def _manifest(self, reference: ImageReference) -> Manifest:
        answer = await self.ask(
            "GET",
            reference,
            f"manifests/{reference.version}",
            headers={"Accept": ", ".join(IMAGES)},
            at_most=MANIFEST_MAX,
        )
        if answer.status != HTTPStatus.OK:
            raise refusal(answer, reference)
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        stated = answer.headers.get(_DIGEST_HEADER, digest)
        if digest != (reference.digest or stated):
            raise ImageUnreadable(
                f"the registry {reference.registry} gave other content for {reference} than its"
                f" digest says: {digest}"
            )
        return Manifest(_media_type(answer.headers.get("content-type", "")), digest, answer.body)

    async def blob(self, reference: ImageReference, digest: str, *, at_most: int) -> bytes:
        async with bounded(reference.registry, BLOB_TIMEOUT_S):
            answer = await self.ask("GET", reference, f"blobs/{digest}", at_most=at_most)
            for _ in range(_REDIRECTS_MAX):
                if answer.status not in _REDIRECTS:
                    break
                # Storage of the registry, which needs no credential of ours, and gets none.
                url = redirected(answer, reference)
                answer = await self.authorization.connection.exchange(
                    "GET", url, reference.registry, at_most=at_most
                )
            if answer.status != HTTPStatus.OK:
                raise refusal(answer, reference)
            if digest != f"sha256:{hashlib.sha256(answer.body).hexdigest()}":
                raise ImageUnreadable(
                    f"the registry {reference.registry} gave other content than {digest}"
                )
            return answer.body

    async def save_blob(self, reference: ImageReference, blob: Descriptor, path: Path) -> None:
        """Write *blob* of the repository to *path*, which is there only when it is whole."""
        registry = reference.registry
        url = f"{origin_of(registry)}/v2/{reference.repository}/blobs/{blob.digest}"
        async with bounded(registry, SAVE_TIMEOUT_S):
            # First without its content: with what is told then, all of it comes at once.
            answer = await self.ask("HEAD", reference, f"blobs/{blob.digest}", at_most=0)
            known = self.authorization.known(registry, scope_of(reference))
            told = {"Authorization": known} if known else {}
            for _ in range(_REDIRECTS_MAX):
                if answer.status not in {HTTPStatus.OK, *_REDIRECTS}:
                    raise refusal(answer, reference)
                opened = self.authorization.connection.open("GET", url, registry, headers=told)
                async with opened as response:
                    answer = answer_of(response, b"")
                    if answer.status == HTTPStatus.OK:
                        await save_body(response, blob, path)
                        return
                    told = {}
                    url = redirected(answer, reference) if answer.status in _REDIRECTS else url
            raise refusal(answer, reference)

    async def referrers(self, reference: ImageReference) -> Sequence[Referrer]:
        async with bounded(reference.registry, self.timeout_s):
            answer = await self.ask(
                "GET",
                reference,
                f"referrers/{reference.digest}",
                headers={"Accept": INDEX},
                at_most=MANIFEST_MAX,
            )
            if answer.status == HTTPStatus.OK:
                return _referrers(answer.body)
            if answer.status in _DENIED or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise refusal(answer, reference)
            # A registry of before 1.1: its clients keep the list under a tag of that name.
            try:
                tag = str(reference.digest).replace(":", "-")
                listed = await self._manifest(replace(reference, tag=tag, digest=None))
            except ImageMissing:
                return []
            return _referrers(listed.body)

    async def ask(
        self,
        method: str,
        reference: ImageReference,
        path: str,
        *,
        at_most: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        actions: str = "pull",
    ) -> Answer:
        """Return the answer about *path* of the repository, which may be an absolute URL.

        With what the registry asks for, a token say; whatever it then refuses is an answer.

        Raises:
            ImageDenied, Unavailable: as the port.
        """
        registry, own = reference.registry, self.authorization
        scope = scope_of(reference, actions)
        url = path if "://" in path else f"{origin_of(registry)}/v2/{reference.repository}/{path}"

        async def once(authorization: str | None) -> Answer:
            told = {"Authorization": authorization} if authorization else {}
            return await own.connection.exchange(
                method, url, registry, headers={**(headers or {}), **told}, body=body,
                at_most=max(at_most, ERROR_MAX),
            )  # fmt: skip

        known = own.known(registry, scope)
        answer = await once(known)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            own.forget(registry, scope)
            authorization = await own.answer(registry, scope, answer.challenges)
            if authorization is not None and authorization != known:
                answer = await once(authorization)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500:  # noqa: PLR2004
            raise refusal(answer, reference)
        return answer


def scope_of(reference: ImageReference, actions: str = "pull") -> str:
    """Return what a token has to allow for *actions* on the repository."""
    return f"repository:{reference.repository}:{actions}"


@asynccontextmanager
async def bounded(registry: str, timeout_s: float) -> AsyncIterator[None]:
    """Give *timeout_s* seconds to what is within; then *registry* is away."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as late:
        raise away(registry, late) from None


def refusal(answer: Answer, reference: ImageReference) -> Exception:
    """Return the error of an *answer* about *reference* that is not the one that was hoped for."""
    registry, status = reference.registry, answer.status
    if status in _NOT_FOUND:
        what = f"digest {reference.digest}" if reference.digest else f"tag {reference.tag}"
        return ImageMissing(
            f"the registry {registry} has no {what} of {reference.repository}, or no such"
            f" repository: {reference}"
        )
    if status in _DENIED:
        return ImageDenied(
            f"the registry {registry} does not let this installation read {reference.repository}:"
            f" {reference}; it is private or not there, or the credentials are wrong"
        )
    throttled = status == HTTPStatus.TOO_MANY_REQUESTS
    how = "throttles" if throttled else "is away"
    return Unavailable(
        f"the registry {registry} {how}: its answer is {status}",
        retry_after_s=retry_after_s(answer.headers.get("retry-after"), AWAY_RETRY_S),
        throttled=throttled,
    )


def redirected(answer: Answer, reference: ImageReference) -> str:
    """Return where *answer* sends to. Raises Unavailable: it is no https URL, or a weaker one."""
    url = answer.headers.get("location", "")
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and reference.is_loopback):
        raise Unavailable(
            f"the registry {reference.registry} sends to an address that is not https"
        )
    return url


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()[:200]


def _referrers(body: bytes) -> Sequence[Referrer]:
    try:
        found = from_json(body)
    except ValueError:
        found = None
    listed = found.get("manifests") if isinstance(found, dict) else None
    rows = listed[:REFERRERS_MAX] if isinstance(listed, list) else []
    return [
        Referrer(str(row["digest"]), str(row.get("artifactType", ""))[:200])
        for row in rows
        if isinstance(row, dict) and is_digest(str(row.get("digest")))
    ]
