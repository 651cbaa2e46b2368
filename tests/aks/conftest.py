"""An AKS cluster on loopback, with Azure Resource Manager before it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.kubernetes_cluster import kubernetes_cluster, namespace
from tests.kit.managed_aks import ManagedAks, managed_aks

__all__ = ["kubernetes_cluster", "namespace"]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of identities and of the authority, which take long to make."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
async def cluster(keys: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ManagedAks]:
    async with managed_aks(keys, monkeypatch) as served:
        yield served
