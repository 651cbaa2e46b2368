"""The vaults that the contract suite runs against, each with a clock that a test may turn."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_cloud.vault.vault import LocalVault, Vaults
from shared.kernel.entropy import SystemEntropy
from shared.vault.port import SecretVault
from tests.kit.key_vault import VaultWire, wired_vault
from tests.kit.stores import HandClock


@dataclass
class OpenedVault:
    port: SecretVault
    embedded: LocalVault
    """The vault itself, which a test may throttle."""
    clock: HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(
    params=[
        pytest.param("file", id="embedded"),
        pytest.param("wire", id="key-vault-wire", marks=pytest.mark.real),
    ]
)
async def opened(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[OpenedVault]:
    if request.param == "wire":
        async with wired_vault(tmp_path, clock, monkeypatch) as wire:
            yield OpenedVault(wire.client, wire.vault, clock)
        return
    vault = Vaults(tmp_path, clock, SystemEntropy()).open("environment-vault")
    try:
        yield OpenedVault(vault, vault, clock)
    finally:
        vault.close()


@pytest.fixture
def vault(opened: OpenedVault) -> SecretVault:
    return opened.port


@pytest.fixture
async def wire(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VaultWire]:
    async with wired_vault(tmp_path, clock, monkeypatch) as opened:
        yield opened
