"""The GitRepositories port in memory, for tests on virtual time, and what drift takes with it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from function_apps.drift.ports import webhook_rate
from shared.composition.service import Service
from shared.git.port import FILE_MAX, Branch, Snapshot
from shared.git.smart_http import SmartHttpRepositories
from shared.kernel.clock import Clock
from shared.vault.port import SecretValue
from shared.web.rate_limit import RateLimit
from tests.kit.memory_vaults import MemoryVaults

REPOSITORY = "https://git.example.org/environments.git"


@dataclass
class MemoryRepositories:
    """One repository: `files` by path, as they were pushed last; a fetch takes `takes_s`.

    `asked_at_s` is when each URL was asked last, and `slow_s` how long those take that differ.
    """

    clock: Clock
    files: dict[str, bytes] = field(default_factory=dict)
    problem: Exception | None = None
    takes_s: float = 0.0
    slow_s: dict[str, float] = field(default_factory=dict)
    asked_at_s: dict[str, float] = field(default_factory=dict)
    fetches: int = 0
    at_once: int = 0
    most_at_once: int = 0
    credentials: list[str | None] = field(default_factory=list)

    @property
    def commit(self) -> str:
        text = repr(sorted(self.files.items())).encode()
        return hashlib.sha1(text, usedforsecurity=False).hexdigest()

    def push(self, files: Mapping[str, str | None]) -> str:
        """Change *files*, None removes one; return the commit."""
        for path, content in files.items():
            if content is None:
                del self.files[path]
            else:
                self.files[path] = content.encode()
        return self.commit

    def check(self, url: str) -> None:
        SmartHttpRepositories().check(url)

    async def fetch(
        self,
        branch: Branch,
        folders: Sequence[str],
        *,
        credential: SecretValue | None = None,
        known: str | None = None,
    ) -> Snapshot | None:
        self.fetches += 1
        self.asked_at_s[branch.url] = self.clock.monotonic_s()
        self.credentials.append(credential.reveal() if credential else None)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        commit, files = self.commit, dict(self.files)
        try:
            await self.clock.sleep(self.slow_s.get(branch.url, self.takes_s))
        finally:
            self.at_once -= 1
        if self.problem is not None:
            raise self.problem
        if commit == known:
            return None
        found = {folder: _in(folder, files) for folder in folders}
        return Snapshot(commit, {folder: each for folder, each in found.items() if each})


def _in(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes | None]:
    return {
        path.rpartition("/")[2]: None if len(content) > FILE_MAX else content
        for path, content in files.items()
        if path.rpartition("/")[0] == folder
    }


def git_parts(service: Service) -> tuple[MemoryRepositories, MemoryVaults, RateLimit]:
    """Return what drift takes of repositories: the port, the vaults, the rate of webhooks."""
    clock = service.clock
    return MemoryRepositories(clock), MemoryVaults(clock, service.entropy), webhook_rate(clock)
