"""Each refusal of a plan says where it is, what was expected there, and what came."""

from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.deployments.model import configuration, plan_checks
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import CONFIGURATION, LayerFact
from function_apps.deployments.model.plan_checks import PlanContext
from shared.contracts.components import ConfigurationChoice
from shared.contracts.deployments import Deploy
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import ComputeTargetKind
from shared.kernel.errors import Violation
from shared.kernel.ids import ModuleId, TenantId
from shared.surfaces.capabilities import Capabilities
from tests.deployments.driven import CART, SHOP, TEST, WEB
from tests.deployments.test_what_an_undo_asks_for import completed, component, in_force
from tests.kit import told
from tests.kit.service import TENANT

AKS: Final = ComputeTargetKind.AKS
PLACE: Final = Capabilities("local", {}, replicas_max=9)
CONTEXT: Final = PlanContext(
    {ComputeTargetKind.LOCAL_PROCESS: PLACE}, frozenset({told.DIGEST}), RolloutDefaults()
)
TARGET: Final = in_force(completed(component(WEB)))
assert TARGET.environment is not None
ALSO_AKS: Final = replace(
    TARGET, environment=replace(TARGET.environment, targets=(*TARGET.environment.targets, AKS))
)


def refusal(
    *components: dict[str, Any], target: DeploymentTarget = TARGET, **more: Any
) -> Violation:
    """Return the only refusal of a deployment of *components*, each with changes of a usual one."""
    command = Deploy.model_validate(
        {
            "environmentId": TEST,
            "releaseRef": "one",
            "components": [
                component(each.pop("module", SHOP), **each).model_dump(mode="json", by_alias=True)
                for each in map(dict, components)
            ],
            **more,
        }
    )
    (found,) = plan_checks.plan(command, TENANT, target, (), CONTEXT).refusals
    return found


@pytest.mark.parametrize(
    ("changes", "more", "code", "place", "expected", "received"),
    [
        pytest.param(
            [{}], {"onConflict": "supersede"},
            "SupersedeNotSupported", "/onConflict", "queue or reject", "supersede",
            id="what-is-not-offered-yet",
        ),
        pytest.param(
            [{"module": f"module-{number}"} for number in range(16)],
            {"strategy": {"steps": [{"weight": 10 * number} for number in range(1, 11)]}},
            "TooManyGates", "/strategy/steps", "at most 150 components times steps", "160",
            id="more-judgements-than-a-document-takes",
        ),
        pytest.param(
            [{"dependsOn": [CART]}, {"module": CART, "dependsOn": [SHOP]}], {},
            "DependencyCycle", "/components", "an order in which dependencies come first",
            f"{SHOP} → {CART} → {SHOP}", id="a-circle",
        ),
        pytest.param(
            [{"dependsOn": [WEB]}], {"remove": [WEB]},
            "DependencyRemoved", "/components/0/dependsOn", "a dependency that stays", WEB,
            id="a-dependency-that-goes",
        ),
        pytest.param(
            [{"replicas": 0}], {},
            "ZeroReplicasNotSupported", "/components/0/replicas", "at least 1", "0",
            id="no-instances",
        ),
        pytest.param(
            [{"command": []}], {},
            "CommandMissing", "/components/0/command", "program and arguments", "nothing",
            id="an-archive-without-a-command",
        ),
        pytest.param(
            [{"artifactDigest": "sha256:" + "9" * 64}], {},
            "ArtifactMissing", "/components/0/artifactDigest", "the digest of an uploaded artifact",
            "sha256:" + "9" * 64, id="an-artifact-that-is-not-there",
        ),
        pytest.param(
            [{"artifactDigest": None, "image": "web:1"}], {},
            "BadReference", "/components/0/image",
            "registry/repository:tag, or …@sha256:<64 hex>", "web:1", id="an-image-of-no-registry",
        ),
        pytest.param(
            [{"probes": {"liveness": {"path": "/", "port": 1}}}], {},
            "ProbeNotSupported", "/components/0/probes/liveness/port", "8080", "1",
            id="a-probe-of-another-port",
        ),
        pytest.param(
            [{}], {"remove": [CART]},
            "NotDeployed", "/remove/0", "a module that is in force", CART,
            id="a-removal-of-what-is-not-there",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_where_it_is_what_was_expected_and_what_came(
    changes: list[dict[str, Any]], more: dict[str, Any],
    code: str, place: str, expected: str, received: str,
) -> None:  # fmt: skip
    found = refusal(*changes, **more)

    assert (found.code, found.target) == (code, place)
    assert (found.expected, found.received) == (expected, received)


def test_as_many_judgements_as_a_document_takes_are_planned() -> None:
    steps = [{"weight": 10 * number} for number in range(1, 11)]
    command = Deploy.model_validate(
        {
            "environmentId": TEST,
            "releaseRef": "one",
            "components": [component(f"module-{number}") for number in range(15)],
            "strategy": {"steps": steps},
        }
    )

    assert plan_checks.plan(command, TENANT, TARGET, (), CONTEXT).refusals == ()


def test_a_surface_that_this_installation_does_not_serve_is_named_with_those_that_it_does() -> None:
    found = refusal({"computeTarget": AKS}, target=ALSO_AKS)

    assert (found.code, found.target) == ("SurfaceNotSupported", "/components/0/computeTarget")
    assert (found.expected, found.received) == ("LocalProcess", "AKS")


def test_a_module_stays_on_the_surface_that_it_is_on() -> None:
    found = refusal({"module": WEB, "computeTarget": AKS}, target=ALSO_AKS)

    assert (found.code, found.target) == ("ComputeTargetFixed", "/components/0/computeTarget")
    assert (found.expected, found.received) == ("LocalProcess", "AKS")


def test_a_guest_that_asks_for_a_path_is_told_which_of_its_modules_it_is() -> None:
    assert TARGET.environment is not None
    guest = replace(TARGET, environment=replace(TARGET.environment, owner=TenantId("globex")))

    found = refusal({"pathPrefix": "/shop"}, target=guest)

    assert found.message.startswith(f"{SHOP} is in another tenant's environment")
    assert found.received == "/shop"


# Configuration.


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        pytest.param({"9": "a", "10": "b"}, "one of 9, 10", id="in-the-order-of-their-numbers"),
        pytest.param({}, "one of none yet", id="none"),
    ],
)
def test_a_version_that_is_not_recorded_is_refused_with_those_that_are(
    versions: dict[str, str], expected: str
) -> None:
    layer = LayerFact(CONFIGURATION, 1, layer="environment", version="10", versions=versions)
    choice = ConfigurationChoice(environment=4)

    _, (found,) = configuration.layers_of(ModuleId(SHOP), choice, None, {"cfg": layer})

    assert (found.code, found.target) == ("ConfigurationNotRecorded", "/configuration/environment")
    assert (found.expected, found.received) == (expected, "4")


def delivered(*ways: str) -> Any:
    return component(configurationDelivery=ways)


def test_a_key_that_can_be_no_variable_of_its_own_is_named() -> None:
    values = {"a.b": 1, "a-b": 2}

    (found,) = configuration.refusals(delivered("variables"), values, "/components/0")

    assert (found.code, found.received) == ("ConfigurationVariableTaken", "a.b")
    assert found.expected == "a variable of its own for each key"
    assert found.target == "/components/0/configurationDelivery"


def test_configuration_that_is_too_much_is_refused_with_the_ways_in_which_it_was_asked_for() -> (
    None
):
    values = {f"key{number}": "x" * 100_000 for number in range(20)}

    (found,) = configuration.refusals(delivered("json", "dotenv"), values, "/components/0")

    assert (found.code, found.received) == ("TooLarge", "json, dotenv")
    assert found.expected == "less configuration, or fewer ways of delivery"
    assert found.target == "/components/0/configurationDelivery"
