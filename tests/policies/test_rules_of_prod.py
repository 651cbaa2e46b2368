"""A rule that is given allows what it names; one that is not allows everything."""

import json
from typing import Any

import pytest

from shared.composition.settings import InvalidSetting, read_settings
from shared.contracts.components import Component
from shared.contracts.environments import ComputeTargetSpec
from shared.contracts.values import Resources, Stage
from shared.policies.prod_rules import Instances, ProdChange, read_prod_rules, violations

IMAGE = "shop.azurecr.io/web:1"


def component(**more: Any) -> Component:
    given = {"moduleId": "module-web", "componentType": "microservice", "version": "1"}
    return Component.model_validate({**given, "image": IMAGE, **more})


def release(*components: Component, promoted_from: Stage | None = None, **more: Any) -> ProdChange:
    return ProdChange("Deploy", "env-a", components=components, promoted_from=promoted_from, **more)


def environment(region: str = "westeurope", **capacity: Any) -> ProdChange:
    target = ComputeTargetSpec.model_validate({"kind": "AKS", "capacity": capacity or None})
    return ProdChange("ProvisionEnvironment", "env-a", region=region, compute_targets=[target])


def found(rules: Any, change: ProdChange) -> list[tuple[str, str, str | None, str | None]]:
    said = violations(read_prod_rules(json.dumps(rules)), change)
    return [(each.code, each.target, each.expected, each.received) for each in said]


def scaled(most: int, **limits: Any) -> ProdChange:
    instances = Instances("module-web", 1, most, Resources.model_validate(limits))
    return ProdChange("ApplyScalingPolicy", "env-a", instances=instances)


def test_without_a_rule_everything_is_allowed() -> None:
    assert found({}, release(component(replicas=900))) == []
    assert found({}, environment("eastus", cpu=64)) == []


def test_an_environment_of_prod_is_in_one_of_the_regions() -> None:
    rules = {"regions": ["westeurope", "northeurope"]}

    assert found(rules, environment("northeurope")) == []
    assert found(rules, environment("eastus")) == [
        ("RegionNotAllowed", "/region", "westeurope, northeurope", "eastus")
    ]
    assert found(rules, release(component())) == []


def test_images_come_from_one_of_the_registries_and_archives_from_none() -> None:
    rules = {"registries": ["shop.azurecr.io/web"]}
    archive = component(image=None, artifactDigest="sha256:" + "a" * 64)
    other = component(image="ghcr.io/web:1")

    assert found(rules, release(component(), archive)) == []
    assert found(rules, release(component(), other)) == [
        ("RegistryNotAllowed", "/components/1/image", "shop.azurecr.io/web", "ghcr.io/web:1")
    ]
    assert found({"registries": []}, release(component()))[0][2] == "nothing"


@pytest.mark.parametrize(
    ("source", "received"),
    [
        pytest.param(None, "a deployment without promotion", id="directly"),
        pytest.param(Stage.TEST, "a promotion from test", id="another-stage"),
    ],
)
def test_a_release_comes_by_a_promotion_from_one_of_the_stages(
    source: Stage | None, received: str
) -> None:
    rules = {"stages": ["staging"]}

    assert found(rules, release(component(), promoted_from=Stage.STAGING)) == []
    assert found(rules, release(component(), promoted_from=source)) == [
        ("StageNotAllowed", "/environmentId", "a promotion from staging", received)
    ]


def test_what_only_takes_modules_away_needs_no_promotion() -> None:
    assert found({"stages": []}, release(remove=["module-web"])) == []


@pytest.mark.parametrize(
    ("sizes", "change", "expected"),
    [
        pytest.param(
            {"replicas": 3},
            release(component(replicas=3), component(replicas=4)),
            ("/components/1/replicas", "at most 3", "4"),
            id="replicas",
        ),
        pytest.param(
            {"instance": {"memoryMib": 512}},
            release(component(resources={"memoryMib": 512, "cpu": 9}), component()),
            ("/components/1/resources/memoryMib", "at most 512", "no limit"),
            id="an-instance-without-a-limit",
        ),
        pytest.param(
            {"instance": {"cpu": 0.5}},
            release(component(resources={"cpu": 0.75})),
            ("/components/0/resources/cpu", "at most 0.5", "0.75"),
            id="an-instance-above-it",
        ),
        pytest.param(
            {"replicas": 3, "computeTarget": {"cpu": 8}},
            scaled(4, cpu=2),
            ("/max", "at most 3", "4"),
            id="as-many-as-a-scaling-policy-allows",
        ),
        pytest.param(
            {"replicas": 20, "computeTarget": {"cpu": 8, "memoryMib": 1024}},
            scaled(20, cpu=0.5),
            ("/max", "at most 8.0", "10"),
            id="what-they-take-together",
        ),
        pytest.param(
            {"computeTarget": {"cpu": 8}},
            environment(cpu=16),
            ("/computeTargets/0/capacity/cpu", "at most 8.0", "16.0"),
            id="a-compute-target",
        ),
        pytest.param(
            {"computeTarget": {"cpu": 8}},
            environment(),
            ("/computeTargets/0/capacity/cpu", "at most 8.0", "no limit"),
            id="a-compute-target-without-a-capacity",
        ),
    ],
)
def test_nothing_is_larger_than_the_sizes(
    sizes: Any, change: ProdChange, expected: tuple[str, str, str]
) -> None:
    assert found({"sizes": sizes}, change) == [("SizeNotAllowed", *expected)]


def test_the_inputs_have_no_variables_commands_or_settings() -> None:
    secret = "hunter2"
    hiding = component(environ={"TOKEN": secret}, command=["serve", secret], owner=secret)
    target = {"kind": "AKS", "settings": {"key": secret}}
    change = ProdChange(
        "Deploy",
        "env-a",
        components=[hiding],
        compute_targets=[ComputeTargetSpec.model_validate(target)],
    )

    assert secret not in json.dumps(change.inputs())
    assert change.inputs()["components"][0]["image"] == IMAGE


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param("[]", "RUNTIME_PROD_POLICY", id="no-object"),
        pytest.param('{"region": ["local"]}', "RUNTIME_PROD_POLICY/region", id="unknown"),
        pytest.param('{"stages": ["live"]}', "RUNTIME_PROD_POLICY/stages/0", id="no-stage"),
        pytest.param('{"sizes": {"replicas": 0}}', "/sizes/replicas", id="out-of-bounds"),
    ],
)
def test_a_mistake_in_the_setting_stops_the_start(value: str, says: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        read_settings({"RUNTIME_PROFILE": "local", "RUNTIME_PROD_POLICY": value})

    assert says in refused.value.message
