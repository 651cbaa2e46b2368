"""What an environment takes is named: without a rule it is nothing, and the closest rule counts."""

import json

import pytest

from shared.contracts.values import Stage
from shared.images.image_rules import Signatures, read_image_rules
from shared.images.reference import parse_reference
from shared.kernel.errors import Invalid
from tests.images.test_signed_images import CURVE, pem

ENVIRONMENT = "env-abc-def"
ANY = {"registries": ["*.azurecr.io"]}
OTHER = {"registries": ["ghcr.io/team"]}


def refused(rules: object, image: str, stage: Stage = Stage.TEST) -> bool:
    rule = read_image_rules(json.dumps(rules)).rule(ENVIRONMENT, stage)
    assert rule is not None
    found = rule.refusal(parse_reference(image), at="/components/0/image")
    assert found is None or (found.code, found.target) == ("ImageNotAllowed", "/components/0/image")
    return found is not None


def test_without_a_rule_no_image_is_taken() -> None:
    rule = read_image_rules("").rule(ENVIRONMENT, Stage.PROD)

    assert rule is not None
    found = rule.refusal(parse_reference("ghcr.io/web:1"), at="")
    assert found is not None
    assert "RUNTIME_IMAGE_RULES does not name it for prod" in found.message


@pytest.mark.parametrize(
    ("source", "image", "is_taken"),
    [
        ("*.azurecr.io", "shop.azurecr.io/web:1", True),
        ("*.azurecr.io", "a.b.azurecr.io/web:1", False),
        ("*.azurecr.io", "azurecr.io/web:1", False),
        ("*.azurecr.io", "shop.azurecr.io.evil.example/web:1", False),
        ("ghcr.io", "ghcr.io/any/web:1", True),
        ("ghcr.io", "ghcr.io:8443/any/web:1", False),
        ("ghcr.io/team", "ghcr.io/team/web:1", True),
        ("ghcr.io/team/", "ghcr.io/team/web:1", True),
        ("ghcr.io/team", "ghcr.io/teammate/web:1", False),
        ("ghcr.io/team", "ghcr.io/team:1", True),
        ("127.0.0.1:*", "127.0.0.1:5000/web:1", True),
    ],
)
def test_a_source_is_a_registry_or_a_part_of_one(source: str, image: str, is_taken: bool) -> None:  # noqa: FBT001
    assert refused({"*": {"registries": [source]}}, image) is not is_taken


def test_the_rule_of_the_environment_counts_before_its_stage_and_that_before_all() -> None:
    rules = {"*": ANY, "prod": OTHER, ENVIRONMENT: {"registries": ["docker.io"]}}
    read = read_image_rules(json.dumps(rules))

    assert [
        read.rule(environment, stage).place  # type: ignore[union-attr]  # the stage is known
        for environment, stage in (
            (ENVIRONMENT, Stage.PROD), ("env-other", Stage.PROD), ("env-other", Stage.DEV)
        )
    ] == [ENVIRONMENT, "prod", "*"]  # fmt: skip


def test_where_the_stage_decides_an_unknown_one_decides_nothing() -> None:
    assert read_image_rules(json.dumps({"*": ANY, "prod": OTHER})).rule("env-x", None) is None
    assert read_image_rules(json.dumps({"*": ANY})).rule("env-x", None) is not None


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        pytest.param("[]", "RUNTIME_IMAGE_RULES", id="no-object"),
        pytest.param('{"production": {"registries": []}}', "/production", id="no-stage"),
        pytest.param('{"*": {"registries": ["https://a"]}}', "/*/registries/0", id="a-url"),
        pytest.param('{"*": {"registries": [], "signed": true}}', "/*/signed", id="unknown"),
        pytest.param('{"*": {"registries": [], "signatures": "required"}}', "/*/keys", id="no-key"),
        pytest.param(
            '{"*": {"registries": [], "signatures": "required", "keys": ["x"]}}',
            "/*/keys/0",
            id="no-public-key",
        ),
    ],
)
def test_a_rule_that_is_wrong_is_named_by_its_place(rules: str, place: str) -> None:
    with pytest.raises(Invalid) as wrong:
        read_image_rules(rules)

    assert place in wrong.value.message


def test_required_signatures_come_with_their_keys() -> None:
    rules = {"prod": {**ANY, "signatures": "required", "keys": [pem(CURVE)]}}
    rule = read_image_rules(json.dumps(rules)).rule(ENVIRONMENT, Stage.PROD)

    assert rule is not None
    assert rule.signatures is Signatures.REQUIRED
    assert len(rule.keys) == 1
