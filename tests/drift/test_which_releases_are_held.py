"""Which releases were rolled back and are held, in whatever order that and their ends are told."""

from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.drift.model.rolled_back import (
    CompletedRelease,
    RolledBackRelease,
    all_but_newest,
    with_completed,
    with_holds,
)
from shared.contracts.deployments import RuntimeDeploymentCompleted, RuntimeDeploymentRolledBack
from shared.kernel.clock import isoformat
from tests.kit.told import DIGEST, ENVIRONMENT, WEB, deployment_of, ended, released
from tests.kit.virtual_time import EPOCH

OTHER: Final = "module-other"


def at(minutes: float) -> str:
    return isoformat(EPOCH + timedelta(minutes=minutes))


def hold(minutes: float, module: str = WEB, version: str | None = "1.1") -> dict[str, Any]:
    return {
        "environmentId": ENVIRONMENT, "moduleId": module, "digest": DIGEST, "version": version,
        "releaseRef": "r", "deploymentId": deployment_of(1), "heldAt": at(minutes),
        "reason": {"code": "GateFailed", "message": "too slow"},
    }  # fmt: skip


def rolled_back(*holds: dict[str, Any]) -> RuntimeDeploymentRolledBack:
    event = ended(1, [released()], rolled_back=True).model_dump(mode="json", by_alias=True)
    return RuntimeDeploymentRolledBack.model_validate({**event, "holds": holds})


def completed(minutes: float, *versions: str, removed: tuple[str, ...] = ()) -> Any:
    units = [released(WEB, 3, version=each) for each in versions]
    event = ended(2, units, at=EPOCH + timedelta(minutes=minutes), removed=removed)
    assert isinstance(event, RuntimeDeploymentCompleted)
    return event


HELD: Final = RolledBackRelease("1.1", DIGEST, at(5))
DONE: Final = CompletedRelease("1.1", DIGEST, at(5))


def test_what_is_held_is_known_by_its_version_and_what_has_none_is_passed_over() -> None:
    event = rolled_back(hold(5, OTHER, version=None), hold(5))

    assert with_holds({}, {}, event) == {WEB: HELD}


@pytest.mark.parametrize(
    ("minutes", "is_held"),
    [
        pytest.param(4, False, id="an-older-one"),
        pytest.param(5, True, id="one-of-the-same-moment"),
        pytest.param(6, True, id="a-newer-one"),
    ],
)
def test_of_a_module_the_newest_hold_is_known(minutes: float, *, is_held: bool) -> None:
    after = with_holds({WEB: HELD}, {}, rolled_back(hold(minutes, version="1.2")))

    assert (after[WEB].version == "1.2") is is_held


@pytest.mark.parametrize(
    ("done", "has_ended"),
    [
        pytest.param(CompletedRelease("1.1", DIGEST, at(6)), True, id="of-the-same-after-it"),
        pytest.param(CompletedRelease("1.1", DIGEST, at(5)), False, id="of-the-same-before-it"),
        pytest.param(CompletedRelease("1.2", DIGEST, at(6)), False, id="of-another-version"),
    ],
)
def test_a_deployment_that_was_heard_first_ends_the_hold(
    done: CompletedRelease, *, has_ended: bool
) -> None:
    after = with_holds({}, {WEB: done}, rolled_back(hold(5)))

    assert after[WEB].has_ended is has_ended


def test_a_deployment_of_what_is_held_ends_the_hold_and_is_known() -> None:
    held, done = with_completed({WEB: HELD}, {}, completed(6, "1.1"))

    assert held[WEB].has_ended
    assert done == {WEB: CompletedRelease("1.1", DIGEST, at(6))}


def test_an_older_deployment_that_is_heard_late_is_not_the_last() -> None:
    _, done = with_completed({}, {WEB: DONE}, completed(4, "1.0"))

    assert done == {WEB: DONE}


def test_a_module_that_was_removed_is_known_no_more() -> None:
    _, done = with_completed({}, {OTHER: DONE}, completed(6, "1.1", removed=(OTHER,)))

    assert done.keys() == {WEB}


def test_of_many_the_newest_are_kept() -> None:
    times = {"a": at(3), "b": at(1), "c": at(2)}

    assert all_but_newest(times, 2) == {"b"}
    assert all_but_newest(times, 3) == set()
