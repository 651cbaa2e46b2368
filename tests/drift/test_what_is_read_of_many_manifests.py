"""What is read of a folder with many manifests, and what is said of those that are left out."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from function_apps.drift.model import git_state
from function_apps.drift.model.git_state import (
    FILES_MAX,
    DesiredEnvironment,
    DesiredState,
    EnvironmentFolder,
    read_state,
)
from shared.git.port import Snapshot
from tests.drift.followed import NAME, manifest
from tests.kit.told import ENVIRONMENT, WEB

FIRST, SECOND = "a" * 40, "b" * 40
FOLDER: Final = "environments/shop"


def read(
    files: Mapping[str, str | None], before: DesiredEnvironment | None = None, commit: str = FIRST
) -> DesiredEnvironment:
    """Return what a folder says, of which *before* was read earlier."""
    contents = {name: None if text is None else text.encode() for name, text in files.items()}
    known = before or DesiredEnvironment(ENVIRONMENT)
    state = read_state(
        Snapshot(commit, {FOLDER: contents}), [EnvironmentFolder(FOLDER, NAME, known)]
    )
    assert isinstance(state, DesiredState)
    assert state.commit == commit
    (environment,) = state.environments
    return environment


def reasons(environment: DesiredEnvironment) -> list[tuple[str, str]]:
    return [(each.code, each.message) for each in environment.reasons]


def of_modules(count: int) -> dict[str, Any]:
    return {f"{n:03}.json": manifest(moduleId=f"module-{n:03}") for n in range(count)}


def test_what_stays_as_it_was_has_the_first_commit_that_said_so() -> None:
    first = read({"web.json": manifest("1.0"), "new.json": manifest(moduleId="module-new")})

    after = read(
        {"web.json": manifest("1.1"), "new.json": manifest(moduleId="module-new")}, first, SECOND
    )

    assert {each.module_id: each.commit for each in after.modules} == {
        WEB: SECOND,
        "module-new": FIRST,
    }
    assert (after.folder, after.environment_id) == (FOLDER, ENVIRONMENT)


def test_other_files_of_a_folder_are_no_manifests() -> None:
    found = read({"web.yml": manifest(), "README.md": "# text", "logo.png": None})

    assert [each.file for each in found.modules] == ["web.yml"]
    assert found.reasons == ()


def test_a_folder_without_manifests_is_named_with_its_commit() -> None:
    assert reasons(read({})) == [
        ("NoManifests", f"{FOLDER} has no manifest at {FIRST[:12]}"),
    ]


def test_a_folder_is_read_as_far_as_it_may_have_manifests() -> None:
    exactly = read(of_modules(FILES_MAX))
    more = read(of_modules(FILES_MAX + 1))

    assert (len(exactly.modules), exactly.reasons) == (FILES_MAX, ())
    assert len(more.modules) == FILES_MAX
    assert reasons(more) == [
        ("TooManyManifests", f"{FOLDER} has more than {FILES_MAX} manifests"),
    ]


def test_a_file_that_is_too_large_is_named_and_what_it_said_is_kept() -> None:
    before = read({"web.json": manifest("1.0")})

    after = read({"web.json": None, "new.json": manifest(moduleId="module-new")}, before, SECOND)

    assert {each.module_id for each in after.modules} == {WEB, "module-new"}
    assert reasons(after) == [("ManifestInvalid", "web.json has more than 256 KiB")]


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        pytest.param(1, "1 left out, module-002", id="one"),
        pytest.param(2, "2 left out, module-002 and others", id="several"),
    ],
)
def test_modules_for_which_there_is_no_room_are_named_by_the_first(
    left_out: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_state, "MODULES_MAX", 2)

    found = read(of_modules(2 + left_out))

    assert [each.module_id for each in found.modules] == ["module-000", "module-001"]
    assert reasons(found) == [("TooManyManifests", f"more than 2 modules: {said}")]


def test_layers_for_which_there_is_no_room_are_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_state, "MODULES_MAX", 1)
    files = {
        "a.yaml": "values: {limit: 1}\n",
        "b.yaml": "module: module-web\nvalues: {limit: 2}\n",
    }

    found = read(files)

    assert [each.name for each in found.layers] == ["environment"]
    assert reasons(found) == [
        ("TooManyManifests", f"more than 1 layers: 1 left out, module/{WEB}"),
    ]


def test_what_two_files_state_is_as_the_first_has_it_and_both_are_named() -> None:
    found = read({"a.json": manifest("1.0"), "b.json": manifest("2.0")})

    assert [each.words["workload/version"] for each in found.modules] == ["1.0"]
    assert reasons(found) == [("StatedTwice", f"{WEB} is in a.json and in b.json")]
