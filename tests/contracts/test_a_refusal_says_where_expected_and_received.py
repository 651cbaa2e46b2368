import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from shared.contracts.configurations import PublishConfiguration
from shared.contracts.deployments import Deploy
from shared.contracts.environments import ProvisionEnvironment
from shared.contracts.freezes import DeclareFreeze
from shared.contracts.patterns import words_of
from shared.contracts.scaling import ApplyScalingPolicy
from shared.contracts.secret_bindings import BindSecret
from shared.contracts.validation import DEPTH_MAX, DETAILS_MAX, parse, read
from shared.kernel.errors import Invalid, Violation
from tests.contracts.published import TYPES

ENVIRONMENT: dict[str, Any] = {
    "name": "test",
    "projectId": "proj-shop",
    "stage": "test",
    "region": "local",
    "computeTargets": [{"kind": "LocalProcess"}],
}
COMPONENT: dict[str, Any] = {
    "moduleId": "module-web",
    "componentType": "microservice",
    "version": "1.0",
    "artifactDigest": "sha256:" + "a" * 64,
}
DEPLOY: dict[str, Any] = {
    "environmentId": "env-" + "a" * 12,
    "releaseRef": "v1",
    "components": [COMPONENT],
}
SECRET: dict[str, Any] = {
    "environmentId": "env-" + "a" * 12,
    "moduleId": "module-web",
    "secretName": "db",
    "target": "DB",
}
POLICY: dict[str, Any] = {"serviceId": "svc-" + "a" * 12 + "-" + "b" * 10, "min": 1, "max": 3}


def refusals(kind: type[BaseModel], document: Any) -> list[Violation]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(Invalid) as refused:
        parse(kind, body)
    return list(refused.value.details)


WRONG = [
    pytest.param(ENVIRONMENT | {"name": "Test"}, "/name", "PatternMismatch", id="pattern"),
    pytest.param(ENVIRONMENT | {"name": None}, "/name", "WrongType", id="null"),
    pytest.param(ENVIRONMENT | {"stage": "tost"}, "/stage", "NotAllowed", id="word"),
    pytest.param(ENVIRONMENT | {"protected": "yes"}, "/protected", "WrongType", id="text-for-flag"),
    pytest.param(ENVIRONMENT | {"ttl": "8h"}, "/ttl", "WrongType", id="duration"),
    pytest.param(ENVIRONMENT | {"ttl": "P2Y"}, "/ttl", "OutOfBounds", id="too-long-a-duration"),
    pytest.param(ENVIRONMENT | {"tags": []}, "/tags", "WrongType", id="array-for-object"),
    pytest.param(ENVIRONMENT | {"computeTargets": []}, "/computeTargets", "OutOfBounds", id="few"),
    pytest.param(
        ENVIRONMENT | {"computeTargets": [{"kind": "Mars"}]},
        "/computeTargets/0/kind",
        "NotAllowed",
        id="inside-a-list",
    ),
    pytest.param(ENVIRONMENT | {"a/b~c": 1}, "/a~1b~0c", "UnknownField", id="escaped-pointer"),
    pytest.param(ENVIRONMENT | {"project_id": 1}, "/project_id", "UnknownField", id="snake-case"),
    pytest.param(
        ENVIRONMENT | {"computeTargets": [{"kind": "AKS"}, {"kind": "AKS"}]},
        "/computeTargets",
        "RuleBroken",
        id="a-rule-of-a-list",
    ),
    pytest.param(
        {key: value for key, value in ENVIRONMENT.items() if key != "region"},
        "/region",
        "Required",
        id="missing",
    ),
    pytest.param([ENVIRONMENT], "", "WrongType", id="array-for-the-body"),
    pytest.param(b'{"name": "te', "", "MalformedJson", id="cut-off"),
    pytest.param(b"", "", "MalformedJson", id="empty"),
    pytest.param(b"\xff\xfe", "", "MalformedJson", id="not-utf-8"),
    pytest.param(b"[" * 100_000, "", "TooDeep", id="deep"),
]


@pytest.mark.parametrize(("document", "target", "code"), WRONG)
def test_a_refusal_names_the_place_and_what_was_expected(
    document: Any, target: str, code: str
) -> None:
    details = refusals(ProvisionEnvironment, document)

    assert [(detail.target, detail.code) for detail in details] == [(target, code)]
    assert details[0].expected
    assert details[0].received


@pytest.mark.parametrize(
    ("kind", "document", "target", "expected"),
    [
        pytest.param(
            Deploy,
            DEPLOY | {"components": [COMPONENT | {"image": "web:1"}]},
            "/components/0",
            "exactly one of image and artifactDigest is given",
            id="two-sources",
        ),
        pytest.param(
            Deploy,
            DEPLOY | {"components": [COMPONENT, COMPONENT]},
            "",
            "each module stands once in components or remove",
            id="a-module-twice",
        ),
        pytest.param(
            Deploy,
            DEPLOY | {"strategy": {"steps": [{"weight": 50}, {"weight": 20}]}},
            "/strategy",
            "weights rise from step to step",
            id="weights-fall",
        ),
        pytest.param(
            Deploy,
            DEPLOY | {"strategy": {"steps": [{"weight": 50}]}},
            "/strategy",
            "the last step has weight 100",
            id="never-all",
        ),
        pytest.param(
            Deploy,
            DEPLOY | {"strategy": {"kind": "recreate", "steps": [{"weight": 100}]}},
            "/strategy",
            "a recreate has no steps: it stops the old version first",
            id="recreate-in-steps",
        ),
        pytest.param(
            ProvisionEnvironment,
            ENVIRONMENT | {"dataResources": [{"kind": "Redis", "name": "a"}] * 2},
            "/dataResources",
            "each name stands there at most once",
            id="a-name-twice",
        ),
        pytest.param(
            ProvisionEnvironment,
            ENVIRONMENT | {"computeTargets": [{"kind": "AKS"}] * 2},
            "/computeTargets",
            "each kind stands there at most once",
            id="a-kind-twice",
        ),
        pytest.param(
            BindSecret,
            SECRET | {"external": True},
            "",
            "an external secret has a vaultUri",
            id="external-without-a-vault",
        ),
        pytest.param(
            BindSecret,
            SECRET | {"external": True, "vaultUri": "https://v", "generator": {"kind": "random"}},
            "",
            "an external secret has no generator: its owner makes versions",
            id="external-with-a-generator",
        ),
        pytest.param(
            PublishConfiguration,
            {
                "scope": {"layer": "tenant"},
                "expectedVersion": 0,
                "values": {"a": "x" * 131_072},
            },
            "/values",
            "values take at most 131072 bytes as JSON, these take 131080",
            id="values-too-large",
        ),
        pytest.param(
            Deploy,
            DEPLOY | {"components": [COMPONENT | {"port": 0}]},
            "/components/0/port",
            "at least 1",
            id="below-a-number",
        ),
        pytest.param(
            ApplyScalingPolicy,
            POLICY | {"min": 4},
            "",
            "min is at most max: 4 is more than 3",
            id="min-over-max",
        ),
    ],
)
def test_a_broken_rule_says_what_holds(
    kind: type[BaseModel], document: Any, target: str, expected: str
) -> None:
    details = refusals(kind, document)

    assert [(detail.target, detail.expected) for detail in details] == [(target, expected)]


def test_all_that_is_wrong_is_said_at_once_up_to_a_bound() -> None:
    two = refusals(ProvisionEnvironment, ENVIRONMENT | {"name": "", "region": ""})
    many = refusals(ProvisionEnvironment, ENVIRONMENT | {f"x{n}": 1 for n in range(500)})

    assert {detail.target for detail in two} == {"/name", "/region"}
    assert len(many) == DETAILS_MAX


def test_what_came_is_cut_to_a_line() -> None:
    (detail,) = refusals(ProvisionEnvironment, ENVIRONMENT | {"name": "x" * 10_000})
    (unknown,) = refusals(ProvisionEnvironment, ENVIRONMENT | {"y" * 10_000: 1})

    assert len(detail.received or "") < 200
    assert len(unknown.target) < 200


@pytest.mark.parametrize(
    "name", ["password", "clientSecret", "apiKey", "sasToken", "authorization"]
)
def test_what_came_in_a_field_named_like_a_secret_is_not_shown(name: str) -> None:
    details = refusals(
        ProvisionEnvironment, ENVIRONMENT | {name: "hunter2", "x": {name: "hunter2"}}
    )

    assert {detail.target for detail in details} == {f"/{name}", "/x"}
    assert "hunter2" not in repr(details)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        pytest.param(BindSecret, {"secretName": "hunter2 !"}, id="a-secrets-name"),
        pytest.param(
            PublishConfiguration,
            {"scope": {"layer": "tenant"}, "values": {"ok key": "hunter2 !"}, "expectedVersion": 0},
            id="a-configuration-value",
        ),
        pytest.param(
            ProvisionEnvironment,
            ENVIRONMENT | {"computeTargets": [{"kind": "AKS", "settings": "hunter2 !"}]},
            id="a-free-setting",
        ),
    ],
)
def test_free_content_is_not_shown(kind: type[BaseModel], document: Any) -> None:
    details = refusals(kind, document)

    assert details
    assert "hunter2" not in repr(details)


def test_a_slip_in_the_kind_of_a_generator_is_shown() -> None:
    (kind,) = [
        each
        for each in refusals(BindSecret, {"generator": {"kind": "rnadom", "settings": "hunter2"}})
        if each.target == "/generator/kind"
    ]

    assert kind.received == '"rnadom"'


def test_numbers_that_json_does_not_have_are_refused() -> None:
    values = b'{"scope":{"layer":"tenant"},"expectedVersion":0,"values":{"a":[{"b":NaN}]}}'
    resources = COMPONENT | {"resources": {"cpu": float("inf")}}

    assert refusals(PublishConfiguration, values)
    assert refusals(Deploy, json.dumps(DEPLOY | {"components": [resources]}).encode())


@pytest.mark.parametrize(
    "instant",
    [
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
        "2026-01-01",
        "2026-01-01T00:00:00",
        1e30,
        1_700_000_000,
        "now",
    ],
)
def test_an_instant_is_text_with_an_offset_within_the_calendar(instant: object) -> None:
    freeze = {
        "environmentId": "env-" + "a" * 12,
        "untilAt": "8000-01-01T00:00:00Z",
        "reason": "year end",
    }

    (detail,) = refusals(DeclareFreeze, freeze | {"fromAt": instant})

    assert detail.target == "/fromAt"
    assert "instant" in (detail.expected or "")


def test_an_instant_with_another_offset_is_written_as_utc() -> None:
    freeze = {
        "environmentId": "env-" + "a" * 12,
        "fromAt": "2026-11-24T14:30:00+02:00",
        "untilAt": "2026-11-24T13:00:00.5Z",
        "reason": "year end",
    }

    written = json.loads(parse(DeclareFreeze, json.dumps(freeze).encode()).model_dump_json())

    assert written["fromAt"] == "2026-11-24T12:30:00.000000Z"
    assert written["untilAt"] == "2026-11-24T13:00:00.500000Z"


@pytest.mark.parametrize(
    "number",
    [b"9" * 5000, b"1e400", b"-Infinity", b'"\\ud800"'],
    ids=lambda text: text[:8].decode(),
)
def test_values_that_no_store_could_keep_are_refused(number: bytes) -> None:
    body = b'{"scope":{"layer":"tenant"},"expectedVersion":0,"values":{"a":' + number + b"}}"

    assert refusals(PublishConfiguration, body)


def test_a_duration_below_its_bound_is_shown_as_it_is_written() -> None:
    (detail,) = refusals(ProvisionEnvironment, ENVIRONMENT | {"ttl": "-PT5M"})

    assert (detail.target, detail.code, detail.received) == ("/ttl", "OutOfBounds", '"-PT5M"')


def nested(levels: int) -> bytes:
    value = b"[" * levels + b"]" * levels
    return b'{"scope":{"layer":"tenant"},"expectedVersion":0,"values":{"a":' + value + b"}}"


def test_nesting_is_bounded_to_the_level() -> None:
    parse(PublishConfiguration, nested(DEPTH_MAX - 2))

    assert [detail.code for detail in refusals(PublishConfiguration, nested(DEPTH_MAX - 1))] == [
        "TooDeep"
    ]


def test_brackets_inside_strings_are_no_nesting() -> None:
    text = json.dumps('[{"\\' * 100 + '"').encode()
    body = b'{"scope":{"layer":"tenant"},"expectedVersion":0,"values":{"a":' + text + b"}}"

    parsed = parse(PublishConfiguration, body)

    assert parsed.values["a"] == '[{"\\' * 100 + '"'


def test_brackets_side_by_side_are_no_nesting() -> None:
    parse(
        Deploy,
        json.dumps(
            DEPLOY
            | {
                "components": [
                    COMPONENT | {"moduleId": f"module-{n}", "probes": {"readiness": {}}}
                    for n in range(25)
                ]
            }
        ).encode(),
    )


def test_a_payload_is_refused_at_its_place_in_the_envelope() -> None:
    with pytest.raises(Invalid) as refused:
        read(ProvisionEnvironment, ENVIRONMENT | {"name": "Test"}, at="/payload")

    assert refused.value.details[0].target == "/payload/name"


@pytest.mark.parametrize("prefix", ["/slow/", "//slow", "/a//b", "//", "/./slow", "/a/../slow"])
def test_a_path_prefix_with_a_second_spelling_is_refused_with_the_one_to_write(
    prefix: str,
) -> None:
    (detail,) = refusals(Deploy, DEPLOY | {"components": [COMPONENT | {"pathPrefix": prefix}]})

    assert (detail.target, detail.code) == ("/components/0/pathPrefix", "RuleBroken")
    assert "such as /shop" in detail.expected
    assert detail.received == f'"{prefix}"'


@pytest.mark.parametrize("prefix", ["/", "/slow", "/a/b.c", "/~me"])
def test_a_path_prefix_is_the_root_or_names_after_one_slash_each(prefix: str) -> None:
    document = DEPLOY | {"components": [COMPONENT | {"pathPrefix": prefix}]}

    assert parse(Deploy, json.dumps(document).encode()).components[0].path_prefix == prefix


def test_a_prefix_that_was_stored_with_another_spelling_is_read_back() -> None:
    document = DEPLOY | {"components": [COMPONENT | {"pathPrefix": "/shop/"}]}

    assert Deploy.model_validate(document, by_alias=True).components[0].path_prefix == "/shop/"


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", "8080"), ("replicas", 1.0), ("pathPrefix", "/shop/"), ("pathPrefix", "//shop")],
)
def test_a_command_in_a_message_is_read_as_strictly_as_a_body(field: str, value: object) -> None:
    document = DEPLOY | {"components": [COMPONENT | {field: value}]}

    with pytest.raises(Invalid) as of_the_body:
        parse(Deploy, json.dumps(document).encode())
    with pytest.raises(Invalid) as of_the_message:
        read(Deploy, document, at="/payload")

    targets = [each.target for each in of_the_message.value.details]
    assert targets == [f"/payload{each.target}" for each in of_the_body.value.details]


def test_what_a_pattern_takes_is_said_in_words() -> None:
    patterns = {
        value
        for kind in TYPES
        for name, value in leaves(kind.model_json_schema())
        if name == "pattern"
    }

    assert patterns
    assert {each for each in patterns if words_of(each).startswith("text that matches")} == set()


def leaves(document: Any) -> Iterator[tuple[str, str]]:
    """Yield each name in *document* with its text."""
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, str):
                yield name, value
            yield from leaves(value)
    elif isinstance(document, list):
        for value in document:
            yield from leaves(value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(DEPLOY | {"componets": []}, "there is no such field", id="unknown"),
        pytest.param(
            {"releaseRef": "v1", "components": [COMPONENT]}, "a value is missing", id="no"
        ),
        pytest.param(
            DEPLOY | {"components": [COMPONENT, COMPONENT]},
            "each module stands once in components or remove",
            id="a-rule-of-the-whole",
        ),
        pytest.param(
            DEPLOY | {"components": [COMPONENT | {"moduleId": "x"}]},
            "expected module- and lower case letters, digits and dashes, such as module-shop, "
            'received "x"',
            id="a-pattern",
        ),
    ],
)
def test_a_refusal_is_a_sentence(document: Any, message: str) -> None:
    assert [detail.message for detail in refusals(Deploy, document)] == [message]
