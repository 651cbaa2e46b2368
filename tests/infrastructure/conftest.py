from pathlib import Path

import pytest

from tests.infrastructure.installations import Embedded, InMemory, Installation, Served


@pytest.fixture(
    params=[
        "memory",
        pytest.param("embedded", marks=pytest.mark.real),
        pytest.param("served", marks=pytest.mark.real),
    ],
)
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    match request.param:
        case "memory":
            return InMemory()
        case "embedded":
            return Embedded(tmp_path)
    return Served(tmp_path)
