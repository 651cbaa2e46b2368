"""Whatever a YAML file has, `validate` says ok or names a mistake; it never ends in a traceback."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from cli.exit_codes import ExitCode
from cli.main import main
from shared.contracts.components import Component
from shared.contracts.deployments import Deploy
from tests.kit.properties import FEW_AND_MANY, try_with

NAMES = sorted(
    {
        field.alias or name
        for model in (Deploy, Component)
        for name, field in model.model_fields.items()
    }
    | {"artifact", "environment", "services", "moduleID", "a/b~c", "0", ""}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["module-shop", "1.0", "PT5S", "sha256:x", "$PORT", "microservice"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
RELEASES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5) | st.builds(
    lambda components, rest: {**rest, "components": components},
    st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8), max_size=3),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
)


@pytest.mark.long
@FEW_AND_MANY
def test_a_file_is_valid_or_its_mistakes_are_named(
    examples: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"

    def holds(release: dict[str, Any]) -> None:
        file.write_text(yaml.safe_dump(release), encoding="utf-8")

        code = main(["validate", "-f", str(file)])

        shown = capsys.readouterr().err
        assert code in {ExitCode.OK, ExitCode.USAGE}
        assert (code == ExitCode.OK) == ("error: " not in shown)

    try_with(examples, holds, RELEASES)


@pytest.mark.parametrize(
    "text",
    [
        "1: 2", "? [a]\n: b", "a: &x [*x]", "- a", "null", "", "--- a\n--- b",
        "a: !!python/object x",
        "\x00", "components: &c [{version: 1}, *c]", "components: [{? {a: b} : c}]",
        "releaseRef: !!bool foo", "releaseRef: !!int ''", "releaseRef: !!float ''",
        "releaseRef: !!timestamp x", "releaseRef: 1:1:1.5", '"\\ud800": x',
        'a: "\\ud800"', "a: .inf",
        "components: [{version: 2026-11-28}]", "a: 1\na: 2", "<<: {releaseRef: x}",
    ],
)  # fmt: skip
def test_odd_yaml_is_a_usage_error(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(text, encoding="utf-8")

    assert main(["validate", "-f", str(file)]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("value", ["2026-11-28", "0x1F", "1:30", "!!bool foo", '"\\ud800"'])
def test_a_value_that_json_does_not_have_is_named_with_its_line(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(f"remove: [module-a]\nreleaseRef: {value}\n")

    assert main(["validate", "-f", str(file)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "no value that JSON has: a text such as a date is put in quotes" in said
    assert "line 2" in said


def test_a_component_with_an_image_and_an_archive_is_told_to_have_one_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(
        "releaseRef: a\ncomponents:\n- moduleId: module-web\n  componentType: gateway\n"
        "  version: '1'\n  image: registry.example.org/web@sha256:" + "a" * 64 + "\n"
        "  artifact: web.zip\n"
    )

    assert main(["validate", "-f", str(file)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "exactly one of image and artifact" in said
    assert "no such field" not in said


@pytest.mark.parametrize(
    "given",
    [
        "components: [{moduleId: module-web, command: serve --password hunter2}]",
        "secrets: [{name: a, vaultUri: 'https://user:hunter2@vault.example.org'}]",
    ],
)
def test_a_password_in_a_url_or_an_argument_is_not_repeated(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(f"releaseRef: a\n{given}\n")

    assert main(["validate", "-f", str(file)]) == ExitCode.USAGE
    assert "hunter2" not in capsys.readouterr().err


def test_a_field_that_stands_twice_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text("releaseRef: a\nremove: [module-a]\nreleaseRef: b\n")

    assert main(["validate", "-f", str(file)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "a name stands twice in one mapping" in said
    assert "line 3" in said
    assert "releaseRef: b" in said


def test_aliases_of_aliases_are_counted_before_they_are_written_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "release.yaml"
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    file.write_text("\n".join(["a0: &a0 [x]", *levels]))

    assert main(["validate", "-f", str(file)]) == ExitCode.USAGE
    assert "has more than 100000 values" in capsys.readouterr().err
