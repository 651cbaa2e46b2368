"""`config publish -f`: a layer or several, as YAML or JSON; what is there already stays."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from tests.cli.configured_platform import ConfiguredPlatform, configured_platform
from tests.cli.small_platform import Ran, RuntimeCtl
from tests.configurations.configured import MODULE_LAYER

pytestmark = pytest.mark.real
WEB = ("--env", "test", "--module", "module-web")
ONE = """
environment: test
module: module-web
values: {greeting: hello, items: 20}
schema: {required: [greeting]}
comment: from a file
"""
SEVERAL = """
environment: test
configuration:
  - module: module-web
    values: {c: 3}
  - layer: tenant
    values: {a: 1, c: 1}
  - values: {b: 2, c: 2}
"""


@pytest.fixture
def platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[ConfiguredPlatform]:
    with configured_platform(RuntimeCtl(monkeypatch, capsys)) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.yaml"


def published(ran: Ran) -> list[str]:
    """Return which layers were published, in order; a dry run publishes none."""
    bodies = [json.loads(asked.body) for asked in ran.asked if asked.body]
    return [body["scope"]["layer"] for body in bodies if not body.get("dryRun")]


def require_number(platform: ConfiguredPlatform, file: Path) -> None:
    """Have the tenant's schema ask for a number of every module that says `greeting`."""
    schema = {"properties": {"greeting": {"type": "integer"}}}
    file.write_text(json.dumps({"layer": "tenant", "values": {}, "schema": schema}))
    assert platform.run("config", "publish", "-f", str(file)).code == ExitCode.OK


def values_of(platform: ConfiguredPlatform) -> dict[str, object]:
    """Return what the module is given."""
    found: dict[str, object] = json.loads(platform.run("config", "get", *WEB, "-o", "json").out)[
        "values"
    ]
    return found


def test_a_layer_is_published_with_schema_and_comment(
    platform: ConfiguredPlatform, file: Path
) -> None:
    file.write_text(ONE)

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.OK, ran.err
    assert values_of(platform) == {"greeting": "hello", "items": 20}
    shown = json.loads(platform.run("config", "show", *WEB, "-o", "json").out)
    assert (shown["schema"], shown["comment"]) == ({"required": ["greeting"]}, "from a file")


def test_json_is_taken_too(platform: ConfiguredPlatform, file: Path) -> None:
    body = {"environment": "test", "module": "module-web", "values": {"a": [1, {"b": None}]}}
    file.write_text(json.dumps(body, indent=2))

    assert platform.run("config", "publish", "-f", str(file)).code == ExitCode.OK
    assert values_of(platform) == body["values"]


def test_several_layers_are_published_from_the_tenant_down(
    platform: ConfiguredPlatform, file: Path
) -> None:
    file.write_text(SEVERAL)

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.OK, ran.err
    assert published(ran) == ["tenant", "environment", "module"]
    assert values_of(platform) == {"a": 1, "b": 2, "c": 3}


def test_a_repeat_publishes_only_what_differs(platform: ConfiguredPlatform, file: Path) -> None:
    file.write_text(SEVERAL)
    platform.run("config", "publish", "-f", str(file))
    file.write_text(SEVERAL.replace("b: 2", "b: 9"))

    ran = platform.run("config", "publish", "-f", str(file))

    assert published(ran) == ["environment"]
    assert "the tenant: nothing differs from version 1" in ran.err


def test_the_environment_of_the_command_counts(platform: ConfiguredPlatform, file: Path) -> None:
    file.write_text(ONE.replace("environment: test", "environment: elsewhere"))

    ran = platform.run("config", "publish", "-f", str(file), "--env", "test")

    assert ran.code == ExitCode.OK, ran.err
    assert values_of(platform)["items"] == 20


def test_a_file_that_was_written_against_another_version_is_a_conflict(
    platform: ConfiguredPlatform, file: Path
) -> None:
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    file.write_text(ONE + "expectedVersion: 0\n")

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.CONFLICT
    assert "module-web in test is at version 1, not 0" in ran.err
    assert values_of(platform) == {"a": 1}


def test_a_dry_run_of_a_file_publishes_nothing(platform: ConfiguredPlatform, file: Path) -> None:
    file.write_text(ONE)

    ran = platform.run("config", "publish", "-f", str(file), "--dry-run")

    assert "greeting  added" in ran.out
    assert values_of(platform) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("values: [1]", "line 1: values: expected a mapping", id="values"),
        pytest.param("environment: test", "values is missing", id="no-values"),
        pytest.param(
            "environment: test\nvalues:\n  on: 1", "the name on is no text", id="yaml-words"
        ),
        pytest.param(
            "layer: moon\nvalues: {}", "line 1: layer: expected tenant, environment, module",
            id="layer",
        ),
        pytest.param(
            "module: module-web\nvalues: {}",
            "module takes environment and module, got module",
            id="env",
        ),
        pytest.param("configuration: {}", "expected a list of layers", id="no-list"),
        pytest.param(
            "components: []\nconfiguration: []", "line 1: components stands beside", id="a-release"
        ),
        pytest.param(
            "configuration:\n- {layer: tenant, values: {}}\n- {layer: tenant, valeus: {}}",
            "line 3: configuration[1].valeus: there is no such field", id="of-the-second",
        ),
        pytest.param("- a", "begin with `environment: test`", id="no-mapping"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_layer_is_refused_with_its_line_and_nothing_is_sent(
    text: str, said: str, platform: ConfiguredPlatform, file: Path
) -> None:
    file.write_text(text)

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.USAGE
    assert said in ran.err
    assert ran.err.count("error: ") == 1
    assert ran.asked == []


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["published", "dry-run"])
def test_of_a_file_with_mistakes_nothing_is_published_and_all_are_named(
    options: tuple[str, ...], platform: ConfiguredPlatform, file: Path
) -> None:
    wrong = SEVERAL.replace("b: 2", "apiKey: abc").replace("module-web", "web")
    file.write_text(wrong + "  - values: {b: 3}\n    expectedVersion: -1\n")

    ran = platform.run("config", "publish", "-f", str(file), *options)

    assert ran.code == ExitCode.USAGE
    for said in (
        "line 4: configuration[0].module: expected module-<slug>, got web",
        "line 8: configuration[2].values.apiKey: apiKey is a secret by its name",
        "configuration[3]: the same layer stands in this file twice",
        "configuration[3].expectedVersion: expected at least 0, got -1",
    ):
        assert said in ran.err
    assert ran.asked == []


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["published", "dry-run"])
def test_of_layers_that_the_system_refuses_all_are_named_before_any_is_published(
    options: tuple[str, ...], platform: ConfiguredPlatform, file: Path
) -> None:
    moved = SEVERAL.replace("values:", "expectedVersion: 7\n    values:")
    file.write_text(moved)

    ran = platform.run("config", "publish", "-f", str(file), *options)

    assert ran.code == ExitCode.CONFLICT
    assert f"{file} has 3 mistakes" in ran.err
    assert published(ran) == []


def test_what_the_system_refuses_in_a_file_has_its_line(
    platform: ConfiguredPlatform, file: Path
) -> None:
    require_number(platform, file)
    file.write_text(ONE)

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.REFUSED
    assert f"{file}: line 4: module-web in test" in ran.err


def test_a_number_that_no_version_has_is_one_mistake(
    platform: ConfiguredPlatform, file: Path
) -> None:
    platform.publish(MODULE_LAYER, {"greeting": "by another"}, 0)
    file.write_text(f"{ONE}expectedVersion: -1\n")

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.USAGE
    assert "expected at least 0, got -1" in ran.err
    assert "in force" not in ran.err


def test_one_layer_by_two_names_is_refused_before_it_is_published(
    platform: ConfiguredPlatform, file: Path
) -> None:
    file.write_text(
        "configuration: [{environment: a, values: {a: 1}}, {environment: b, values: {a: 2}}]"
    )

    ran = platform.run("config", "publish", "-f", str(file), "--env", "test")

    assert ran.code == ExitCode.USAGE
    assert "environment test stands in this file twice" in ran.err
    assert published(ran) == []


def test_what_no_layer_of_the_file_can_mend_is_refused_before_any_is_published(
    platform: ConfiguredPlatform, file: Path
) -> None:
    require_number(platform, file)
    file.write_text(
        "environment: test\nconfiguration: [{values: {b: 9}},"
        " {module: module-web, values: {greeting: hello}}]"
    )

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.REFUSED
    assert "module-web in test" in ran.err
    assert published(ran) == []


def test_what_a_layer_before_it_mends_is_published_after_that(
    platform: ConfiguredPlatform, file: Path
) -> None:
    require_number(platform, file)
    file.write_text(
        "environment: test\nconfiguration: [{layer: tenant, values: {}, schema: {}},"
        " {module: module-web, values: {greeting: hello}}]"
    )

    ran = platform.run("config", "publish", "-f", str(file))

    assert ran.code == ExitCode.OK, ran.err
    assert "module-web in test: judged once what stands before it is in force" in ran.err
    assert published(ran) == ["tenant", "module"]
