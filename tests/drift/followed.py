"""Drift with a Git source: what is pushed, who says so, and when it is fetched."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from function_apps.drift.model.configuration_layers import layer_id, layer_name
from function_apps.drift.use_cases.fetch_git_sources import fetch_due_sources
from shared.contracts.configuration_merge import hash_of
from shared.contracts.configurations import ConfigurationPublished
from shared.vault.port import SecretValue, SecretVault
from tests.drift.compared import Drift, released_and_settled
from tests.kit import push
from tests.kit.memory_repositories import REPOSITORY, MemoryRepositories
from tests.kit.push import SIGNING_KEY, signature
from tests.kit.service import TENANT
from tests.kit.told import DIGEST, ENVIRONMENT, KEY, WEB

SOURCES: Final = "v1/runtime/git-sources"
WEBHOOK: Final = f"{SOURCES}/{{sourceId}}/webhook"
CREDENTIAL: Final = "https://ann:secret@git.example.org"
FOLLOW: Final[Mapping[str, Any]] = {
    "repository": REPOSITORY,
    "path": "environments",
    "environmentIds": [ENVIRONMENT],
    "webhookSecretRef": "git-webhook",
}
NAME: Final = "shop"
"""Of the environment."""


def manifest(version: str = "1.0", **changes: Any) -> str:
    """Return a release file of WEB, as JSON."""
    return push.manifest(WEB, version, **{"artifact": DIGEST, **changes})


@dataclass
class Followed:
    """Drift whose environment has a source, and the repository of it in memory."""

    drift: Drift
    repository: MemoryRepositories
    source_id: str

    async def push(self, files: Mapping[str, str | None]) -> str:
        """Change files of the environment's folder, and have a webhook say so."""
        commit = self.repository.push(
            {f"environments/{NAME}/{name}": content for name, content in files.items()}
        )
        await self.webhook()
        return commit

    async def webhook(self, content: bytes = b"{}", **changes: Any) -> None:
        await self.drift.call(
            "POST",
            WEBHOOK,
            None,
            {"tenant": TENANT, **changes.pop("query", {})},
            content=content,
            **{"signature": signature(content), "sourceId": self.source_id, **changes},
        )

    async def look(self, after_s: float = 30.0) -> None:
        """Run the timers: fetch what is due, then scan what is due."""
        await self.drift.app.service.clock.sleep(after_s)
        await fetch_due_sources(self.drift.app)
        await self.drift.scan()

    async def source(self) -> Mapping[str, Any]:
        return await self.drift.get(f"{SOURCES}/{{sourceId}}", sourceId=self.source_id)


def vault_of(made: Drift) -> SecretVault:
    """Return the vault of the environment, which has the secrets of its source."""
    return made.app.vaults.at(made.app.vaults.of_environment(KEY, {}))


async def followed(files: Mapping[str, str] | None = None, **changes: Any) -> Followed:
    """Return drift after one release of WEB, with a source that says what *files* have."""
    made = await released_and_settled()
    repository = made.app.repositories
    assert isinstance(repository, MemoryRepositories)
    given = {"web.json": manifest()} if files is None else files
    repository.push({f"environments/{NAME}/{name}": text for name, text in given.items()})
    vault = vault_of(made)
    await vault.set("git-webhook", SecretValue(SIGNING_KEY))
    await vault.set("git-token", SecretValue(CREDENTIAL))
    answered = await made.post(SOURCES, {**FOLLOW, **changes})
    found = Followed(made, repository, answered["sourceId"])
    await found.look(0)
    return found


def published(
    layer: str, version: int, values: Mapping[str, Any], module: str = WEB
) -> ConfigurationPublished:
    """Return that *version* of a layer has *values*; its revision is the version."""
    is_tenant, of_module = layer == "tenant", module if layer == "module" else None
    name = layer_name(layer, of_module)
    identity = layer_id(name, KEY, TENANT)
    return ConfigurationPublished.model_validate(
        {
            "aggregateId": identity,
            "revision": version,
            "configurationId": identity,
            "environmentId": None if is_tenant else ENVIRONMENT,
            "moduleId": of_module,
            "layer": layer,
            "scope": "it",
            "version": version,
            "contentHash": hash_of(values),
            "status": "Published",
            "values": values,
        }
    )


def layers(*entries: Mapping[str, Any]) -> str:
    """Return a file of layers, as JSON."""
    return json.dumps({"configuration": list(entries)})
