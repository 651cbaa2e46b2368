"""An environment of a world whose desired state is in a Git repository."""

from collections.abc import Mapping
from typing import Any

from shared.kernel.ids import parse_id
from shared.vault.port import SecretValue
from tests.kit.memory_repositories import REPOSITORY, MemoryRepositories
from tests.kit.push import SIGNING_KEY, manifest, signature
from tests.kit.world import World


def source(environment: str) -> Mapping[str, Any]:
    """Return the body that asks for a source of *environment*."""
    return {
        "repository": REPOSITORY,
        "environmentIds": [environment],
        "webhookSecretRef": "git-webhook",
    }


async def follow(world: World, environment: str, version: str = "9") -> Mapping[str, Any]:
    """Follow a repository that says a *version* of the module web; return the source, fetched."""
    _push(world, version)
    key = parse_id(environment, "env").environment
    vault = world.vaults.at(world.vaults.of_environment(key, {}))
    await vault.set("git-webhook", SecretValue(SIGNING_KEY))
    _, followed = await world.call("POST", "/runtime/git-sources", source(environment))
    await world.clock.sleep(60)
    found: Mapping[str, Any] = followed
    return found


def _push(world: World, version: str) -> None:
    assert isinstance(world.repositories, MemoryRepositories)
    world.repositories.push({"shop/web.json": manifest("module-web", version)})


async def push(world: World, followed: Mapping[str, Any], version: str) -> None:
    """Push another *version*, and have a signed webhook say so."""
    _push(world, version)
    headers = {"x-hub-signature-256": signature(b"{}")}
    path = followed["webhook"].removeprefix("/v1")
    status, _ = await world.call("POST", path, b"{}", headers=headers)
    assert status == 202
