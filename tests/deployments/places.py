"""Where a module runs: a `Place` makes programs and versions of secrets, and asks instances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.deployments.driven import Driven, driven
from tests.deployments.test_secrets_are_rolled_out import MAIL
from tests.deployments.told_secrets import (
    BINDING,
    VAULT,
    live_specs,
)


@dataclass(frozen=True)
class Bound:
    """A secret of the module, and where its instances find it."""

    binding: str
    delivery: str
    target: str


SECRETS: Final[Mapping[str, Bound]] = {
    "password": Bound(BINDING, "environmentVariable", "PASSWORD"),
    "mail": Bound(MAIL, "file", "mail"),
}


@dataclass(frozen=True)
class Given:
    """What one instance has, as it says itself.

    `program` is the digest of its artifact or image, `configuration` the hash of the values that it
    reads, `secrets` the version of each secret by its name.
    """

    revision: int
    program: str
    configuration: str | None
    secrets: Mapping[str, str]


class Place(Protocol):
    """Where a module runs, and the vault of its secrets."""

    world: Driven
    vault: str

    async def component(self, content: str, **more: Any) -> Mapping[str, Any]:
        """Return the component of a release whose program and version *content* is."""
        ...

    async def add_version(self, secret: str) -> str:
        """Make a version of *secret* in the vault, with a value of its own, and return it."""
        ...

    async def disable(self, secret: str, version: str) -> None:
        """Let nobody read *version* of *secret* any more."""
        ...

    async def given(self) -> Sequence[Given]:
        """Ask all instances of the module, of whatever revision, what they have."""
        ...


@dataclass
class MemoryPlace:
    """In memory an instance is given what its revision's spec has."""

    world: Driven = field(default_factory=driven)
    vault: str = VAULT
    made: int = 0

    async def component(self, content: str, **more: Any) -> Mapping[str, Any]:
        return await self.world.component(content, version=content, **more)

    async def add_version(self, secret: str) -> str:
        self.made += 1
        return f"{secret}-{self.made}"

    async def disable(self, secret: str, version: str) -> None:
        """Nothing is read from this vault."""

    async def given(self) -> Sequence[Given]:
        counted, _ = self.world.live()
        return [
            Given(
                spec.revision,
                spec.artifact,
                spec.configuration.hash if spec.configuration else None,
                {secret.name: secret.version for secret in spec.secrets},
            )
            for spec in live_specs(self.world).values()
            for _ in range(counted[spec.revision])
        ]


def digest_of(component: Mapping[str, Any]) -> str:
    """Return the digest of the artifact or the image of *component*."""
    return str(component.get("artifactDigest") or component["image"]).rpartition("@")[2]
