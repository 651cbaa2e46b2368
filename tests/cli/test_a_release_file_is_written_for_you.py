"""`init` writes a release file that is valid, also with everything in its comments."""

import re
import shlex
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.main import main
from cli.release_template import TEMPLATE
from cli.yaml_files import load_yaml
from shared.contracts.gates import Gate, GateDefaults, GateLimits


@pytest.mark.parametrize("line", ["", "-m module-cart --command='./cart --at=$PORT' --port 9000"])
def test_what_init_writes_is_valid(line: str, tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"

    assert main(["init", str(file), *shlex.split(line)]) == ExitCode.OK
    assert main(["validate", "-f", str(file)]) == ExitCode.OK


def test_what_its_comments_show_is_valid_too(tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    main(["init", str(file)])

    shown = re.sub(r"^( *)# (?=[a-z]\w*:|  )", r"\1", file.read_text(), flags=re.MULTILINE)
    file.write_text(shown)

    assert {"strategy", "gate", "environment"} <= load_yaml(file).keys()
    assert main(["validate", "-f", str(file)]) == ExitCode.OK


def test_the_numbers_in_its_comments_are_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    text = TEMPLATE[TEMPLATE.index("# gate:") :].replace("{{", "{").replace("}}", "}")
    file.write_text(re.sub(r"^# ", "", text, flags=re.MULTILINE))

    gate = Gate.model_validate(load_yaml(file)["gate"])

    assert gate.limits == GateLimits()
    defaults = GateDefaults()
    assert (gate.window, gate.min_samples, gate.deadline) == (
        defaults.window, defaults.min_samples, defaults.deadline,
    )  # fmt: skip


def test_a_file_that_is_there_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text("mine")

    assert main(["init", str(file)]) == ExitCode.USAGE
    assert file.read_text() == "mine"
    assert "is there already, and stays as it is" in capsys.readouterr().err
