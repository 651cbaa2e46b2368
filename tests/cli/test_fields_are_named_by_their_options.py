"""What the platform refuses of a request is named as it was typed, whichever command sent it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cli.field_names import field_name
from tests.cli.small_platform import (
    DEPLOYMENT,
    DIGEST,
    ENVIRONMENT,
    NOON,
    RUNTIME,
    SERVICE,
    RuntimeCtl,
    answer_of,
)
from tests.cli.small_server import Asked, serving

pytestmark = pytest.mark.real
POLICY = {
    "policyId": "sp-w5ekllr23tyb-abcdefghij", "environmentId": ENVIRONMENT, "status": "Enforced",
}  # fmt: skip
ANSWERS = {f"GET {RUNTIME}/scaling-policies": [POLICY], f"GET {RUNTIME}/configurations": []}
MODULE = "--env test --module module-shop"
UNTYPED = re.compile(r"(?:scope\.layer|values\..+|expectedVersion|stage|region|projectId|releaseRef"
                     r"|computeTargets.*|protected|tags.*|reason|external|isolationModel|dryRun|draft"
                     r"|components\[0\]\.componentType)")  # fmt: skip
"""Fields that a command sets by itself, or of which the name is typed (`KEY=VALUE`)."""
LINES = [
    (
        "env create test --stage dev --project proj-a --region west --target AKS --isolation silo"
        " --data files=LocalFolder --tag team=web --protected --admit acme"
    ),
    "env update test --remove-data files --admit acme --protected",
    (
        f"deploy {MODULE} --version 1 --artifact {DIGEST} --command serve --port 80"
        " --path-prefix /x --readiness / --environ A=b --replicas 2 --weights 10,100"
        " --release-ref x --restart --on-conflict queue"
    ),
    f"promote {DEPLOYMENT} --to test --strategy recreate",
    f"rollback {DEPLOYMENT} --to {DEPLOYMENT} --reason slow",
    f"config set greeting=hello {MODULE} --comment why",
    (
        f"secret bind pw {MODULE} --target PW --delivery file --vault https://v.example --external"
        " --rotate-every P30D"
    ),
    f"secret bind pw {MODULE} --target PW --generator databasePassword --resource db",
    (
        "tenant bind test --tenant acme --model silo --require network --cpu 1 --memory-mib 10"
        " --instances 2 --requests-per-second 3"
    ),
    f"scale set {MODULE} --min 1 --max 5 --rule cpu=3",
    f"scale set {MODULE} --min 1 --max 5 --rule cpu=3 --what-if --since {NOON} --until {NOON}",
    f"scale pause {MODULE} --for PT1H --direction up --reason why",
    (
        f"slo set {SERVICE} --sli latency --objective 0.9 --window P1D --min-samples 3"
        " --latency-ms-max 5"
    ),
    "drift suppress finding-1 --for P1D --reason why",
    "drift scan --env test --confirm-absent",
]


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def leaves(value: Any, at: str = "") -> Iterator[str]:
    """Yield the pointer of each value in *value*."""
    match value:
        case dict():
            for name, part in value.items():
                yield from leaves(part, f"{at}/{name}")
        case list():
            for index, part in enumerate(value):
                yield from leaves(part, f"{at}/{index}")
        case _:
            yield at


def refusing_all(asked: Asked) -> tuple[int, Any]:
    """Answer a read, and refuse each value of a write."""
    if not asked.body:
        return answer_of(asked, ANSWERS)
    details = [
        {"target": at, "message": "expected another"} for at in leaves(json.loads(asked.body))
    ]
    return 400, {"error": {"code": "Invalid", "message": "all is wrong", "details": details}}


@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(line.split()[:2]))
def test_each_field_that_an_option_set_is_named_by_it(line: str, runtimectl: RuntimeCtl) -> None:
    with serving(refusing_all, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, line)

    named = re.findall(r"^  - (.*): expected another$", ran.err, re.MULTILINE)
    assert named, ran.err
    typed = {word for word in line.split() if word.startswith("--")}
    for name in named:
        assert name in typed or name.isupper() or UNTYPED.fullmatch(name), ran.err


@pytest.mark.parametrize(
    ("line", "message", "said"),
    [
        pytest.param(
            f"scale set {MODULE} --min 1 --max 5 --what-if --since {NOON}",
            "fromAt is before untilAt",
            "--since is before --until",
            id="a-rule-of-two-fields",
        ),
        pytest.param(
            f"secret bind pw {MODULE} --target PW --external",
            "an external secret has a vaultUri",
            "an external secret has a --vault",
            id="a-rule-of-one-that-is-missing",
        ),
    ],
)
def test_a_rule_of_the_whole_request_has_options_in_its_words(
    line: str, message: str, said: str, runtimectl: RuntimeCtl
) -> None:
    detail = {"target": "", "code": "RuleBroken", "message": message, "expected": message}
    refused = {"code": "Invalid", "message": f"the body: {message}", "details": [detail]}

    def answer(asked: Asked) -> tuple[int, Any]:
        return (400, {"error": refused}) if asked.body else answer_of(asked, ANSWERS)

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, line)

    assert ran.err.splitlines()[0] == f"error: {said} [Invalid]"


def test_what_was_typed_is_shown_where_the_platform_does_not_show_it(
    runtimectl: RuntimeCtl,
) -> None:
    received = "a string of 5 characters (not shown)"
    detail = {
        "target": "/secretName", "code": "PatternMismatch", "expected": "letters and dashes",
        "message": f"expected letters and dashes, received {received}", "received": received,
    }  # fmt: skip
    refused = {"code": "Invalid", "message": f"/secretName: {detail['message']}",
               "details": [detail]}  # fmt: skip

    def answer(asked: Asked) -> tuple[int, Any]:
        return (400, {"error": refused}) if asked.body else answer_of(asked, ANSWERS)

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, f"secret bind db_pw {MODULE} --target PW")

    said = 'error: SECRET: expected letters and dashes, got "db_pw" [Invalid]'
    assert ran.err.splitlines()[0] == said


@pytest.mark.parametrize(
    ("line", "target", "said"),
    [
        pytest.param(
            "http://user:pw@host/envs.git --env test", "/repository",
            "a string of 9 characters (not shown)", id="a-password",
        ),
        pytest.param(
            "http://host/envs.git --env test --credential nosuch", "/credentialRef",
            'error: --credential: expected another, got "nosuch"', id="the-name-of-a-secret",
        ),
    ],
)  # fmt: skip
def test_what_is_typed_of_a_git_source_is_shown_without_a_password(
    line: str, target: str, said: str, runtimectl: RuntimeCtl
) -> None:
    received = "a string of 9 characters (not shown)"
    detail = {"target": target, "code": "PatternMismatch", "expected": "another",
              "message": f"expected another, received {received}",
              "received": received}  # fmt: skip
    refused = {"code": "Invalid", "message": f"{target}: {detail['message']}",
               "details": [detail]}  # fmt: skip

    def answer(asked: Asked) -> tuple[int, Any]:
        return (400, {"error": refused}) if asked.body else answer_of(asked, ANSWERS)

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, f"drift source add {line}")

    assert said in ran.err
    assert "user:pw" not in ran.err


@pytest.mark.parametrize(
    ("pointer", "name"),
    [
        pytest.param("/policy/rules/0/settings/start", "rules[0].settings.start", id="a-what-if"),
        pytest.param("/policy", "policy", id="a-field-of-that-name"),
    ],
)
def test_a_field_of_a_policy_is_named_alike_in_a_what_if(pointer: str, name: str) -> None:
    assert field_name(pointer) == name
