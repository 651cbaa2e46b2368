"""A workload that attacks: what is beside it serves every request, and nothing of it stays.

As root and as a normal user; between its attack and its removal the agent is killed.
"""

import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import pytest

from tests.surfaces.accounts import account
from tests.surfaces.hostile_neighbour import ATTACKS

pytestmark = [
    pytest.mark.real,
    pytest.mark.long(minutes=3),
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are of Linux"),
]
ATTACK_S: Final = 1.0


@lru_cache(maxsize=2)
def _seen(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return what each attack did, on a platform that the account *name* runs."""
    with account(name) as platform:
        printed = platform.run_module(
            "tests.surfaces.hostile_neighbour", str(platform.folder), str(ATTACK_S), within_s=1800
        )
    lines = (json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    return {line["attack"]: line for line in lines}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "platform",
    [
        pytest.param("root", marks=[pytest.mark.xdist_group("hostile-root"), pytest.mark.sweep]),
        pytest.param("user", marks=pytest.mark.xdist_group("hostile-user")),
    ],
)
def test_an_attack_costs_others_no_request_and_leaves_nothing(platform: str, attack: str) -> None:
    seen = _seen(platform)[attack]

    assert (seen["failed"], seen["restarted"], seen["left"]) == (0, 0, [])
