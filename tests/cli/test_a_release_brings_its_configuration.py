"""`configuration:` and `secrets:` of a release file: brought about first, then deployed with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from cli import wait_for_events
from cli.exit_codes import ExitCode
from shared.contracts.deployment_plans import secret_left_out
from tests.cli.configured_platform import ConfiguredPlatform, configured_platform
from tests.cli.small_platform import (
    DEPLOYMENT,
    DIGEST,
    OPERATION,
    RUNTIME,
    THE_ACCEPTED,
    Ran,
    RuntimeCtl,
)
from tests.cli.small_server import Asked
from tests.configurations.configured import ENVIRONMENT_LAYER, MODULE_LAYER

pytestmark = pytest.mark.real
RELEASE = f"""
releaseRef: shop-1
environment: test
components:
  - moduleId: module-web
    componentType: microservice
    version: '1.0'
    artifactDigest: {DIGEST}
"""
CONFIGURATION = """
configuration:
  - module: module-web
    values: {greeting: hello}
  - values: {level: info}
"""
SECRETS = """
secrets:
  - {name: db-password, target: DB_PASSWORD, generator: {kind: random}}
"""
BOUND = {"status": "Bound", "secretName": "db-password", "moduleId": "module-web"}


def _planned(
    change: str, status: str | None, version: str | None = None, refusals: Sequence[Any] = ()
) -> Mapping[str, Any]:
    return {
        "bindingId": "sec-1", "change": change, "status": status, "version": version,
        "refusals": list(refusals),
    }  # fmt: skip


class Deployments:
    """Plans what it has heard of: of each publish and binding, at the plan with number *heard*."""

    def __init__(self, heard: int = 2) -> None:
        self.plans = 0
        self._heard = heard
        self.deployed: list[Mapping[str, Any]] = []
        self.bound: list[Mapping[str, Any]] = []
        self.refusals: list[Mapping[str, Any]] = []
        self.warnings: list[str] = []
        self.planned: tuple[int, Any] = 200, _planned("Bind", None)
        self.binding = BOUND
        self.taken: tuple[int, Any] = 202, THE_ACCEPTED

    def answer(self, asked: Asked) -> tuple[int, Any]:
        body = json.loads(asked.body) if asked.body else None
        match (asked.method, asked.path.partition("?")[0]):
            case ("POST", path) if path == f"{RUNTIME}/deployments":
                if body.get("dryRun"):
                    return 200, self._plan()
                self.deployed.append(body)
                return self.taken
            case ("POST", path) if path == f"{RUNTIME}/secret-bindings":
                if body.get("dryRun"):
                    return self.planned
                self.bound.append(body)
                return 202, {**self.binding, "bindingId": "sec-1"}
        return 404, {"error": {"code": "NotFound", "message": asked.path}}

    def _plan(self) -> Mapping[str, Any]:
        self.plans += 1
        is_heard = self.plans >= self._heard
        pin = {"environment": 1, "module": 1} if is_heard else {"environment": 0, "module": 0}
        component = {
            "moduleId": "module-web", "version": "1.0", "releaseRevision": 1, "replicas": 1,
            "digest": DIGEST, "dependsOn": [], "configuration": pin,
            "secrets": [{"name": "db-password"}] if is_heard and self.bound else [],
        }  # fmt: skip
        return {
            "components": [component], "refusals": self.refusals, "waitingFor": None,
            "warnings": self.warnings,
        }  # fmt: skip


@pytest.fixture
def platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[ConfiguredPlatform]:
    monkeypatch.setattr(wait_for_events, "ASK_INTERVAL_S", 0.01)
    with configured_platform(RuntimeCtl(monkeypatch, capsys)) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "release.yaml"


def deployed(
    platform: ConfiguredPlatform, deployments: Deployments, file: Path, text: str, *more: str
) -> Ran:
    file.write_text(text)
    platform.elsewhere = deployments.answer
    return platform.run("deploy", "-f", str(file), *more)


def values_of(platform: ConfiguredPlatform) -> dict[str, object]:
    ran = platform.run("config", "get", "-e", "test", "-m", "module-web", "-o", "json")
    found: dict[str, object] = json.loads(ran.out)["values"]
    return found


def test_layers_are_published_and_the_release_is_deployed_once_they_are_heard_of(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments(heard=3)

    ran = deployed(platform, deployments, file, RELEASE + CONFIGURATION)

    assert ran.code == ExitCode.OK, ran.err
    assert values_of(platform) == {"greeting": "hello", "level": "info"}
    assert deployments.plans == 3
    (body,) = deployments.deployed
    assert not {"configuration", "secrets"} & body.keys()
    assert "configuration: module-web in test: published version 1" in ran.err
    assert DEPLOYMENT in ran.out


def test_what_was_published_just_before_is_waited_for_too(
    platform: ConfiguredPlatform, file: Path
) -> None:
    platform.publish(MODULE_LAYER, {"greeting": "hello"}, 0)
    deployments = Deployments(heard=3)

    ran = deployed(platform, deployments, file, RELEASE)

    assert (ran.code, deployments.plans, len(deployments.deployed)) == (ExitCode.OK, 3, 1)


def test_what_other_modules_are_given_is_not_waited_for(
    platform: ConfiguredPlatform, file: Path
) -> None:
    platform.publish({**MODULE_LAYER, "moduleId": "module-api"}, {"greeting": "hello"}, 0)
    deployments = Deployments()

    ran = deployed(platform, deployments, file, RELEASE)

    assert (ran.code, deployments.plans, len(deployments.deployed)) == (ExitCode.OK, 0, 1)


def test_a_repeat_publishes_nothing_and_deploys(platform: ConfiguredPlatform, file: Path) -> None:
    deployed(platform, Deployments(), file, RELEASE + CONFIGURATION)

    again = deployed(platform, Deployments(heard=1), file, RELEASE + CONFIGURATION)

    assert again.code == ExitCode.OK, again.err
    posted = [asked.path for asked in again.asked if asked.method == "POST"]
    assert posted == [f"{RUNTIME}/deployments"] * 2


def test_a_secret_is_bound_to_the_only_module_and_never_has_a_value(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments()

    ran = deployed(platform, deployments, file, RELEASE + SECRETS)

    assert ran.code == ExitCode.OK, ran.err
    (bound,) = deployments.bound
    assert bound == {
        "environmentId": ENVIRONMENT_LAYER["environmentId"], "moduleId": "module-web",
        "secretName": "db-password", "target": "DB_PASSWORD", "generator": {"kind": "random"},
    }  # fmt: skip
    assert len(deployments.deployed) == 1
    assert OPERATION not in ran.err


def test_a_dry_run_says_what_would_be_published_and_bound(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments(heard=1)

    ran = deployed(platform, deployments, file, RELEASE + CONFIGURATION + SECRETS, "--dry-run")

    assert ran.code == ExitCode.OK, ran.err
    assert "configuration: module-web in test: would publish version 1: greeting" in ran.err
    assert "secret: db-password of module-web would be bound" in ran.err
    assert values_of(platform) == {}
    assert (deployments.deployed, deployments.bound) == ([], [])


def test_secrets_of_a_module_that_the_release_has_not_are_warned_of(
    platform: ConfiguredPlatform, file: Path
) -> None:
    strange = SECRETS.replace("{name", "{module: module-zz, name")

    ran = deployed(platform, Deployments(heard=1), file, RELEASE + strange, "--dry-run")

    assert "warning: module-zz is no component of this release: its secrets are bound" in ran.err


NONE: Final = {"code": "SecretHasNoVersion", "message": "none"}
OTHERWISE: Final = {"error": {"code": "BindingExists", "message": "it is bound", "details": []}}


@pytest.mark.parametrize(
    ("planned", "code"),
    [
        pytest.param(
            (200, _planned("Bind", None, refusals=[NONE])), ExitCode.REFUSED, id="without-a-version"
        ),
        pytest.param((409, OTHERWISE), ExitCode.CONFLICT, id="bound-otherwise"),
    ],
)
def test_nothing_is_published_where_a_secret_cannot_be_bound(
    platform: ConfiguredPlatform, file: Path, planned: tuple[int, Any], code: ExitCode
) -> None:
    deployments = Deployments()
    deployments.planned = planned

    ran = deployed(platform, deployments, file, RELEASE + CONFIGURATION + SECRETS)

    assert ran.code == code
    assert "nothing was published or bound" in ran.err
    assert (deployments.deployed, deployments.bound, values_of(platform)) == ([], [], {})


def test_a_layer_of_another_environment_is_a_mistake(
    platform: ConfiguredPlatform, file: Path
) -> None:
    elsewhere = CONFIGURATION.replace("- values:", "- environment: prod\n    values:")

    ran = deployed(platform, Deployments(), file, RELEASE + elsewhere)

    assert ran.code == ExitCode.USAGE
    assert "a release and its layers are of one environment, test; got prod" in ran.err


def test_what_no_layer_of_the_file_reaches_is_refused_before_anything_is_published(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments()
    message = "module-api: its configuration does not fit"
    deployments.refusals = [{"code": "SchemaViolated", "message": message}]
    only = "configuration: [{module: module-web, values: {a: 1}}]"

    ran = deployed(platform, deployments, file, RELEASE + only)

    assert ran.code == ExitCode.REFUSED
    assert values_of(platform) == {}


def test_a_key_that_refers_to_the_secret_of_its_name_takes_no_variable(
    platform: ConfiguredPlatform, file: Path
) -> None:
    text = (
        RELEASE
        + """    configurationDelivery: [variables]
configuration:
  - module: module-web
    values: {DB_PASSWORD: {secret: db-password}}
"""
        + SECRETS
    )

    ran = deployed(platform, Deployments(heard=1), file, text, "--dry-run")

    assert ran.code == ExitCode.OK, ran.err


def test_a_module_whose_name_begins_as_another_is_none_of_it(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments(heard=1)
    message = "module-web-api: its configuration does not fit"
    deployments.refusals = [{"code": "SchemaViolated", "message": message}]
    only = "configuration: [{module: module-web, values: {a: 1}}]"

    ran = deployed(platform, deployments, file, RELEASE + only, "--dry-run")

    assert ran.code == ExitCode.REFUSED


NAMES = (
    RELEASE
    + """    configurationDelivery: [variables]
    environ: {OTHER: x}
configuration:
  - module: module-web
    values: {station: a, PORT: b, OTHER: c}
secrets:
  - {name: one, target: station}
  - {name: two, target: OTHER}
"""
)


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["deployed", "dry-run"])
def test_names_of_variables_that_are_taken_are_mistakes_of_the_file(
    platform: ConfiguredPlatform, file: Path, options: tuple[str, ...]
) -> None:
    deployments = Deployments()

    ran = deployed(platform, deployments, file, NAMES, *options)

    assert ran.code == ExitCode.USAGE
    for said in (
        "configuration[0].values.PORT: module-web: a variable must have a name",
        "configuration[0].values.OTHER: module-web: OTHER of its configuration is the variable",
        "secrets[0].target: module-web: the key station of its configuration is the variable",
        "secrets[1].target: OTHER is a variable of environ of module-web already",
    ):
        assert said in ran.err
    assert (deployments.deployed, deployments.bound, values_of(platform)) == ([], [], {})


def test_a_dry_run_does_not_warn_of_a_secret_that_its_own_file_binds_again(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments(heard=1)
    gone = secret_left_out("module-web", "db-password") + " as DB_PASSWORD (environmentVariable)"
    other = secret_left_out("module-web", "db-password-2") + " as OTHER (environmentVariable)"
    deployments.warnings = [gone, other]

    ran = deployed(platform, deployments, file, RELEASE + SECRETS, "--dry-run")

    assert gone not in ran.err
    assert other in ran.err


def test_a_dry_run_refuses_nothing_that_its_own_file_publishes(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments(heard=1)
    deployments.refusals = [{"code": "SchemaViolated", "message": "greeting is missing"}]

    ran = deployed(platform, deployments, file, RELEASE + CONFIGURATION, "--dry-run")

    assert ran.code == ExitCode.OK, ran.err
    assert "judged once the configuration of the file is in force: greeting is missing" in ran.err
    assert "refused" not in ran.out


def test_what_is_refused_of_the_sections_hides_nothing_of_the_plan(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments(heard=1)
    deployments.planned = 200, _planned("Bind", None, refusals=[NO_VERSION])
    deployments.refusals = [{"code": "RouteTaken", "message": "module-api has the path /"}]
    stale = CONFIGURATION.replace("values:", "expectedVersion: 4\n    values:")

    ran = deployed(platform, deployments, file, RELEASE + stale + SECRETS, "--dry-run")

    assert ran.code == ExitCode.REFUSED
    assert "configuration: would not be published: " in ran.err
    assert "secret: db-password of module-web would not be bound" in ran.err
    assert "refused: module-api has the path / [RouteTaken]" in ran.out
    assert values_of(platform) == {}


def test_nothing_is_published_where_a_later_layer_is_refused(
    platform: ConfiguredPlatform, file: Path
) -> None:
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    deployments = Deployments()
    stale = CONFIGURATION.replace("values: {greeting", "expectedVersion: 0\n    values: {greeting")

    ran = deployed(platform, deployments, file, RELEASE + stale)

    assert ran.code == ExitCode.CONFLICT
    assert "nothing was published or bound" in ran.err
    assert values_of(platform) == {"a": 1}


def test_a_conflict_ends_it_before_the_deployment(platform: ConfiguredPlatform, file: Path) -> None:
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    deployments = Deployments()
    text = RELEASE + CONFIGURATION.replace(
        "values: {greeting: hello}", "values: {greeting: hello}\n    expectedVersion: 0"
    )

    ran = deployed(platform, deployments, file, text)

    assert ran.code == ExitCode.CONFLICT
    assert "module-web in test is at version 1, not 0" in ran.err
    assert deployments.deployed == []


def test_a_publish_that_deployments_does_not_hear_of_ends_it_before_the_deployment(
    platform: ConfiguredPlatform, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_for_events, "EVENT_WITHIN_S", 0.05)
    monkeypatch.setattr(wait_for_events, "SAID_AFTER_S", 0.02)
    deployments = Deployments(heard=1_000_000)

    ran = deployed(platform, deployments, file, RELEASE + CONFIGURATION)

    assert ran.code == ExitCode.UNAVAILABLE
    said, refused = (line for line in ran.err.splitlines() if "has not heard of version 1" in line)
    assert said.endswith("yet: waiting up to 0 s")
    assert refused.startswith("error: ")
    assert deployments.deployed == []


@pytest.mark.parametrize("code", ["StageNotAllowed", "TenantBindingRequired", "RouteTaken"])
def test_nothing_is_published_or_bound_for_a_release_that_is_refused_all_the_same(
    platform: ConfiguredPlatform, file: Path, code: str
) -> None:
    deployments = Deployments()
    deployments.refusals = [{"code": code, "message": "prod is not for this"}]

    ran = deployed(platform, deployments, file, RELEASE + CONFIGURATION + SECRETS)

    assert ran.code == ExitCode.REFUSED
    assert f"prod is not for this [{code}]" in ran.err
    assert "nothing was published or bound" in ran.err
    assert values_of(platform) == {}
    assert (deployments.bound, deployments.deployed, deployments.plans) == ([], [], 1)


@pytest.mark.parametrize("code", ["SchemaViolated", "Held"])
def test_what_other_configuration_may_mend_keeps_nothing_from_being_published(
    platform: ConfiguredPlatform, file: Path, code: str
) -> None:
    """A release that was rolled back is another one with other values."""
    deployments = Deployments()
    deployments.refusals = [{"code": code, "message": "as it is now"}]

    deployed(platform, deployments, file, RELEASE + CONFIGURATION)

    assert values_of(platform) == {"greeting": "hello", "level": "info"}
    assert len(deployments.deployed) == 1


def test_a_refused_deployment_names_what_was_published_and_bound_and_stays(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments()
    deployments.binding = {**BOUND, "status": "Requested"}
    deployments.taken = 409, {"error": {"code": "Held", "message": "it was rolled back"}}

    ran = deployed(platform, deployments, file, RELEASE + CONFIGURATION + SECRETS)

    assert ran.code == ExitCode.CONFLICT
    assert "version 1 of module-web in test is in force" in ran.err
    assert "the secret db-password of module-web is bound" in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "configuration: [{values: {1a: x}}]",
            "line 9: configuration[0].values",
            id="a-key-that-is-none",
        ),
        pytest.param(
            "configuration: [{module: web, values: {}}]",
            "configuration[0].module: expected module-<slug>, got web",
            id="a-module-that-is-none",
        ),
        pytest.param(
            "configuration: [{values: {f: {flag: {type: boolean}}}}]\nsecrets: [{name: 1x}]",
            "has 3 mistakes",
            id="each-mistake-once",
        ),
        pytest.param(
            "port: 0\nsecrets: [{name: 1x}]\n"
            "configuration: [{valeus: {}}, {values: {password: x}}]",
            "has 7 mistakes",
            id="those-of-all-parts-at-once",
        ),
        pytest.param(
            "secrets: [{name: pw, target: PW, generator: {kind: rnadom}}]",
            'got "rnadom"',
            id="a-generator-that-is-none",
        ),
        pytest.param(
            "configuration: [{module: module-web, values: {items: many},"
            " schema: {properties: {items: {type: integer}}}}]",
            'line 9: configuration[0].values.items: "many" is not of type "integer"',
            id="a-value-that-does-not-fit-the-schema-beside-it",
        ),
        pytest.param(
            "secrets: [{name: pw, target: PW, value: hunter2}]",
            "line 9: secrets[0].value: no such field; there are module, name, target",
            id="a-value-in-a-file",
        ),
        pytest.param(
            "secrets: [{name: pw, target: PW, external: true}]",
            "an external secret has a vaultUri",
            id="a-rule-of-a-secret",
        ),
        pytest.param(
            "secrets: [{name: pw, target: PW}, {name: key, target: PW}]",
            "secrets[1].target: another secret has the place PW",
            id="one-place-for-two-secrets",
        ),
        pytest.param("secrets: {pw: PW}", "secrets: expected a list", id="no-list"),
        pytest.param(
            "secrets: [{name: pw, target: LEDGER-KEY}]", "secrets[0].target: ", id="no-variable"
        ),
        pytest.param(
            "configuration: [{valeus: {}}, {module: module-web, values: {items: many},"
            " schema: {properties: {items: {type: integer}}}}]",
            'configuration[1].values.items: "many" is not of type "integer"',
            id="a-value-that-does-not-fit-beside-a-layer-with-a-slip",
        ),
    ],
)
def test_a_mistake_in_a_section_is_named_with_its_line_before_anything_is_sent(
    text: str, said: str, platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments()

    ran = deployed(platform, deployments, file, f"{RELEASE}{text}\n")
    checked = platform.run("validate", "-f", str(file))

    assert ran.code == checked.code == ExitCode.USAGE, ran.err
    assert said in ran.err
    assert said in checked.err
    assert ran.err.count("error: ") == 1
    assert "hunter2" not in ran.err
    assert ran.asked == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "configuration: [{values: {items: many}, schema: {properties: {items: {type: integer}}"
            "}}]",
            'warning: configuration[0].values.items: "many" is not of type',
            id="a-value-that-each-module-may-have-another-of",
        ),
        pytest.param(
            "secrets: [{module: module-wbe, name: pw, target: PW}]",
            "warning: module-wbe is no component of this release; did you mean module-web?",
            id="a-module-with-a-slip",
        ),
        pytest.param(
            "configuration: [{module: module-web, values: {}, schema: {required: [items]}}]",
            "",
            id="a-value-that-another-layer-may-give",
        ),
    ],
)
def test_what_other_layers_may_mend_is_no_mistake(
    text: str, said: str, platform: ConfiguredPlatform, file: Path
) -> None:
    file.write_text(f"{RELEASE}{text}\n")

    ran = platform.run("validate", "-f", str(file))

    assert ran.code == ExitCode.OK, ran.err
    assert said in ran.err


def test_a_module_that_is_named_wrongly_is_said_of_the_component_and_not_of_its_secret(
    platform: ConfiguredPlatform, file: Path
) -> None:
    file.write_text(RELEASE.replace("module-web", "Web") + SECRETS)

    ran = platform.run("validate", "-f", str(file))

    assert ran.code == ExitCode.USAGE
    assert "line 5: components[0].moduleId" in ran.err
    assert "secrets[0]" not in ran.err


def test_validate_shows_the_sections(platform: ConfiguredPlatform, file: Path) -> None:
    file.write_text(RELEASE + CONFIGURATION + SECRETS)

    ran = platform.run("validate", "-f", str(file))

    assert ran.code == ExitCode.OK, ran.err
    assert "configuration: module-web: 1 keys, published before if they differ" in ran.err
    assert "secret: db-password of module-web as DB_PASSWORD, bound before if it is not" in ran.err
    assert ran.asked == []


def test_a_mapping_is_the_releases_own_choice_of_versions(
    platform: ConfiguredPlatform, file: Path
) -> None:
    deployments = Deployments()

    deployed(platform, deployments, file, RELEASE + "configuration: {module: 4}\n")

    (body,) = deployments.deployed
    assert body["configuration"] == {"module": 4}
    assert deployments.plans == 0


NO_VERSION = {"code": "SecretHasNoVersion", "message": "none is enabled"}
DIFFERS = {
    "code": "BindingExists",
    "message": "sec-1 is active with other content",
    "details": [
        {
            "code": "Differs", "target": "/delivery", "message": "differs from what is active",
            "expected": "file", "received": "environmentVariable",
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [
        pytest.param((200, _planned("Bind", None)), "would be bound", ExitCode.OK, id="new"),
        pytest.param(
            (200, _planned("Nothing", "Bound", "3" * 32)),
            "is Bound as it is asked for (version 333333333333): nothing would change",
            ExitCode.OK,
            id="as-it-is",
        ),
        pytest.param(
            (200, _planned("BindAgain", "Revoked")),
            "is Revoked: it would be bound again",
            ExitCode.OK,
            id="revoked",
        ),
        pytest.param(
            (200, _planned("Bind", None, refusals=[NO_VERSION])),
            "would not be bound: none",
            ExitCode.REFUSED,
            id="without-a-version",
        ),
        pytest.param(
            (409, {"error": DIFFERS}),
            "is refused: sec-1 is active with other content (delivery: ",
            ExitCode.CONFLICT,
            id="other-delivery",
        ),
    ],
)
def test_a_dry_run_says_what_is_there_of_each_secret_and_what_would_change(
    platform: ConfiguredPlatform, file: Path, answer: tuple[int, Any], words: str, code: ExitCode
) -> None:
    deployments = Deployments(heard=1)
    deployments.planned = answer

    ran = deployed(platform, deployments, file, RELEASE + SECRETS, "--dry-run")

    assert ran.code == code, ran.err
    assert f"secret: db-password of module-web {words}" in ran.err
    assert (deployments.bound, deployments.deployed) == ([], [])
