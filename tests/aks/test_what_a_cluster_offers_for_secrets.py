"""Secrets are offered where all that brings them is there, else what is missing is said."""

import asyncio
from typing import Any, cast

import pytest

from shared.kernel.clock import SystemClock
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.cluster_offers import OffersReader
from shared.surfaces.aks.kinds import Kind
from shared.surfaces.aks.secret_classes import AUDIENCE, DRIVER, GROUP

WHOLE: dict[str, Any] = {"spec": {"tokenRequests": [{"audience": AUDIENCE}]}}


class Served:
    """An API server that serves *groups* and has *driver*."""

    def __init__(self, groups: frozenset[str], driver: Object | ApiRefusal | None) -> None:
        self._groups = groups
        self._driver = driver

    async def groups(self) -> frozenset[str]:
        return self._groups

    async def get(self, kind: Kind, name: str) -> Object | None:
        assert (kind.plural, name) == ("csidrivers", DRIVER)
        if isinstance(self._driver, ApiRefusal):
            raise self._driver
        return self._driver


@pytest.mark.parametrize(
    ("groups", "driver", "directory", "lack"),
    [
        pytest.param({GROUP}, WHOLE, "d", "", id="all-is-there"),
        pytest.param(set(), WHOLE, "d", f"no SecretProviderClass ({GROUP})", id="no-kind"),
        pytest.param({GROUP}, None, "d", f"no CSIDriver {DRIVER}", id="no-driver"),
        pytest.param({GROUP}, {"spec": {}}, "d", f"no tokens of {AUDIENCE}", id="no-tokens"),
        pytest.param({GROUP}, WHOLE, None, "RUNTIME_VAULT_DIRECTORY_ID", id="no-directory"),
        pytest.param(
            {GROUP},
            ApiRefusal(403, "Forbidden", "platform cannot get csidrivers", ()),
            "d",
            "platform cannot get csidrivers",
            id="rights-of-before",
        ),
    ],
)
def test_what_is_missing_is_named(
    groups: set[str], driver: Object | ApiRefusal | None, directory: str | None, lack: str
) -> None:
    api = cast("ClusterApi", Served(frozenset(groups), driver))

    offers = asyncio.run(OffersReader(api, SystemClock(), directory).read())

    assert lack in offers.lacks_secrets
    assert bool(offers.lacks_secrets) is bool(lack)
