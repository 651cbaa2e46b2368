"""Names on a cluster: valid, the same on every host, and never those of another component."""

import re
from itertools import product

import pytest

from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.surfaces.aks.names import Installation, component_name, revision_name
from shared.surfaces.spec import SurfaceComponent

DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
MODULES = (
    "web", "web-r1", "web-r1-r2", "web-0a1b2c3d", "web-r1-0a1b2c3d", "m-web", "1-web", "9",
    "w" * 50, "w" * 51, "w" * 63, "w" * 50 + "-r1", "a--b", component_name("web-r1"),
    component_name(component_name("web-r1")),
)  # fmt: skip


def component(module: str) -> SurfaceComponent:
    return SurfaceComponent(EnvironmentId("env-1"), TenantId("acme"), ModuleId(module))


def test_an_ordinary_module_has_its_own_name() -> None:
    assert component_name("module-shop") == "module-shop"
    assert revision_name(component("module-shop"), 3) == "module-shop-r3"


def test_no_two_components_or_revisions_share_a_name() -> None:
    names = [component_name(module) for module in MODULES]
    names += [
        revision_name(component(module), revision)
        for module, revision in product(MODULES, (1, 2, 12, 99_999_999_999))
    ]

    assert len(set(names)) == len(names)
    assert [name for name in names if not DNS_LABEL.fullmatch(name)] == []


@pytest.mark.parametrize("name", ["factory-runtime", "i", "i" * 30])
def test_namespaces_of_tenants_are_apart(name: str) -> None:
    installation = Installation(name)
    tenants = ("acme", "acme-b", "t" * 63, "t" * 62)
    environments = ("env-1", "env-1-acme")

    names = {
        installation.namespace(EnvironmentId(environment), TenantId(tenant))
        for environment, tenant in product(environments, tenants)
    }

    assert len(names) == len(tenants) * len(environments)
    assert all(DNS_LABEL.fullmatch(each) for each in names)
