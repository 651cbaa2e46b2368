"""Outside the embedded host an app ends with the name of the part that is not there yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from shared.composition import embedded
from shared.composition.azure import AzureParts
from shared.composition.parts import PartNotSupported
from shared.composition.settings import GATEWAY, ISSUERS, Need, read_settings
from shared.messaging.service_bus import ServiceBusMessages
from shared.persistence.azure_blobs import AzureBlobs
from shared.persistence.azure_tables import AzureTable
from shared.persistence.cosmos_store import CosmosStore
from shared.vault.key_vault import KeyVault
from shared.web.discovery import DiscoveredKeys
from tests.kit.apps import APPS, WHOLE_IN_AZURE

SETTINGS: Final = {
    Need.COSMOS_DB: "https://account.documents.test",
    Need.SERVICE_BUS: "shop.servicebus.test",
    Need.TABLES: "https://shop.table.test",
    Need.BLOBS: "https://shop.blob.test",
    ISSUERS: "https://login.test",
    "RUNTIME_TENANT_ISSUERS": "https://login.test",
    Need.VAULT: "https://shop.vault.test",
    GATEWAY: "https://gateway.test",
}
MISSING: Final = {
    "surfaces": lambda parts: parts.surfaces(),
    "engine": lambda parts: parts.engine(),
}


@contextmanager
def outside_a_host() -> Iterator[None]:
    installed = list(embedded._installed)
    embedded._installed.clear()
    try:
        yield
    finally:
        embedded._installed[:] = installed


@pytest.mark.parametrize("name", sorted(WHOLE_IN_AZURE))
def test_an_app_that_runs_nothing_itself_is_built_with_its_connections(name: str) -> None:
    with outside_a_host():
        assert APPS[name].bound(SETTINGS) is not None


@pytest.mark.parametrize("name", sorted(APPS.keys() - WHOLE_IN_AZURE))
def test_an_app_with_its_connections_ends_at_its_surface_or_engine(name: str) -> None:
    with (
        outside_a_host(),
        pytest.raises(PartNotSupported, match=r"have (?:a surface|the Pulumi engine)") as refused,
    ):
        APPS[name].bound(SETTINGS)

    assert "runtimectl up" in refused.value.message


@pytest.mark.parametrize("opens", MISSING.values(), ids=MISSING.keys())
def test_each_part_that_is_missing_is_refused_by_name(opens: Any) -> None:
    with pytest.raises(PartNotSupported, match="does not have"):
        opens(AzureParts(read_settings(SETTINGS)))


def test_an_app_whose_workloads_an_agent_runs_is_built(tmp_path: Path) -> None:
    with outside_a_host():
        assert (
            APPS["catalog"].bound({**SETTINGS, "RUNTIME_AGENT_FOLDER": str(tmp_path)}) is not None
        )


def test_the_parts_that_exist_are_opened_from_settings() -> None:
    parts = AzureParts(read_settings(SETTINGS))

    assert isinstance(parts.store("catalog"), CosmosStore)
    assert isinstance(parts.table("audit"), AzureTable)
    assert isinstance(parts.blobs("artifacts"), AzureBlobs)
    assert isinstance(parts.sender(), ServiceBusMessages)
    assert isinstance(parts.vault(), KeyVault)
    assert isinstance(parts.keys(), DiscoveredKeys)
    assert parts.gateway() == "https://gateway.test"
