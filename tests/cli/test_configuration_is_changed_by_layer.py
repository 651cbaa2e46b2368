"""`config` before the real service: what each command publishes, shows and refuses."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from tests.cli.configured_platform import ConfiguredPlatform, configured_platform
from tests.cli.small_platform import RUNTIME, THE_DEPLOYMENT, RuntimeCtl, answer_of
from tests.cli.small_server import Asked
from tests.configurations.configured import ENVIRONMENT_LAYER, MODULE_LAYER, TENANT_LAYER

pytestmark = pytest.mark.real
WEB = ("--env", "test", "--module", "module-web")


@pytest.fixture
def platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[ConfiguredPlatform]:
    with configured_platform(RuntimeCtl(monkeypatch, capsys)) as made:
        yield made


def values_of(platform: ConfiguredPlatform) -> dict[str, object]:
    """Return what the module is given."""
    ran = platform.run("config", "get", *WEB, "-o", "json")
    assert ran.code == ExitCode.OK, ran.err
    found: dict[str, object] = json.loads(ran.out)["values"]
    return found


def test_a_value_is_json_where_it_parses_and_text_otherwise(platform: ConfiguredPlatform) -> None:
    ran = platform.run(
        "config", "set", "greeting=hello", "items=20", 'limits={"a": [1]}', "port:x=NaN", "empty=",
        'quoted="5"', *WEB,
    )  # fmt: skip

    assert ran.code == ExitCode.OK, ran.err
    assert values_of(platform) == {
        "greeting": "hello", "items": 20, "limits": {"a": [1]}, "port:x": "NaN", "empty": "",
        "quoted": "5",
    }  # fmt: skip


def test_a_key_is_given_once(platform: ConfiguredPlatform) -> None:
    ran = platform.run("config", "set", "a=1", "a=2", *WEB, "--dry-run")

    assert ran.code == ExitCode.USAGE
    assert "a is given twice" in ran.err


def test_what_was_probably_json_is_said_to_be_text(platform: ConfiguredPlatform) -> None:
    ran = platform.run("config", "set", 'limits={"items": 20', "a=[1]", *WEB)

    assert "limits is no JSON" in ran.err
    assert "a is no JSON" not in ran.err
    assert values_of(platform) == {"limits": '{"items": 20', "a": [1]}


def test_dots_do_not_lead_into_a_mapping_and_make_no_key_beside_it(
    platform: ConfiguredPlatform,
) -> None:
    platform.run("config", "set", 'limits={"daily": 1000}', "port.x=1", *WEB)

    refused = platform.run("config", "set", "limits.daily=5", *WEB)
    own = platform.run("config", "set", "port.x=2", *WEB)

    assert refused.code == ExitCode.USAGE
    assert "limits.daily would be a key of its own beside limits" in refused.err
    assert "'limits={\"daily\": …}'" in refused.err
    assert own.code == ExitCode.OK, own.err
    assert values_of(platform) == {"limits": {"daily": 1000}, "port.x": 2}


@pytest.mark.parametrize(("mode", "is_told"), [("pinned", True), ("live", False)])
def test_a_pinned_module_is_said_to_take_a_version_with_its_next_deployment(
    mode: str, platform: ConfiguredPlatform, *, is_told: bool
) -> None:
    release = {
        **THE_DEPLOYMENT,
        "components": [{"moduleId": "module-web", "configurationMode": mode}],
    }
    deployments = {f"GET {RUNTIME}/deployments": [release]}
    platform.elsewhere = lambda asked: answer_of(asked, deployments)

    ran = platform.run("config", "set", "a=1", *WEB)

    assert ran.code == ExitCode.OK, ran.err
    assert ("module-web is pinned: what runs keeps its version" in ran.err) is is_told
    assert ("config adoption" in ran.err) is not is_told


def test_with_text_no_value_is_json(platform: ConfiguredPlatform) -> None:
    platform.run("config", "set", "--text", "items=20", "on=true", *WEB)

    assert values_of(platform) == {"items": "20", "on": "true"}


def test_other_keys_and_the_schema_of_a_layer_stay(platform: ConfiguredPlatform) -> None:
    schema = {"properties": {"items": {"type": "integer"}}}
    scope = MODULE_LAYER
    body = {"scope": scope, "values": {"items": 1, "a": 1}, "expectedVersion": 0, "schema": schema}
    platform.answer(Asked("POST", "/v1/runtime/configurations", {}, json.dumps(body).encode()))

    platform.run("config", "set", "b=2", *WEB)
    refused = platform.run("config", "set", "items=many", *WEB)

    assert values_of(platform) == {"items": 1, "a": 1, "b": 2}
    assert refused.code == ExitCode.REFUSED
    assert "values.items" in refused.err
    assert refused.err.count("error: ") == 1


def test_the_layer_that_gave_a_value_is_shown(platform: ConfiguredPlatform) -> None:
    platform.publish(TENANT_LAYER, {"a": 1, "b": 1, "c": 1}, 0)
    platform.publish(ENVIRONMENT_LAYER, {"b": 2, "c": 2}, 0)
    platform.publish(MODULE_LAYER, {"c": 3}, 0)

    ran = platform.run("config", "get", "--layers", *WEB)

    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[:4] == [
        ["KEY", "VALUE", "LAYER"], ["a", "1", "tenant"], ["b", "2", "environment"],
        ["c", "3", "module"],
    ]  # fmt: skip
    assert ran.out.splitlines()[4].startswith("versions: tenant 1, environment 1, module 1; hash ")


def test_what_is_shown_of_a_value_is_what_set_takes(platform: ConfiguredPlatform) -> None:
    values = {
        "number": "5", "text": "five", "none": None, "lines": "a\nb",
        "password": {"secret": "db-password"},
        "checkout": {"flag": {"type": "boolean", "default": False, "rules": [{"value": True}]}},
    }  # fmt: skip
    platform.publish(MODULE_LAYER, values, 0)

    ran = platform.run("config", "get", *WEB)

    shown = dict(line.split(maxsplit=1) for line in ran.out.splitlines()[1:])
    assert shown == {
        "number": '"5"', "text": "five", "none": "null", "lines": '"a\\nb"',
        "password": "(secret db-password)", "checkout": "(flag boolean, default false, 1 rules)",
    }  # fmt: skip


def test_one_key_is_read_and_an_unknown_one_is_not_found(platform: ConfiguredPlatform) -> None:
    platform.publish(MODULE_LAYER, {"a": 1, "b": 2}, 0)

    assert json.loads(platform.run("config", "get", "a", *WEB, "-o", "json").out)["values"] == {
        "a": 1
    }
    unknown = platform.run("config", "get", "c", *WEB)
    assert unknown.code == ExitCode.NOT_FOUND
    assert "module-web has no c; it has a, b" in unknown.err


def test_a_key_is_removed_and_the_layer_before_gives_it_again(platform: ConfiguredPlatform) -> None:
    platform.publish(TENANT_LAYER, {"a": 1}, 0)
    platform.publish(MODULE_LAYER, {"a": 2, "b": 2}, 0)

    platform.run("config", "unset", "a", *WEB)

    assert values_of(platform) == {"a": 1, "b": 2}
    assert platform.run("config", "unset", "zz", *WEB).code == ExitCode.NOT_FOUND


def test_true_is_not_1(platform: ConfiguredPlatform) -> None:
    platform.run("config", "set", "debug=1", *WEB)
    platform.run("config", "set", "debug=true", *WEB)

    assert values_of(platform) == {"debug": True}
    assert values_of(platform)["debug"] is True


def test_a_draft_is_not_published_by_a_dry_run(platform: ConfiguredPlatform) -> None:
    platform.run("config", "set", "a=1", "--draft", *WEB)

    ran = platform.run("config", "publish", "--version", "1", "--dry-run", *WEB)

    assert (ran.code, values_of(platform)) == (ExitCode.USAGE, {})


def test_an_editor_that_leaves_no_file_is_named(
    platform: ConfiguredPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor_of(tmp_path, monkeypatch, "file.unlink(); sys.exit(0)")

    ran = platform.run("config", "edit", *WEB)

    assert ran.code == ExitCode.USAGE
    assert "the editor left no file" in ran.err


def test_what_differs_in_nothing_is_not_published_again(platform: ConfiguredPlatform) -> None:
    platform.run("config", "set", "a=1", *WEB)

    again = platform.run("config", "set", "a=1", *WEB)

    assert again.code == ExitCode.OK
    assert "module-web in test: nothing differs from version 1" in again.err
    assert all(asked.method == "GET" for asked in again.asked)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("set a=1", "which layer?", id="no-layer-is-the-tenants-by-accident"),
        pytest.param("set a=1 --module module-web", "the layer module takes", id="no-environment"),
        pytest.param(
            "set a=1 --layer tenant --env test", "takes neither --env nor --module", id="too-many"
        ),
        pytest.param("set a --env test", "expected KEY=VALUE, got 'a'", id="no-assignment"),
        pytest.param("publish", "expected a file (-f)", id="nothing-to-publish"),
        pytest.param("get --env test --module x", "did you mean module-x?", id="a-short-module"),
    ],
)
def test_a_line_that_says_too_little_or_too_much_sends_nothing(
    line: str, said: str, platform: ConfiguredPlatform
) -> None:
    ran = platform.run("config", *line.split())

    assert ran.code == ExitCode.USAGE
    assert said in ran.err
    assert ran.err.count("error: ") == 1
    assert all(asked.method == "GET" for asked in ran.asked)


def test_a_dry_run_shows_the_difference_and_publishes_nothing(platform: ConfiguredPlatform) -> None:
    platform.publish(MODULE_LAYER, {"a": 1, "b": 1}, 0)

    ran = platform.run("config", "set", "a=2", "c=3", "--dry-run", *WEB)

    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[1:] == [["a", "changed", "1", "2"], ["c", "added", "-", "3"]]
    assert values_of(platform) == {"a": 1, "b": 1}


def test_a_conflict_says_who_published_what_meanwhile(platform: ConfiguredPlatform) -> None:
    platform.publish(MODULE_LAYER, {"a": 1}, 0)

    def between(asked: Asked) -> None:
        if asked.method == "POST":
            platform.before = lambda _: None
            platform.publish(MODULE_LAYER, {"a": 1, "b": 2}, 1)

    platform.before = between
    ran = platform.run("config", "set", "a=9", *WEB)

    assert ran.code == ExitCode.CONFLICT
    lines = ran.err.splitlines()
    assert lines[0] == "error: module-web in test is at version 2, not 1 [HeadMoved]"
    assert lines[1].startswith("  - version 2 is by user:ann, at ")
    assert lines[1].endswith(": by another")
    assert lines[2] == "  - since version 1 these keys differ: b"
    assert "`runtimectl config diff --env test --module module-web`" in lines[3]
    assert values_of(platform) == {"a": 1, "b": 2}


def test_a_draft_changes_nothing_until_it_is_published(platform: ConfiguredPlatform) -> None:
    drafted = platform.run("config", "set", "a=1", "--draft", *WEB)

    assert values_of(platform) == {}
    assert (
        "next:  runtimectl config publish --env test --module module-web --version 1" in drafted.err
    )
    assert platform.run("config", "publish", *WEB, "--version", "1").code == ExitCode.OK
    assert values_of(platform) == {"a": 1}


def test_a_version_that_is_no_draft_is_returned_to_by_the_line_that_is_shown(
    platform: ConfiguredPlatform,
) -> None:
    platform.run("config", "set", "a=1", *WEB)
    platform.run("config", "set", "a=2", *WEB)

    refused = platform.run("config", "publish", *WEB, "--version", "1")

    line = "config rollback --env test --module module-web --to 1"
    assert refused.code == ExitCode.CONFLICT
    assert f"`runtimectl {line}`" in refused.err
    assert platform.run(*line.split()).code == ExitCode.OK
    assert values_of(platform) == {"a": 1}


def test_versions_are_listed_compared_and_returned_to(platform: ConfiguredPlatform) -> None:
    platform.run("config", "set", "a=1", "--comment", "first", *WEB)
    platform.run("config", "set", "a=2", *WEB)

    difference = platform.run("config", "diff", *WEB).out.splitlines()
    back = platform.run("config", "rollback", *WEB)

    assert difference[1].split() == ["a", "changed", "1", "2"]
    assert back.code == ExitCode.OK, back.err
    assert values_of(platform) == {"a": 1}
    rows = [row.split()[:2] for row in platform.run("config", "versions", *WEB).out.splitlines()]
    assert rows[1:] == [["1", "Superseded"], ["2", "RolledBack"], ["3", "Published"]]


def test_one_layer_is_shown_by_itself_and_all_are_listed(platform: ConfiguredPlatform) -> None:
    platform.publish(TENANT_LAYER, {"a": 1}, 0)
    platform.publish(MODULE_LAYER, {"b": 2}, 0)

    shown = platform.run("config", "show", *WEB).out.splitlines()
    heads = platform.run("config", "list").out.splitlines()

    assert shown[1].split() == ["b", "2"]
    assert shown[2] == "version 1, Published, by user:ann"
    assert sorted(line.split()[0] for line in heads[1:]) == ["module", "tenant"]
    absent = platform.run("config", "show", "--env", "test")
    assert absent.code == ExitCode.NOT_FOUND
    assert "environment test has no configuration of its own" in absent.err


def editor_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Make an editor that runs *code* on `text`, which it writes back."""
    script = tmp_path / "editor.py"
    script.write_text(
        "import sys, pathlib\n"
        "file = pathlib.Path(sys.argv[1])\n"
        f"text = file.read_text()\n{code}\nfile.write_text(text)\n"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_layer_is_edited_with_what_it_says_and_its_file_is_gone_then(
    platform: ConfiguredPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.publish(MODULE_LAYER, {"a": 1, "switch": "on"}, 0)
    editor_of(tmp_path, monkeypatch, "text = text.replace('a: 1', 'a: 7\\n  b: {secret: pw}')")

    ran = platform.run("config", "edit", *WEB)

    assert ran.code == ExitCode.OK, ran.err
    assert values_of(platform) == {"a": 7, "b": {"secret": "pw"}, "switch": "on"}
    assert list(tmp_path.glob("runtimectl-config-*")) == []


def test_an_edit_that_changes_nothing_publishes_nothing(
    platform: ConfiguredPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor_of(tmp_path, monkeypatch, "")

    ran = platform.run("config", "edit", *WEB)

    assert (ran.code, ran.err) == (ExitCode.OK, "nothing was changed\n")
    assert list(tmp_path.glob("runtimectl-config-*")) == []


@pytest.mark.parametrize(
    ("code", "said", "exit_code"),
    [
        pytest.param(
            "text += '  dbPassword: hunter2\\n'",
            "line 12: values.dbPassword: dbPassword is a secret by its name",
            ExitCode.USAGE,
            id="by-its-content",
        ),
        pytest.param(
            "text += '  a: [\\n'", "is not YAML", ExitCode.USAGE, id="because-it-is-no-yaml"
        ),
        pytest.param(
            "text += 'vlaues: {}\\n'",
            "line 12: vlaues: there is no such field",
            ExitCode.USAGE,
            id="for-a-field-that-is-none",
        ),
        pytest.param(
            "text = text.replace('module: module-web', 'module: module-api')",
            "module: expected module-web, which is edited here, got module-api",
            ExitCode.USAGE,
            id="for-another-module",
        ),
        pytest.param(
            "text = 'configuration:\\n- values: {}\\n- layer: tenant\\n  values: {}\\n'",
            "expected one layer, got several",
            ExitCode.USAGE,
            id="for-several-layers",
        ),
    ],
)
def test_a_refused_edit_is_kept_and_says_where(
    code: str, said: str, exit_code: ExitCode,
    platform: ConfiguredPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    editor_of(tmp_path, monkeypatch, code)

    ran = platform.run("config", "edit", *WEB)

    (file,) = tmp_path.glob("runtimectl-config-*")
    assert ran.code == exit_code, ran.err
    assert said in ran.err
    assert f"runtimectl config publish -f {file}" in ran.err
    assert values_of(platform) == {"a": 1}


def test_a_kept_edit_is_published_once_it_is_mended(
    platform: ConfiguredPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    editor_of(tmp_path, monkeypatch, "text += '  b: ]\\n'")
    platform.run("config", "edit", *WEB)
    (file,) = tmp_path.glob("runtimectl-config-*")
    file.write_text(file.read_text().replace("]", "2"))

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.OK, ran.err
    assert values_of(platform) == {"a": 1, "b": 2}


def test_a_module_of_which_nothing_was_released_is_said_with_the_nearest(
    platform: ConfiguredPlatform,
) -> None:
    slip = ("--env", "test", "--module", "module-shpo")

    ran = platform.run("config", "set", "a=1", *slip)

    assert ran.code == ExitCode.OK, ran.err
    assert "module-shpo has no release there: it is given this with its first" in ran.err
    assert "did you mean module-shop?" in ran.err
