"""`env --admit`: who may be bound to an environment is an option, and the others stay."""

from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from tests.cli.small_platform import ENVIRONMENT, RUNTIME, THE_ENVIRONMENT, RuntimeCtl, platform

pytestmark = pytest.mark.real
_KNOWN = {
    f"GET {RUNTIME}/environments": [{**THE_ENVIRONMENT, "admits": ["acme", "globex"]}],
}


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("options", "admits"),
    [
        ("--admit zeta", ["acme", "globex", "zeta"]),
        ("--admit acme", ["acme", "globex"]),
        ("--remove-admit acme", ["globex"]),
        ("--remove-admit acme --remove-admit globex", []),
        ("--tag a=b", ["acme", "globex"]),
    ],
)
def test_an_update_changes_who_is_named(
    options: str, admits: list[str], runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"env update test {options}", _KNOWN)

    assert ran.code == ExitCode.OK, ran.err
    path, body = ran.written
    assert path == f"PUT {RUNTIME}/environments/{ENVIRONMENT}"
    assert body["admits"] == admits
    assert ("stays bound: `runtimectl tenant list --env test`" in ran.err) is ("remove" in options)


def test_a_new_environment_admits_whom_it_is_told(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("env create test --admit acme --admit globex")

    assert ran.written[1]["admits"] == ["acme", "globex"]


def test_a_file_and_the_option_do_not_both_say_it(tmp_path: Path, runtimectl: RuntimeCtl) -> None:
    file = tmp_path / "env.yaml"
    file.write_text("admits: [acme]\n")
    with platform(_KNOWN) as server:
        ran = runtimectl.run_words(
            server, ["env", "update", "test", "-f", str(file), "--admit", "zeta"]
        )

    assert ran.code == ExitCode.USAGE
    assert "admits" in ran.err


def test_an_empty_file_is_told_what_an_environment_has(
    tmp_path: Path, runtimectl: RuntimeCtl
) -> None:
    file = tmp_path / "env.yaml"
    file.write_text("")
    with platform(_KNOWN) as server:
        ran = runtimectl.run_words(server, ["env", "update", "test", "-f", str(file)])

    assert ran.code == ExitCode.USAGE
    assert "releaseRef" not in ran.err
