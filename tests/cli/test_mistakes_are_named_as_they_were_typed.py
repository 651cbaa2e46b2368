"""A release that is none is refused before the upload, each mistake once, as it was typed."""

import json
import re
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.main import main
from cli.state_folder import REPOSITORY
from tests.cli.small_platform import DIGEST, RUNTIME, THE_ACCEPTED, Ran, RuntimeCtl
from tests.cli.small_server import serving

pytestmark = pytest.mark.real
COMPONENT = f"""
  - moduleId: module-shop
    componentType: microservice
    version: '1.0'
    port: 8080
    artifact: {DIGEST}
"""
RELEASE = f"releaseRef: shop-1\ncomponents:{COMPONENT}"


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def require_readable(ran: Ran) -> None:
    """Require one error in words, exit code 2, and nothing sent."""
    assert ran.code == ExitCode.USAGE, ran.err
    assert ran.asked == []
    assert ran.err.count("error: ") == 1
    assert not re.search(r"\^|\\[wd]|/components/|\(\?:", ran.err), ran.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(
            f"--module module-shop --artifact {DIGEST}", "--version is missing", id="no-version"
        ),
        pytest.param(
            "--module module-shop --version 1.0", "--artifact is missing", id="no-artifact"
        ),
        pytest.param(f"--version 1.0 --artifact {DIGEST}", "--module is missing", id="no-module"),
        pytest.param("--module x --version 1", "did you mean module-x?", id="a-short-module"),
        pytest.param(
            f"--module module-shop --version 1 --artifact {DIGEST} --port 0",
            "--port: expected at least 1, got 0",
            id="no-port",
        ),
        pytest.param(
            f"--module module-shop --version a/b --artifact {DIGEST}",
            '--version: expected letters, digits and . _ + -, such as 1.0.2, got "a/b"',
            id="no-such-version",
        ),
        pytest.param(
            f"--module module-shop --version 1 --artifact {DIGEST} --weights 50,20",
            "--weights: weights rise from step to step",
            id="falling-weights",
        ),
    ],
)
def test_a_mistake_in_the_line_is_named_by_its_option(
    line: str, said: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"deploy --env test {line}")

    require_readable(ran)
    assert ran.err.count(said) == 1


@pytest.mark.parametrize("command", ["deploy --env test", "validate"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            RELEASE.replace("'1.0'", "2.0"),
            "line 5: components[0].version: expected text, got 2.0: put it in quotes",
            id="a-number-for-text",
        ),
        pytest.param(
            RELEASE.replace("components:", "componets:"),
            "line 2: componets: there is no such field; did you mean components?",
            id="a-slip",
        ),
        pytest.param(
            RELEASE.replace("    port:", "    path_prefix:"),
            "components[0].path_prefix: there is no such field; did you mean pathPrefix?",
            id="snake-case",
        ),
        pytest.param(
            RELEASE.replace("    port: 8080\n", "    version: '2'\n").replace(
                "    version: '1.0'\n", "    port: []\n"
            ),
            "line 5: components[0].port: expected a whole number, got a list of 0",
            id="another-type",
        ),
        pytest.param(
            "components: {web: {}}", "line 1: components: expected a list", id="a-mapping"
        ),
        pytest.param("components: [web]", "components[0]: expected a mapping", id="a-word"),
        pytest.param(
            f"{RELEASE}    requires: [privatefiles]\n",
            "did you mean privateFiles?",
            id="a-word-in-other-letters",
        ),
        pytest.param("", "expected a mapping, got nothing", id="an-empty-file"),
        pytest.param("releaseRef: x", "components or remove names at least one", id="nothing"),
        pytest.param("services: {web: {image: nginx}}", "is a Compose file", id="a-compose-file"),
    ],
)
def test_a_mistake_in_a_file_is_named_by_its_line_and_field(
    command: str, text: str, said: str, runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(text)

    ran = runtimectl.run(f"{command} -f {file}")

    require_readable(ran)
    assert ran.err.count(said) == 1


@pytest.mark.parametrize(
    ("needs", "circle"),
    [
        pytest.param(["module-shop"], "module-shop → module-shop", id="on-itself"),
        pytest.param(["module-web"], "module-shop → module-web → module-shop", id="on-another"),
    ],
)
def test_modules_that_depend_on_each_other_in_a_circle_are_no_release(
    needs: list[str], circle: str, runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    other = RELEASE.partition("components:\n")[2].replace("module-shop", "module-web")
    file.write_text(f"{RELEASE}    dependsOn: [{needs[0]}]\n{other}    dependsOn: [module-shop]\n")

    ran = runtimectl.run(f"validate -f {file}")

    require_readable(ran)
    assert "dependsOn: modules depend on each other in a circle: " in ran.err
    assert set(circle.split(" → ")) <= set(re.findall(r"module-\w+", ran.err))


def test_modules_that_stand_twice_and_each_circle_are_named_beside_other_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = {"version": "1", "componentType": "microservice", "port": 80, "artifactDigest": DIGEST}
    components = [
        {"moduleId": "module-a", "dependsOn": ["module-b"], **of},
        {"moduleId": "module-b", "dependsOn": ["module-a"], **of, "port": 0},
        {"moduleId": "module-c", "dependsOn": ["module-c"], **of},
        {"moduleId": "module-a", **of},
    ]
    file = tmp_path / "release.yaml"
    release = {"releaseRef": "x", "components": components, "remove": ["module-z", "module-z"]}
    file.write_text(json.dumps(release, indent=1))

    assert main(["validate", "-f", str(file)]) == ExitCode.USAGE

    said = capsys.readouterr().err
    for each in (
        "components[3].moduleId: module-a stands in this release already",
        "remove[1]: module-z stands in this release already",
        "in a circle: module-a → module-b → module-a",
        "in a circle: module-c → module-c",
        "components[1].port: expected at least 1, got 0",
    ):
        assert each in said


def test_what_is_wrong_beside_other_mistakes_is_told_with_them(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    steps = "strategy: {steps: [{weight: 50, pasue: PT1M}, {weight: 20}]}\n"
    file.write_text(RELEASE.replace(DIGEST, "nope.zip") + steps)

    ran = runtimectl.run(f"validate -f {file}")

    require_readable(ran)
    for said in ("did you mean pause?", "weights rise from step to step", "no file nope.zip"):
        assert said in ran.err


def test_mistakes_stand_in_the_order_of_their_lines(runtimectl: RuntimeCtl, tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    steps = "strategy: {steps: [{weight: 50, pasue: PT1M}, {weight: 20}]}\n"
    file.write_text(RELEASE.replace(DIGEST, "nope.zip").replace("'1.0'", "2.0") + steps)

    ran = runtimectl.run(f"validate -f {file}")

    lines = [int(number) for number in re.findall(r"- line (\d+):", ran.err)]
    assert len(set(lines)) > 1
    assert lines == sorted(lines)


def test_several_mistakes_are_counted_and_each_is_named_once(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(RELEASE.replace("'1.0'", "2.0").replace("8080", "0"))

    ran = runtimectl.run(f"validate -f {file}")

    require_readable(ran)
    assert ran.err.splitlines()[0] == f"error: {file} has 2 mistakes [Invalid]"
    assert ran.err.count("put it in quotes") == 1
    assert ran.err.count("expected at least 1") == 1


JOB = f"""\
components:
  - moduleId: module-job
    componentType: worker
    version: "1.0"
    artifactDigest: {DIGEST}
    command: [python, job.py]
    schedule: {{cron: "30 2 * * *"}}
    port: 80
"""
NO_PORT = "module-job has schedule: one instance of it runs to its end"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(JOB, [NO_PORT], id="a-job-with-a-port"),
        pytest.param(
            JOB.replace("30 2 *", "nope"), ["five fields of cron", NO_PORT], id="beside-its-times"
        ),
        pytest.param(
            JOB.replace('"1.0"', "1.0") + "    runsOnce: {}\n",
            ["put it in quotes", "exclude each other", "module-job has runsOnce"],
            id="beside-another-kind",
        ),
        pytest.param(
            JOB.replace("port: 80", "prot: 80") + "    image: ghcr.io/acme/job:1\n    replicas: 3\n"
            "strategy: {kind: rolling}\n",
            [
                "did you mean port?",
                "exactly one of image and artifactDigest",
                "can have no replicas",
                "rolling is not supported yet",
            ],
            id="beside-two-sources",
        ),
        pytest.param(
            JOB.replace("port: 80", "port: many").replace("schedule: {cron", "environ: {A")
            + "    probes: {readiness: {path: /, port: 9}}\n",
            ["components[0].port: expected"],
            id="not-what-follows-from-another",
        ),
    ],
)
def test_a_mistake_hides_no_other(
    text: str, said: list[str], runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(text)

    ran = runtimectl.run(f"validate -f {file}")

    require_readable(ran)
    assert ran.code == ExitCode.USAGE
    lines = [line for line in ran.err.splitlines()[:-1] if line.startswith(("error:", "  - "))]
    assert len(lines[1:] or lines) == len(said), ran.err
    for each in said:
        assert each in ran.err


def test_what_a_plan_refuses_is_told_beside_mistakes_of_a_deployment(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(JOB.replace('"1.0"', "1.0"))

    ran = runtimectl.run(f"deploy -f {file} --env test")

    assert "put it in quotes" in ran.err
    assert NO_PORT in ran.err
    assert ran.asked == []


@pytest.mark.parametrize("command", ["plan", "create"])
def test_all_that_is_wrong_with_an_environment_is_said_at_once(
    command: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(
        f"env {command} Mars --stage tset --isolation silos --target AKZ --project shop"
        " --region West --data files --data db=LocalPostgre --tag team --admit Acme"
    )

    require_readable(ran)
    assert "the request has 10 mistakes" in ran.err
    for said in (
        "NAME: expected a lower case letter, then letters, digits and inner dashes",
        "--stage: expected one of 'dev', 'test', 'staging' or 'prod', got \"tset\"; did you mean",
        "--isolation: expected one of 'silo', 'pool' or 'shared'",
        "--target: expected one of",
        "--project: expected proj- and lower case letters",
        "--region: expected a region in lower case",
        '--data: expected name=value, such as --data files=LocalFolder, got "files"',
        "did you mean LocalPostgres?",
        '--tag: expected name=value, such as --tag team=payments, got "team"',
        "--admit: expected",
    ):
        assert ran.err.count(said) == 1, (said, ran.err)


def test_what_is_wrong_in_a_file_of_an_environment_is_said_with_what_is_wrong_in_the_line(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(
        "computeTargets: [{kind: AKS}, {kind: AKS}]\nprotectd: true\nisolationModel: pool\n"
        "stage: tset\n"
    )

    ran = runtimectl.run(f"env create test -f {file} --isolation none")

    require_readable(ran)
    assert f"{file} has 4 mistakes" in ran.err
    assert "line 4: stage: expected one of" in ran.err
    assert "line 1: computeTargets: each kind stands there at most once" in ran.err
    assert "line 2: protectd: there is no such field; did you mean protected?" in ran.err
    assert "- --isolation: expected one of" in ran.err, "the line of the file says pool"


def test_a_text_that_is_no_pair_overrides_the_file_and_is_blamed_alone(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text("stage: test\ntags: {team: [1]}\ndataResources: [{name: 1}]\n")

    ran = runtimectl.run(f"env plan test -f {file} --tag foo --data files")

    assert f"{file} has 2 mistakes" in ran.err
    assert "--tag: expected name=value, such as --tag team=payments, got" in ran.err
    assert "--data: expected name=value, such as --data files=LocalFolder, got" in ran.err


def test_as_many_mistakes_of_options_are_named_as_of_a_request_and_none_at_length(
    runtimectl: RuntimeCtl,
) -> None:
    ran = runtimectl.run("env plan Mars" + " --data files" * 1100 + f" --tag {'x' * 20_000}")

    assert "has 1102 mistakes, of which the first 50 are named" in ran.err
    assert ran.err.count("  - ") == 50
    assert len(ran.err) < 10_000

    ran = runtimectl.run(f"env plan test --tag {'x' * 20_000}")

    assert "… (20002 characters)" in ran.err
    assert len(ran.err) < 1000


@pytest.mark.parametrize(
    "line",
    [
        "env plan test --tag password:hunter2",
        "env plan test --data https://ann:hunter2@db",
        "deploy --env test --module module-web --environ https://ann:hunter2@db",
        "init --command 'hunter2",
    ],
)
def test_what_may_be_a_secret_is_not_repeated(line: str, runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(line)

    assert ran.code == ExitCode.USAGE
    assert "expected" in ran.err
    assert "hunter2" not in ran.err


def test_options_of_a_new_environment_override_its_file(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text("stage: dev\nregion: west\nprojectId: proj-a\n")

    _, body = runtimectl.run(f"env create test -f {file} --stage prod --region east").written

    assert (body["stage"], body["region"], body["projectId"]) == ("prod", "east", "proj-a")


def test_an_empty_option_of_a_new_environment_is_a_mistake_and_not_left_out(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text("stage: dev\nregion: west\nprojectId: proj-a\n")
    empty = "--project= --stage= --region= --target="

    for options in (empty, f"{empty} -f {file}"):
        ran = runtimectl.run(f"env create test {options}")

        assert (ran.code, ran.asked) == (ExitCode.USAGE, [])
        for option in ("--project", "--stage", "--region", "--target"):
            assert f"- {option}: expected" in ran.err, ran.err


def test_what_is_wrong_with_a_change_of_an_environment_is_said_before_it_is_sent(
    runtimectl: RuntimeCtl,
) -> None:
    ran = runtimectl.run("env update test --isolation none --data files --admit Acme")

    assert ran.code == ExitCode.USAGE
    assert "the request has 3 mistakes" in ran.err
    assert [each.method for each in ran.asked if each.method != "GET"] == []


def test_a_refusal_of_the_platform_is_said_once_in_the_same_words(runtimectl: RuntimeCtl) -> None:
    expected = "a lower case letter, then letters, digits and inner dashes, at most 40"
    message = f'expected {expected}, received "mars"'
    detail = {
        "code": "PatternMismatch", "target": "/name", "message": message,
        "expected": expected, "received": '"mars"',
    }  # fmt: skip
    error = {"code": "Invalid", "message": f"/name: {message}", "details": [detail]}
    with serving(lambda _: (400, {"error": error}), keeps_connections=False) as server:
        ran = runtimectl.run_at(server, "env create mars")

    assert ran.code == ExitCode.REFUSED
    assert ran.err.splitlines()[0].startswith("error: NAME: expected a lower case letter")
    assert ran.err.count("mars") == 1


def test_a_file_without_a_mistake_is_valid_and_needs_no_system(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(RELEASE)

    ran = runtimectl.run(f"validate -f {file}")

    assert (ran.code, ran.asked) == (ExitCode.OK, [])
    assert "module-shop" in ran.out


def test_every_example_is_valid_and_gets_its_archive_from_an_option(
    runtimectl: RuntimeCtl,
) -> None:
    files = sorted((REPOSITORY / "examples").rglob("*.yaml"))

    shown = [runtimectl.run(f"validate -f {file}") for file in files]

    assert [ran.code for ran in shown] == [ExitCode.OK] * len(files)
    of_archives = [
        ran for file, ran in zip(files, shown, strict=True) if "image:" not in file.read_text()
    ]
    assert of_archives
    assert all("components[0].artifact is missing: give it with" in ran.err for ran in of_archives)


@pytest.mark.parametrize("command", ["deploy --env test", "validate"])
def test_a_microservice_without_a_port_is_warned_about(
    command: str, runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(RELEASE.replace("    port: 8080\n", ""))

    ran = runtimectl.run(f"{command} -f {file}", {f"POST {RUNTIME}/deployments": THE_ACCEPTED})

    assert ran.code == ExitCode.OK, ran.err
    assert "warning: module-shop has no port: it gets no traffic" in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            RELEASE.replace(DIGEST, "nope.zip"),
            "components[0].artifact: there is no file nope.zip, and no {folder}/nope.zip: build it",
            id="an-archive-that-is-not-there",
        ),
        pytest.param(
            f"{RELEASE}    resources: {{cpu: 1}}\n",
            "module-shop: cpu is refused on this machine: ",
            id="a-limit-that-this-machine-cannot-enforce",
        ),
        pytest.param(
            RELEASE.replace("port: 8080", "probes: {readiness: {path: /}}"),
            "module-shop has no port: nothing can ask it over HTTP; probes are refused",
            id="probes-without-a-port",
        ),
        pytest.param(
            f"{RELEASE}    environ: {{PORT: '80', HOME: /x, RUNTIME_UNIT: x, RUNTIME_MINE: x}}\n",
            "module-shop: the platform sets HOME, PORT, RUNTIME_UNIT: what environ says is not",
            id="variables-that-the-platform-sets",
        ),
        pytest.param(
            f"{RELEASE}    compatibleWith: ['1.0']\n",
            "module-shop: compatibleWith is not looked at yet: it holds nothing up",
            id="a-field-that-nothing-reads-yet",
        ),
    ],
)
def test_validate_warns_about_what_a_deployment_refuses_or_ignores(
    text: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RUNTIMECTL_URL", raising=False)
    file = tmp_path / "release.yaml"
    file.write_text(text)

    code = main(["validate", "-f", str(file)])

    assert code == ExitCode.OK
    assert said.format(folder=tmp_path) in capsys.readouterr().err


def test_an_archive_that_is_not_there_is_built_by_the_next_line(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(
        "deploy --env test --module module-shop --version 1 --port 80 --artifact nope.zip"
    )

    assert ran.code == ExitCode.USAGE
    assert "`runtimectl artifact build --folder <folder> --to nope.zip`" in ran.err


def test_a_folder_given_for_an_archive_is_built_by_the_next_line(
    runtimectl: RuntimeCtl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-app").mkdir()
    monkeypatch.chdir(tmp_path / "my-app")

    ran = runtimectl.run(
        "deploy --env test --module module-shop --version 1 --port 80 --artifact ."
    )

    assert ran.code == ExitCode.USAGE
    assert "`runtimectl artifact build --folder . --to ../my-app.zip`" in ran.err
