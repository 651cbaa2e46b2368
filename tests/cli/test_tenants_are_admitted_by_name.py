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


@pytest.mark.parametrize(("status", "is_said"), [("Enforced", True), ("Unbound", False)])
def test_of_a_tenant_that_is_bound_still_it_is_said_how_it_is_unbound(
    status: str, runtimectl: RuntimeCtl, *, is_said: bool
) -> None:
    bound = {"tenantId": "acme", "status": status}
    other = {"tenantId": "globex", "status": "Enforced"}
    known = {**_KNOWN, f"GET {RUNTIME}/tenant-bindings": [bound, other]}

    ran = runtimectl.run("env update test --remove-admit acme", known)

    line = "`runtimectl tenant unbind test --tenant acme --confirm acme`"
    assert (line in ran.err) is is_said
    assert "globex" not in ran.err


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
