"""What is in force otherwise than Git says, what is held and left out, and whose word it is."""

from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.comparison import Change
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.git_comparison import (
    DesiredByGit,
    git_differences,
    rolled_back_reasons,
)
from function_apps.drift.model.git_source import new_source
from function_apps.drift.model.git_state import DesiredEnvironment, DesiredModule
from function_apps.drift.model.rolled_back import RolledBackRelease
from function_apps.drift.model.service_differences import Difference
from shared.contracts.drift import DriftKind, FollowGitSource, Plane
from tests.drift.followed import FOLLOW
from tests.drift.test_what_a_baseline_takes_from_events import FRESH, released_at
from tests.kit.memory_repositories import REPOSITORY
from tests.kit.told import DIGEST, ENVIRONMENT, WEB
from tests.kit.virtual_time import EPOCH

COMMIT: Final = "0123456789abcdef" + "0" * 24
SOURCE: Final = new_source(FollowGitSource.model_validate(FOLLOW), "gs-1", "acme", EPOCH)
SCAN: Final = EnvironmentScan(ENVIRONMENT)
OTHER: Final = "sha256:" + "9" * 64
RELEASED: Final = released_at(1, 0, image="registry.test/web:1", replicas=3).component
assert RELEASED is not None


def git(module: str = WEB, **words: str) -> DesiredByGit:
    """Return a source that says *words*, with `_` for `/`, of *module*."""
    said = {path.replace("_", "/"): word for path, word in words.items()}
    desired = DesiredModule(module, "web.json", COMMIT, said)
    return DesiredByGit(SOURCE, DesiredEnvironment(ENVIRONMENT, modules=(desired,)))


def baseline(**changes: Any) -> ServiceBaseline:
    return replace(released_at(1, 0, image="registry.test/web:1", replicas=3), **changes)


def found(said: DesiredByGit | None, known: ServiceBaseline | None = None) -> list[Any]:
    """Return each difference as its plane, path, kind and both words."""
    differences = git_differences(said, known or baseline(), SCAN)
    changes = [(each.plane, each.change) for each in differences]
    return [(plane, each.path, each.kind, each.desired, each.actual) for plane, each in changes]


def test_the_word_of_git_is_named_by_commit_and_repository() -> None:
    said = git(workload_version="1.0")

    assert said.basis(WEB) == f"commit 0123456789ab of {REPOSITORY} says so"
    assert said.basis("module-other") == ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({"workload_version": "1.0", "workload_digest": DIGEST}, [], id="the-same"),
        pytest.param(
            {"workload_version": "1.1"},
            [(Plane.WORKLOAD, "git/version", DriftKind.CHANGED, "1.1", "1.0")],
            id="another-version",
        ),
        pytest.param(
            {"workload_image": "registry.test/web:2"},
            [
                (Plane.WORKLOAD, "git/image", DriftKind.CHANGED, "registry.test/web:2",
                 "registry.test/web:1")
            ],
            id="another-image",
        ),
        pytest.param(
            {"replicas_replicas": "4"},
            [(Plane.REPLICAS, "git/replicas", DriftKind.CHANGED, "4", "3")],
            id="another-number",
        ),
        pytest.param(
            {"configuration_tenant": "2", "configuration_environment": "3",
             "configuration_module": "0"},
            [
                (Plane.CONFIGURATION, "git/tenant", DriftKind.CHANGED, "2", "0"),
                (Plane.CONFIGURATION, "git/environment", DriftKind.CHANGED, "3", "0"),
            ],
            id="other-versions-of-configuration",
        ),
    ],
)  # fmt: skip
def test_what_git_says_otherwise_differs(said: dict[str, str], expected: list[Any]) -> None:
    assert found(git(**said)) == expected


def test_a_release_without_the_image_that_git_names_misses_it() -> None:
    archive = released_at(1, 0)

    assert found(git(workload_image="registry.test/web:1"), archive) == [
        (Plane.WORKLOAD, "git/image", DriftKind.MISSING, "registry.test/web:1", None)
    ]


def test_what_was_asked_for_is_the_number_and_not_what_a_policy_left() -> None:
    component = RELEASED.model_copy(update={"replicas": 5, "asked_replicas": 3})

    assert found(git(replicas_replicas="3"), baseline(component=component)) == []


def test_while_a_policy_has_the_number_git_says_nothing_of_it() -> None:
    assert found(git(replicas_replicas="4"), baseline(is_scaled=True)) == []


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(FRESH, id="never-released"),
        pytest.param(baseline(retired_at=baseline().released_at), id="removed"),
    ],
)
def test_a_module_that_is_not_there_misses_the_version_that_git_says(
    known: ServiceBaseline,
) -> None:
    said = git(workload_version="1.1", workload_digest=DIGEST)

    assert found(said, known) == [(Plane.WORKLOAD, "git/version", DriftKind.MISSING, "1.1", None)]


def test_of_a_service_that_only_the_inventory_knows_the_version_is_compared() -> None:
    listed = replace(FRESH, inventory={"version": "1.0"})
    said = git(workload_version="1.1", workload_digest=DIGEST)

    assert found(said, listed) == [(Plane.WORKLOAD, "git/version", DriftKind.CHANGED, "1.1", "1.0")]


@pytest.mark.parametrize("said", [None, git("module-other", workload_version="9")])
def test_where_git_says_nothing_of_a_module_nothing_differs(said: DesiredByGit | None) -> None:
    assert found(said) == []


# What was rolled back, and is held.

HELD: Final = RolledBackRelease("1.1", DIGEST)


@pytest.mark.parametrize(
    ("held", "said", "is_left_out"),
    [
        pytest.param(HELD, {}, True, id="the-version-that-git-names"),
        pytest.param(HELD, {"workload_digest": DIGEST}, True, id="and-its-digest"),
        pytest.param(HELD, {"workload_digest": OTHER}, False, id="another-digest"),
        pytest.param(replace(HELD, version="0.9"), {}, False, id="another-version"),
        pytest.param(replace(HELD, has_ended=True), {}, False, id="no-more"),
        pytest.param(None, {}, False, id="nothing"),
    ],
)
def test_what_git_says_is_not_compared_while_that_is_held(
    held: RolledBackRelease | None, said: dict[str, str], *, is_left_out: bool
) -> None:
    desired = git(workload_version="1.1", **said)
    scan = replace(SCAN, rolled_back={WEB: held} if held else {})

    differences = git_differences(desired, baseline(), scan)

    version = Change("git/version", DriftKind.CHANGED, "1.1", "1.0")
    assert (Difference(Plane.WORKLOAD, version) not in differences) is is_left_out
    assert [
        (each.code, each.message) for each in rolled_back_reasons(desired.environment, scan)
    ] == ([("Held", f"{WEB} 1.1 was rolled back and is held")] if is_left_out else [])


def test_a_hold_on_another_module_leaves_nothing_out() -> None:
    scan = replace(SCAN, rolled_back={"module-other": HELD})

    assert git_differences(git(workload_version="1.1"), baseline(), scan)
