"""Ids route themselves: equal names, equal keys; another tenant's id leads elsewhere."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel import ids
from shared.kernel.errors import NotFound
from shared.kernel.ids import ModuleId, ProjectId, TenantId
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import EPOCH

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
KEY = ids.environment_key(TenantId("acme"), ProjectId("proj-web"), "shop")
MODULE = ids.module_key(TenantId("acme"), ModuleId("module-web"))
ENTROPY = SeededEntropy(1)
DEPLOYMENT = ids.deployment_id(KEY, EPOCH, ENTROPY)
EVERY = {
    "env": ids.environment_id(KEY),
    "dep": DEPLOYMENT,
    "svc": ids.service_id(KEY, MODULE),
    "gate": ids.gate_id(DEPLOYMENT, MODULE, 1, 2),
    "tb": ids.tenant_binding_id(KEY, TenantId("globex")),
    "op": ids.operation_id("environments", KEY, EPOCH, ENTROPY),
}


@given(names, names, names)
def test_the_same_names_give_the_same_key(tenant: str, project: str, name: str) -> None:
    keys = {ids.environment_key(TenantId(tenant), ProjectId(project), name) for _ in range(2)}

    assert len(keys) == 1


@given(names, names, names, names)
def test_another_tenant_has_another_key(one: str, two: str, project: str, name: str) -> None:
    keys = [
        ids.environment_key(TenantId(tenant), ProjectId(project), name) for tenant in (one, two)
    ]

    assert (keys[0] == keys[1]) == (one == two)


def test_parts_cannot_be_moved_between_names() -> None:
    one = ids.environment_key(TenantId("a"), ProjectId("bc"), "d")
    two = ids.environment_key(TenantId("ab"), ProjectId("c"), "d")

    assert one != two


@pytest.mark.parametrize("kind", EVERY)
def test_an_id_gives_back_its_key(kind: str) -> None:
    parsed = ids.parse_id(EVERY[kind], kind)

    assert (parsed.kind, parsed.environment) == (kind, KEY)
    assert parsed.module in {None, MODULE}


@pytest.mark.parametrize("app", ids.APPS)
@pytest.mark.parametrize("module", [None, MODULE], ids=["without-module", "with-module"])
def test_an_operation_s_id_gives_back_its_app(app: str, module: ids.ModuleKey | None) -> None:
    parsed = ids.parse_id(ids.operation_id(app, KEY, EPOCH, ENTROPY, m=module), "op")

    assert (parsed.app, parsed.module) == (app, module)


@pytest.mark.parametrize(
    "text",
    [
        "", "env", "env-", f"env-{KEY.upper()}", f"env-{KEY}x", f"env-{KEY}\n", f" env-{KEY}",
        f"env-{KEY}/..", f"dep-{KEY}", f"op-nobody-{KEY}-0000000000000000", "x" * 10_000,
        f"svc-{KEY}-{MODULE}-{MODULE}", "env-abcdefghijk1",
    ],
)  # fmt: skip
def test_what_has_no_such_shape_names_nothing(text: str) -> None:
    with pytest.raises(NotFound):
        ids.parse_id(text)


def test_an_id_of_another_kind_names_nothing() -> None:
    with pytest.raises(NotFound):
        ids.parse_id(EVERY["dep"], "env", "svc")


@given(st.integers(0, 10**11), st.integers(1, 10**9))
def test_ids_sort_by_their_time(at_ms: int, later_ms: int) -> None:
    first = ids.sortable(EPOCH + timedelta(milliseconds=at_ms), SeededEntropy(1))
    second = ids.sortable(EPOCH + timedelta(milliseconds=at_ms + later_ms), SeededEntropy(2))

    assert first < second
    assert len(first) == len(second) == 16
