"""A snapshot is kept whenever a service is otherwise than the last scan found it."""

import pytest

from function_apps.drift.errors import SnapshotNotFound
from function_apps.drift.use_cases.delete_snapshots import delete_old_snapshots
from shared.kernel.errors import Invalid
from tests.drift.compared import Drift, released_and_settled, virtual
from tests.drift.test_what_may_be_secret_is_not_shown import is_digest

LIST = "v1/runtime/drift/{environmentId}/snapshots"
ONE = f"{LIST}/{{snapshotId}}"
MONTH_S = 31 * 24 * 3600


async def changed_twice() -> Drift:
    made = await released_and_settled(environ={"MODE": "fast"})
    for mode in ("slow", "odd"):
        made.tamper(environ={"MODE": mode})
        await made.scan(300)
        await made.scan(300)
    return made


@virtual
async def test_there_is_one_for_each_change_newest_first() -> None:
    made = await changed_twice()

    value = (await made.get(LIST))["value"]

    assert [each["open"] for each in value] == [1, 1, 0]
    assert [each["takenAt"] for each in value] == sorted(
        (each["takenAt"] for each in value), reverse=True
    )


@virtual
async def test_a_list_goes_on_where_its_page_ended() -> None:
    made = await changed_twice()
    all_of_them = (await made.get(LIST))["value"]

    first = await made.get(LIST, {"top": 2})
    last = first["value"][-1]["snapshotId"]
    rest = await made.get(LIST, {"top": 2, "continuation": last})

    assert first["nextLink"]
    assert [*first["value"], *rest["value"]] == all_of_them
    assert rest["nextLink"] is None


@pytest.mark.parametrize("is_named", [False, True], ids=["of-all", "of-one-service"])
@virtual
async def test_a_full_last_page_has_no_link_to_a_next_one(*, is_named: bool) -> None:
    made = await changed_twice()
    service = (await made.get(LIST))["value"][0]["serviceId"]
    query = {"serviceId": service} if is_named else {}

    page = await made.get(LIST, {**query, "top": 3})

    assert (len(page["value"]), page["nextLink"]) == (3, None)


@virtual
async def test_a_list_is_of_one_service_where_it_is_named() -> None:
    made = await changed_twice()
    await made.release(1, "module-other")
    await made.scan()
    service = (await made.get(LIST))["value"][-1]["serviceId"]

    value = (await made.get(LIST, {"serviceId": service}))["value"]

    assert len(value) == 3
    assert {each["serviceId"] for each in value} == {service}


@virtual
async def test_two_snapshots_show_what_changed_between_them() -> None:
    made = await changed_twice()
    newest, _, oldest = [each["snapshotId"] for each in (await made.get(LIST))["value"]]

    shown = await made.get(ONE, {"since": oldest}, snapshotId=newest)

    (change,) = shown["changes"]
    assert change["path"] == "planes/workload/environ/MODE"
    assert change["before"] == "fast"
    assert is_digest(change["after"])
    assert shown["content"]["releaseRevision"] == 1


@virtual
async def test_they_are_kept_for_thirty_days() -> None:
    made = await changed_twice()
    newest = (await made.get(LIST))["value"][0]["snapshotId"]
    await made.app.service.clock.sleep(MONTH_S)

    deleted = await delete_old_snapshots(made.app)

    assert deleted == 3
    with pytest.raises(SnapshotNotFound):
        await made.get(ONE, snapshotId=newest)


@pytest.mark.parametrize(
    "continuation", ["x", "2026", "\ufffe", "2026-01-01T00:00:00.000000Z~' or '"]
)
@virtual
async def test_a_continuation_of_another_list_is_refused(continuation: str) -> None:
    made = await changed_twice()

    with pytest.raises(Invalid) as refusal:
        await made.get(LIST, {"continuation": continuation})

    assert refusal.value.code == "InvalidContinuation"
