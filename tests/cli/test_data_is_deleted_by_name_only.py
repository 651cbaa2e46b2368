"""`runtimectl` adds data to an environment, and deletes what `--remove-data` names."""

from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.cli.small_platform import (
    ENVIRONMENT,
    OPERATION,
    RUNTIME,
    THE_ENVIRONMENT,
    THE_SERVICE,
    RuntimeCtl,
    answer_of,
)
from tests.cli.small_server import Asked, serving

pytestmark = pytest.mark.real
ONE = f"{RUNTIME}/environments/{ENVIRONMENT}"
FILES = {"name": "files", "kind": "LocalFolder", "settings": {"owner": "web"}}
MAIL = {"name": "mail", "kind": "LocalFolder", "settings": {}}


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def having(**fields: Any) -> dict[str, Any]:
    """Return the answers of a platform whose environment has *fields*."""
    environment = {**THE_ENVIRONMENT, "dataResources": [FILES, MAIL], **fields}
    return {f"GET {RUNTIME}/environments": [environment], f"GET {ONE}": environment}


@pytest.mark.parametrize(
    ("options", "data", "deleted"),
    [
        pytest.param(
            "--data photos=LocalFolder",
            [FILES, MAIL, {"name": "photos", "kind": "LocalFolder"}],
            None,
            id="data-is-added",
        ),
        pytest.param("--data files=LocalFolder", [FILES, MAIL], None, id="what-is-there-stays"),
        pytest.param(
            "--data mail=Redis", [FILES, {"name": "mail", "kind": "Redis"}], None, id="changed"
        ),
        pytest.param("--remove-data mail", [FILES], ["mail"], id="data-is-deleted"),
        pytest.param("--isolation silo", [FILES, MAIL], None, id="without-a-word-of-it"),
    ],
)
def test_an_update_keeps_all_data_but_what_it_is_told_to_remove(
    options: str, data: list[Any], deleted: list[str] | None, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"env update test {options}", having())

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written[1]["dataResources"] == data
    assert ran.written[1].get("deleteData") == deleted
    assert ("to be deleted, with its content: mail" in ran.err) is (deleted is not None)


def test_a_deletion_says_which_data_goes_with_it(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("env delete test --retain files --confirm test", having())

    assert ran.written[0].endswith("?confirm=test&retain=files")
    assert "to be deleted, with its content: mail\n" in ran.err


def test_data_that_is_not_there_is_refused_before_anything_is_confirmed(
    runtimectl: RuntimeCtl,
) -> None:
    ran = runtimectl.run("env delete test --retain nope", having())

    assert ran.code == ExitCode.REFUSED
    assert "test has no data nope; it has files, mail" in ran.err
    assert "--confirm" not in ran.err


@pytest.mark.parametrize(
    ("status", "is_on_its_way"), [("Decommissioned", False), ("Decommissioning", True)]
)
def test_of_what_has_ended_nothing_is_said_to_continue(
    status: str, runtimectl: RuntimeCtl, *, is_on_its_way: bool
) -> None:
    known = having(status=status)
    headers = {"Operation-Location": f"{RUNTIME}/operations/{OPERATION}"}

    def answer(asked: Asked) -> tuple[int, Any]:
        return answer_of(asked, {**known, f"DELETE {ONE}": known[f"GET {ONE}"]})

    with serving(answer, keeps_connections=False, headers=headers) as server:
        ran = runtimectl.run_at(server, "env delete test")

    assert ("continues" in ran.err) is is_on_its_way


_NOTHING: dict[str, Any] = {f"GET {RUNTIME}/services": []}
_RETIRED = {f"GET {RUNTIME}/services": [{**THE_SERVICE, "status": "Retired"}]}


@pytest.mark.parametrize(
    ("answers", "options", "said"),
    [
        pytest.param({}, "", "what runs ends: module-shop", id="what-runs"),
        pytest.param({}, "--confirm shop", "what runs ends: module-shop", id="another-name"),
        pytest.param(
            {**having(), **_NOTHING}, "--retain files", "all content: mail", id="data"
        ),
        pytest.param({**having(stage="prod"), **_NOTHING}, "", "it is prod", id="prod"),
        pytest.param(
            {**having(protected=True, dataResources=[]), **_RETIRED}, "", "it is protected",
            id="protected",
        ),
    ],
)  # fmt: skip
def test_what_a_deletion_would_take_away_is_said_before_it_is_confirmed(
    answers: dict[str, Any], options: str, said: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"env delete test {options}", answers)

    assert ran.code == ExitCode.REFUSED
    assert said in ran.err
    assert "--confirm test" in ran.err
    assert {each.method for each in ran.asked} == {"GET"}


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param({**having(dataResources=[]), **_RETIRED}, id="nothing-of-it-is-left"),
        pytest.param(having(status="Decommissioning"), id="it-is-being-deleted"),
    ],
)
def test_where_nothing_is_lost_a_deletion_needs_no_name(
    answers: dict[str, Any], runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run("env delete test", answers)

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written[0].startswith("DELETE")


def test_a_creation_may_delete_what_was_retained(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("env create test --remove-data notes")

    assert ran.written[1]["deleteData"] == ["notes"]
    assert "to be deleted, with its content: notes" in ran.err


def test_data_is_said_in_the_file_or_in_options(runtimectl: RuntimeCtl, tmp_path: Path) -> None:
    file = tmp_path / "test.yaml"
    file.write_text("dataResources: [{name: files, kind: LocalFolder}]\n")

    ran = runtimectl.run(f"env update test -f {file} --data photos=LocalFolder", having())

    assert ran.code == ExitCode.USAGE
    assert "the file has dataResources" in ran.err


@pytest.mark.parametrize(
    ("status", "verb"), [("Provisioned", "update"), ("Decommissioned", "create")]
)
def test_what_is_retained_is_shown_with_what_can_be_done_with_it(
    status: str, verb: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run("env show test", having(status=status, retained=[MAIL]))

    assert "kept with its content, and used by no release: mail" in ran.out
    assert f"`runtimectl env {verb} test --data mail=LocalFolder`" in ran.out
    assert f"`runtimectl env {verb} test --remove-data mail`" in ran.out
