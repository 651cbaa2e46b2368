"""A class of secrets is told from what it is to be, by those who know what that is."""

from typing import Any, Final, cast

import pytest

from shared.surfaces.aks.boundary_objects import ACCOUNTS
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import Kind
from shared.surfaces.aks.names import Installation, revision_name
from shared.surfaces.aks.secret_classes import CLASSES, class_spec
from shared.surfaces.aks.workloads import Workloads
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import SECRET_PREFIX, RevisionSpec, SurfaceComponent
from tests.kit.told import component_of
from tests.kit.virtual_time import LoopClock, run_virtual

IDENTITY: Final = "client-of-the-tenant"
SHOP: Final[SurfaceComponent] = component_of()
SPEC: Final = RevisionSpec(
    component=SHOP,
    revision=1,
    version="1.0",
    artifact="sha256:" + "1" * 64,
    command=("serve",),
    image="registry.example/shop",
    secrets=(SecretReference("database", "v3", "https://kv-shop.vault.azure.net", file="db.txt"),),
    unit={f"{SECRET_PREFIX}database": "v3"},
)


class OneClass:
    """An API server with the class of a revision, for vaults of the directory `entra`."""

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        if kind is CLASSES:
            assert name == revision_name(SHOP, 1)
            return {"spec": class_spec(SPEC, Installation(), IDENTITY, "entra")}
        assert kind is ACCOUNTS, kind
        return {"metadata": {"annotations": {"azure.workload.identity/client-id": IDENTITY}}}


@pytest.mark.parametrize(
    ("directory", "differs"),
    [
        pytest.param("entra", {}, id="the-same"),
        pytest.param("another", {"parameters/tenantID": "entra"}, id="another"),
        pytest.param(None, {}, id="an-app-that-was-told-none"),
    ],
)
def test_the_directory_is_compared_where_it_is_known(
    directory: str | None, differs: dict[str, str]
) -> None:
    async def main() -> dict[str, str]:
        nothing: Any = None
        workloads = Workloads(
            cast("ClusterApi", OneClass()), Installation(), nothing, nothing, nothing,
            LoopClock(), directory,
        )  # fmt: skip
        words = (await workloads.secret_words([SPEC]))[1]
        return {path: word for path, word in words.items() if path.startswith("parameters/")}

    assert run_virtual(main()) == differs
