"""Help, version, completion, and `-o` anywhere; nonsense is refused before anything is sent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.main import main
from cli.state_folder import REPOSITORY
from tests.cli.small_platform import SERVICE, RuntimeCtl
from tests.kit.patience import PATIENCE_S


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.mark.parametrize("line", ["-h", "deploy -h", "env create -h", "operations -h", "", "env"])
def test_help_is_one_letter_or_no_word_at_all(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(line.split())

    assert code == ExitCode.OK
    assert "Usage: runtimectl" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")

    main(["--version"])

    _, number, _, folder = capsys.readouterr().out.split()
    assert folder == str(REPOSITORY)
    assert f'version = "{number}"' in project


@pytest.mark.parametrize(
    ("line", "instead"),
    [("scale set module-shop --dry-run", "`--what-if` shows"),
     ("tenant unbind test --dry-run", "without `--confirm` it says what goes"),
     ("retry test --dry-run", "see `runtimectl retry --help`")],
)  # fmt: skip
def test_a_command_without_a_dry_run_says_so(
    line: str, instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(line.split())

    assert code == ExitCode.USAGE
    assert f"it has no dry run; {instead}" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["completion", shell])

    assert code == ExitCode.OK
    assert f"_RUNTIMECTL_COMPLETE=complete_{shell}" in capsys.readouterr().out


@pytest.mark.real
def test_a_shell_is_told_the_words_of_an_option() -> None:
    environ = {
        "_RUNTIMECTL_COMPLETE": "complete_bash",
        "COMP_WORDS": "runtimectl deployments --status Roll",
        "COMP_CWORD": "3",
    }

    ran = subprocess.run(
        [str(Path(sys.executable).parent / "runtimectl")],
        env=environ, capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip

    assert ran.stdout.split() == ["RollingOut", "RollingBack", "RolledBack"]


@pytest.mark.real
@pytest.mark.parametrize(
    "line",
    ["-o json env list", "env -o json list", "env list -o json", "--output=json env list"],
)
def test_the_form_of_the_result_stands_anywhere(line: str, runtimectl: RuntimeCtl) -> None:
    assert len(json.loads(runtimectl.run(line).out)) == 1


@pytest.mark.real
@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param("-o json operations show nothere", ExitCode.NOT_FOUND, id="of-the-platform"),
        pytest.param("deployments --status Foo -ojson", ExitCode.USAGE, id="of-the-line"),
        pytest.param("deploi --output json", ExitCode.USAGE, id="of-the-command"),
    ],
)
def test_programs_get_errors_as_json(line: str, code: ExitCode, runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(line)

    error = json.loads(ran.err)
    assert (ran.code, error["exitCode"], ran.out) == (code, code, "")
    assert error["error"]["message"]
    assert error["error"]["next"]


@pytest.mark.parametrize(
    "line",
    [
        "events --since 2026-13-45",
        "events --type NothingHappened",
        f"history {SERVICE} --as-of yesterday",
        f"history {SERVICE} --known-at 25:00",
        "deployments --status Foo",
        "deployments --module x",
        "env list --stage nowhere",
        "env list --status Foo",
        "env list --project mars",
        "env create test --project mars",
        "events --about mars",
        "env create test --stage nowhere",
        "env create test --isolation none",
        "deployment test --wait --timeout nan",
        "deployment test --wait --timeout inf",
        "deployment test --wait --timeout 0",
        "deploy --env test --strategy big-bang",
        "deploy --env test --on-conflict fight",
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_is_sent(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*line.split(), "--state", "/nowhere"])

    shown = capsys.readouterr().err
    assert code == ExitCode.USAGE, shown
    assert "expected" in shown or "did you mean module-x?" in shown
    assert shown.count("error: ") == 1


@pytest.mark.parametrize("line", ["deploi", "up --port many", "promote test", "deploy --wiat"])
def test_what_the_parser_refuses_looks_like_every_other_error(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(line.split())

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("next:  see `runtimectl ")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("up --port many", 'expected a whole number, got "many"'),
        (
            "logs shop --env test --revision nine",
            "'--revision': expected a whole number, got \"nine\"",
        ),
        ("tenant bind test --memory-mib lots", 'expected a whole number, got "lots"'),
        ("tenant bind test --cpu lots", 'expected a number, got "lots"'),
        (
            "slo set shop --sli latency --objective 99.9",
            "'--objective': expected at most 1, got \"99.9\"",
        ),
        ("deployments --last 0", "'--last': expected at least 1, got \"0\""),
    ],
)
def test_what_is_no_number_is_told_what_is_expected_and_what_came(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(line.split())

    shown = capsys.readouterr().err
    assert expected in shown
    assert "Input should be" not in shown


@pytest.mark.real
def test_words_are_known_in_any_case_and_times_without_an_offset_are_utc(
    runtimectl: RuntimeCtl,
) -> None:
    assert (
        runtimectl.run("deployments --status completed")
        .query_of("/v1/runtime/deployments")
        .get("status")
        == "Completed"
    )
    asked = runtimectl.run(f"history {SERVICE} --as-of 2026-11-28")
    assert asked.query_of(f"/v1/runtime/services/{SERVICE}")["asOf"].startswith(
        "2026-11-28T00:00:00"
    )
