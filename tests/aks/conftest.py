"""An AKS cluster on loopback, with Azure Resource Manager before it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.managed_aks import ManagedAks, managed_aks


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ManagedAks]:
    async with managed_aks(tmp_path, monkeypatch) as served:
        yield served
