"""The values of the secrets of one start: read from their vaults, and given to nothing else.

They are in the memory of this process while the start is made, and in no file of it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol

from shared.kernel.errors import Refused, Unavailable
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import RevisionSpec, SurfaceComponent
from shared.vault.port import SecretVault

WITHIN_S: Final = 5.0
"""For all secrets of a start: the instances of the site wait for it."""


class SecretSource(Protocol):
    """Where an agent finds the secrets that its instances are given."""

    def opened(
        self, uri: str, component: SurfaceComponent
    ) -> AbstractAsyncContextManager[SecretVault]:
        """Open the vault at *uri* for *component*, and close it.

        Raises:
            VaultNotAllowed: it is none that *component* may be given secrets of.
            Unavailable: it is away.
        """
        ...

    def paths(self) -> Sequence[Path]:
        """Return what of it is on this machine: no workload may read or write that."""
        ...


class SecretUnavailable(Exception):
    """The vault is away, or gives nothing just now: it is worth another try."""


class SecretRefused(Exception):
    """There is no such version, or it cannot be given; the message names it."""


@dataclass(frozen=True)
class SecretValues:
    """What one start is given, by the name of the variable or the file."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)


async def secret_values(source: SecretSource, spec: RevisionSpec) -> SecretValues:
    """Return the values of the secrets of *spec*, each in the version that it names.

    Raises:
        SecretUnavailable, SecretRefused.
    """
    variables: dict[str, str] = {}
    files: dict[str, str] = {}
    try:
        async with asyncio.timeout(WITHIN_S):
            for uri, references in _by_vault(spec):
                for reference, value in await _read(source, uri, spec.component, references):
                    if reference.variable is not None:
                        variables[reference.variable] = _of_variable(reference, value)
                    if reference.file is not None:
                        files[reference.file] = value
    except TimeoutError:
        raise SecretUnavailable(f"its vaults did not answer within {WITHIN_S:.0f} s") from None
    return SecretValues(variables, files)


def _by_vault(spec: RevisionSpec) -> Iterator[tuple[str, list[SecretReference]]]:
    references = sorted(spec.secrets, key=lambda each: each.vault)
    for uri, group in groupby(references, key=lambda each: each.vault):
        yield uri, list(group)


async def _read(
    source: SecretSource, uri: str, component: SurfaceComponent, references: list[SecretReference]
) -> list[tuple[SecretReference, str]]:
    """Return the value of each of *references*, all of the vault at *uri*."""
    asked, found = references[0], []
    try:
        async with source.opened(uri, component) as vault:
            for asked in references:
                secret = await vault.get(asked.name, asked.version)
                found.append((asked, secret.value.reveal()))
    except Refused as refused:
        raise SecretRefused(f"secret {asked.source}: {refused.message}") from None
    except Unavailable as away:
        raise SecretUnavailable(f"secret {asked.source}: {away}") from None
    return found


def _of_variable(reference: SecretReference, value: str) -> str:
    if "\0" in value:
        raise SecretRefused(
            f"secret {reference.source}: it has a NUL, which no variable can have: give it as a"
            " file"
        )
    return value
