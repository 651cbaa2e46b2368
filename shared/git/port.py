"""The GitRepositories port: the files that a branch has, read whole at one commit.

A repository is somebody else's: what it sends is bounded in size, number and time, and nothing of
it is kept beside what was asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from shared.contracts.values import Reason
from shared.kernel.dataclass import dataclass
from shared.vault.port import SecretValue

FILE_MAX: Final = 256 * 1024
"""Bytes of one file; a manifest takes a few KB."""


class FetchFailed(Exception):
    """Nothing was read of the repository; `reason` says why, without its credential."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.reason = Reason(code=code, message=message[:500])


@dataclass(frozen=True)
class Branch:
    """A branch of the repository at *url*."""

    url: str
    name: str


@dataclass(frozen=True)
class Snapshot:
    """Some folders at one commit.

    `files` has the bytes of each file by the path of its folder and its name, only of folders that
    are there; None of a file that is longer than FILE_MAX.
    """

    commit: str
    files: Mapping[str, Mapping[str, bytes | None]]


class GitRepositories(Protocol):
    """Reads repositories and writes none."""

    def check(self, url: str) -> None:
        """Refuse a URL at which nothing is ever asked. Raises RepositoryNotAllowed."""
        ...

    async def fetch(
        self,
        branch: Branch,
        folders: Sequence[str],
        *,
        credential: SecretValue | None = None,
        known: str | None = None,
    ) -> Snapshot | None:
        """Return *folders* at the newest commit of *branch*; None when that is the *known* one.

        *credential* is `user:password`, or a token.

        Raises:
            FetchFailed: nothing was read.
        """
        ...
