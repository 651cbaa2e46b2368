from pathlib import Path

import pytest

from tests.infrastructure.installations import Embedded, InMemory, Installation


@pytest.fixture(
    params=["memory", pytest.param("embedded", marks=pytest.mark.real)],
)
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    return InMemory() if request.param == "memory" else Embedded(tmp_path)
