"""What a site shows of an environment beside what was provisioned, and why it may say nothing."""

from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.drift.model import infrastructure, tenancy
from function_apps.drift.model.environment_content import (
    EnvironmentContent,
    after_binding,
    after_environment_event,
)
from function_apps.drift.model.plane_scan import Part, PlaneReading
from shared.contracts.drift import Plane
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.values import ComputeTargetKind
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.observed_state import Site
from tests.drift.isolated import told
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, bound_tenant

LOCAL: Final = ComputeTargetKind.LOCAL_PROCESS
ENDPOINT: Final = "http://shop.test/"
SITE: Final = Site(ENVIRONMENT, ENDPOINT, is_ready=True, fence=7)
FOLDER: Final = {"kind": "LocalFolder", "name": "files"}
SERVER: Final = {"kind": "LocalPostgres", "name": "orders"}


def content(*data: dict[str, str], **changes: Any) -> EnvironmentContent:
    """Return a provisioned environment with *data*, to which its tenant is bound."""
    event = told(2, endpoint=ENDPOINT, dataResources=data)
    known = after_environment_event(EnvironmentContent(), event)
    bound = after_binding(known, bound_tenant(2, "Enforced"))
    assert bound is not None
    return replace(bound, **changes)


def reading(look: Reading[Site], *data: dict[str, str], **changes: Any) -> PlaneReading:
    return infrastructure.infrastructure_reading(content(*data, **changes), TENANT, {LOCAL: look})


@pytest.mark.parametrize(
    ("status", "is_unfinished"),
    [
        pytest.param(EnvironmentStatus.UPDATING, True, id="being-changed"),
        pytest.param(EnvironmentStatus.DECOMMISSIONED, False, id="gone"),
    ],
)
def test_while_it_is_changed_what_was_found_stays_and_once_it_is_gone_it_ends(
    status: EnvironmentStatus, *, is_unfinished: bool
) -> None:
    of_site = reading(Present(SITE), status=status)
    of_boundary = tenancy.tenancy_reading(content(status=status), {})

    for found in (of_site, of_boundary):
        assert found.reason is not None
        assert (found.parts, found.is_unfinished) == ((), is_unfinished)


def test_another_tenant_is_told_nothing_of_the_infrastructure() -> None:
    found = reading(Present(SITE), owner="globex")

    assert found.reason is not None
    assert (found.reason.code, found.is_unfinished) == ("OfAnotherTenant", False)


def test_a_surface_without_an_answer_is_named_with_its_reason() -> None:
    away = Unknown("the cluster does not answer")

    of_site = reading(away)
    of_boundary = tenancy.tenancy_reading(content(), {LOCAL: away})

    for found in (of_site, of_boundary):
        assert [(each.code, each.message) for each in found.unread.values()] == [
            ("Unread", "LocalProcess: the cluster does not answer")
        ]
    assert (of_site.plane, of_boundary.plane) == (Plane.INFRASTRUCTURE, Plane.TENANCY)


def test_a_site_is_compared_by_its_address_and_by_its_fence() -> None:
    (part,) = reading(Present(replace(SITE, endpoint="http://other.test/"))).parts

    assert part == Part(
        LOCAL,
        {"site": "there", "endpoint": ENDPOINT},
        {"site": "there", "endpoint": "http://other.test/"},
        7,
    )


@pytest.mark.parametrize(
    ("look", "fence"),
    [
        pytest.param(Absent(), 0, id="gone"),
        pytest.param(Present(replace(SITE, endpoint="", is_ready=False)), 7, id="without-a-part"),
    ],
)
def test_of_a_site_that_is_not_there_only_that_is_told(look: Reading[Site], fence: int) -> None:
    assert reading(look).parts == (Part(LOCAL, {"site": "there"}, {}, fence),)


def test_folders_are_compared_where_the_surface_looked_for_them() -> None:
    looked, did_not = (
        reading(Present(replace(SITE, volumes=volumes)), FOLDER) for volumes in ((), None)
    )

    assert "data/files/folder" in looked.parts[0].desired
    assert looked.unread == {}
    assert "data/files/folder" not in did_not.parts[0].desired
    assert [each.code for each in did_not.unread.values()] == ["NotShown"]


def test_a_server_is_compared_by_its_kind_also_where_no_folder_is_looked_for() -> None:
    (part,) = reading(Present(replace(SITE, volumes=("files",))), SERVER).parts

    assert part.desired == {
        "site": "there",
        "endpoint": ENDPOINT,
        "data/orders/kind": "LocalPostgres",
    }


def test_data_that_no_surface_shows_is_named_and_not_compared() -> None:
    database = {"kind": "PostgreSql", "name": "orders"}

    found = reading(Present(replace(SITE, volumes=("files",))), database)

    assert found.parts[0].desired.keys() == {"site", "endpoint"}
    assert [each.message for each in found.unread.values()] == [
        "orders (PostgreSql): no surface shows it"
    ]
