"""The GitRepositories port over smart HTTP: one commit deep, at an address the guard has checked.

Two requests: which commit a branch is at, and its objects where that is another one than is known.
Protocol: https://git-scm.com/docs/http-protocol and https://git-scm.com/docs/pack-protocol,
version 0, which every server speaks. No redirect is followed, so no credential goes elsewhere.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from shared.connections.bounded_body import BodyTooLong, read_bounded
from shared.git.pack import files_of, unpack
from shared.git.port import FILE_MAX, Branch, FetchFailed, Snapshot
from shared.git.threads import in_git_thread
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Violation
from shared.kernel.trust import trusted_once
from shared.probing.guard import (
    LOOPBACK,
    Forbidden,
    Network,
    Resolve,
    resolve_by_system,
    resolve_destination,
)
from shared.probing.guarded_request import answer_of
from shared.vault.port import SecretValue

WITHIN_S: Final = 60.0
"""Both requests; what is larger than a minute is no repository of manifests."""
REFS_MAX: Final = 4 * 2**20
PACK_MAX: Final = 16 * 2**20
"""Bytes that are sent of one commit."""
LINES_MAX: Final = 100_000
"""Of one answer: a branch each, or up to 64 KB of a pack."""
_LENGTH: Final = 4
"""Digits of the length of a line, which counts them too."""
_HEX: Final = re.compile(rb"[0-9a-fA-F]{4}")
_SERVICE: Final = "git-upload-pack"
_USER: Final = "x-access-token"
"""For a credential that is a token only; hosts of repositories look at the token."""
_NEEDED: Final = frozenset({"shallow", "side-band-64k"})
_HASH: Final = re.compile(rb"[0-9a-f]{40}")
_LOCAL: Final = re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::[0-9]+)?/", re.IGNORECASE)
_WHY: Final[Mapping[int, tuple[str, str]]] = {
    HTTPStatus.UNAUTHORIZED: ("Denied", "the credential is missing, or is not taken"),
    HTTPStatus.FORBIDDEN: ("Denied", "the credential may not read it"),
    HTTPStatus.NOT_FOUND: ("NoRepository", "there is none, or the credential may not read it"),
}


class RepositoryNotAllowed(Invalid):
    """Nothing is ever asked of a repository at this URL."""


@dataclass(frozen=True)
class SmartHttpRepositories:
    """The port. *networks* are private ranges in which repositories may be.

    `plain_loopback` takes http from this machine, as the local profile does; `ca_file` has
    authorities to trust besides the machine's.
    """

    networks: Sequence[Network] = ()
    plain_loopback: bool = False
    ca_file: Path | None = None
    within_s: float = WITHIN_S
    resolve: Resolve = resolve_by_system
    _trust: list[ssl.SSLContext] = field(default_factory=list, repr=False)
    """What `ca_file` says, once it was read."""

    def check(self, url: str) -> None:
        if url.startswith("https://") or (self.plain_loopback and _LOCAL.match(url)):
            return
        expected = "https://…" + (", or http:// on this machine" if self.plain_loopback else "")
        message = f"repository: expected {expected}, got {url.partition(':')[0][:20]}"
        violation = Violation("RepositoryNotAllowed", "/repository", message, expected)
        raise RepositoryNotAllowed(message, target="/repository", details=[violation])

    async def fetch(
        self,
        branch: Branch,
        folders: Sequence[str],
        *,
        credential: SecretValue | None = None,
        known: str | None = None,
    ) -> Snapshot | None:
        self.check(branch.url)
        try:
            async with asyncio.timeout(self.within_s):
                return await self._fetch(branch, folders, credential, known)
        except TimeoutError as problem:
            message = f"the repository took longer than {self.within_s:g} s"
            raise FetchFailed(message, code="TimedOut") from problem
        except BodyTooLong as problem:
            raise FetchFailed(
                f"the repository is too large: {problem}", code="RepositoryTooLarge"
            ) from problem
        except Forbidden as problem:
            raise FetchFailed(str(problem), code="Forbidden") from problem
        except OSError as problem:
            message = f"the repository has no answer: {type(problem).__name__}"
            raise FetchFailed(message, code="Unreachable") from problem

    async def _fetch(
        self,
        branch: Branch,
        folders: Sequence[str],
        credential: SecretValue | None,
        known: str | None,
    ) -> Snapshot | None:
        root, headers = branch.url.rstrip("/"), _authorization(credential)
        refs = await self._ask(
            "GET", f"{root}/info/refs?service={_SERVICE}", headers,
            kind=f"application/x-{_SERVICE}-advertisement", at_most=REFS_MAX,
        )  # fmt: skip
        commit, capabilities = await in_git_thread(_newest, refs, branch.name)
        if commit.decode() == known:
            return None
        answer = await self._ask(
            "POST", f"{root}/{_SERVICE}",
            {**headers, "Content-Type": f"application/x-{_SERVICE}-request"},
            kind=f"application/x-{_SERVICE}-result", at_most=PACK_MAX,
            body=_request(commit, capabilities),
        )  # fmt: skip
        files = await in_git_thread(_files, answer, commit, folders)
        return Snapshot(commit.decode(), files)

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        kind: str,
        at_most: int,
        body: bytes | None = None,
    ) -> bytes:
        """Return the body of a 200 of the media type *kind*. Raises FetchFailed, OSError."""
        destination = await resolve_destination(
            url,
            owned=self._allowed(url),
            named=self._allowed(url),
            resolve=self.resolve,
        )
        async with answer_of(
            method,
            destination,
            headers=headers,
            body=body,
            trust=await trusted_once(self.ca_file, self._trust),
        ) as response:
            if response.status != HTTPStatus.OK:
                code, why = _WHY.get(response.status, _answered(response.status))
                raise FetchFailed(f"the repository cannot be read: {why}", code=code)
            if response.content_type != kind:
                message = (
                    "the repository cannot be read: its URL is not served by smart HTTP;"
                    " plain files of a repository are not read"
                )
                raise FetchFailed(message, code="NoRepository")
            return await read_bounded(response, at_most=at_most)

    def _allowed(self, url: str) -> Sequence[Network]:
        return (*self.networks, *(LOOPBACK if self.plain_loopback and _LOCAL.match(url) else ()))


def _answered(status: int) -> tuple[str, str]:
    """Return the code of a status that says nothing by itself, and what it means."""
    is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    hint = ": no redirect is followed, so name the URL that it leads to" if is_redirect else ""
    return "RepositoryRefused", f"its server answered {status}{hint}"


def _authorization(credential: SecretValue | None) -> Mapping[str, str]:
    if credential is None:
        return {}
    text = credential.reveal()
    pair = text if ":" in text else f"{_USER}:{text}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _newest(refs: bytes, branch: str) -> tuple[bytes, frozenset[str]]:
    """Return the commit of *branch*, and what the server can do. Raises FetchFailed."""
    lines = [line.rstrip(b"\n") for line in _lines(refs) if line and not line.startswith(b"#")]
    head, _, words = (lines[0] if lines else b"").partition(b"\0")
    capabilities = frozenset(words.decode("utf-8", "replace").split())
    wanted = f"refs/heads/{branch}".encode()
    commit = next(
        (line[:40] for line in [head, *lines[1:]] if line[40:41] == b" " and line[41:] == wanted),
        None,
    )
    if commit is None or not _HASH.fullmatch(commit):
        raise FetchFailed(f"the repository has no branch {branch[:80]!r}", code="NoBranch")
    if missing := sorted(_NEEDED - capabilities):
        message = f"its server cannot send one commit alone: it lacks {', '.join(missing)}"
        raise FetchFailed(message, code="ServerTooOld")
    return commit, capabilities


def _request(commit: bytes, capabilities: frozenset[str]) -> bytes:
    """Return the request for *commit* alone, without long files where the server can leave them."""
    from dulwich.protocol import pkt_line, pkt_seq  # noqa: PLC0415  heavy: where used

    asked = ["side-band-64k", "ofs-delta", "no-progress", "agent=factory-runtime"]
    lines = [b"deepen 1\n"]
    if "filter" in capabilities:
        asked.append("filter")
        lines.append(b"filter blob:limit=%d\n" % (FILE_MAX + 1))
    want = b"want %s %s\n" % (commit, " ".join(asked).encode())
    return bytes(pkt_seq(want, *lines) + pkt_line(b"done\n"))


def _files(
    answer: bytes, commit: bytes, folders: Sequence[str]
) -> Mapping[str, Mapping[str, bytes | None]]:
    pack = b"".join(_pack_parts(answer))
    return files_of(unpack(pack), bytes.fromhex(commit.decode()), folders)


def _pack_parts(answer: bytes) -> Iterator[bytes]:
    """Yield the parts of the pack: band 1; band 3 is an error, and band 2 is for people."""
    for line in _lines(answer):
        if line[:1] == b"\x01":
            yield line[1:]
        elif line[:1] == b"\x03":
            raise _refused(line[1:])
        elif line.startswith(b"ERR "):
            raise _refused(line[4:])


def _refused(said: bytes) -> FetchFailed:
    text = said.decode("utf-8", "replace").strip()[:200]
    return FetchFailed(f"the repository says: {text}", code="RepositoryRefused")


def _lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines of *content*; an empty one stands between two parts. Raises FetchFailed."""
    place = 0
    for _ in range(LINES_MAX):
        if place == len(content):
            return
        head = content[place : place + _LENGTH]
        # `int` takes more than the four digits that are allowed, such as signs.
        size = int(head, 16) if _HEX.fullmatch(head) else 1
        if 0 < size < _LENGTH:
            raise FetchFailed("what the repository sent is damaged: no length", code="Damaged")
        if place + max(size, _LENGTH) > len(content):
            raise FetchFailed("what the repository sent breaks off", code="Damaged")
        yield content[place + _LENGTH : place + size]
        place += max(size, _LENGTH)
    raise FetchFailed(
        f"the repository is too large: it sent more than {LINES_MAX} lines",
        code="RepositoryTooLarge",
    )
