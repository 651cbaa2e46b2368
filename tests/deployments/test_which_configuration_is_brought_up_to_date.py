"""Which releases in force have other values than they would be given now, and by which layers."""

from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.deployments.model import configuration, facts
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.configuration_roll_out import (
    InForce,
    floating_modules,
    in_force,
    missed_by,
    modules_by_holder,
    outdated,
    queued_roll_out,
)
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget, ModuleState
from function_apps.deployments.model.facts import CONFIGURATION, LayerFact
from shared.contracts.components import ConfigurationChoice
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.deployments import DeploymentKind
from shared.contracts.releases import ConfigurationPin, ReleasedComponent, ReleaseUnit
from shared.kernel.ids import DeploymentId, ModuleId
from tests.deployments.configured import identity
from tests.deployments.driven import CART, SHOP, TENANT, TEST, WEB
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import completed, component, released

BY, OTHER, RENEWAL = map(DeploymentId, ("dep-by", "dep-other", "dep-renewal"))
SHOP_MODULE, CART_MODULE, WEB_MODULE = map(ModuleId, (SHOP, CART, WEB))


def content(number: int) -> str:
    return f"sha256:{number:064x}"


def pin(number: int) -> ConfigurationPin:
    return ConfigurationPin(module=number, hash=content(number))


def floating(module: str = SHOP, revision: int = 2, number: int = 1) -> ReleasedComponent:
    made = released(module, revision, configurationMode="floating")
    return made.model_copy(update={"configuration": pin(number)})


def holder(*components: ReleasedComponent, **changes: Any) -> Deployment:
    """Return what released *components*."""
    made = completed(*(component(each.module_id) for each in components))
    return replace(made, deployment_id=BY, unit=ReleaseUnit(components=components), **changes)


def target(**states: ModuleState) -> DeploymentTarget:
    return DeploymentTarget(TEST, modules={ModuleId(f"module-{n}"): s for n, s in states.items()})


def layer(name: str, *versions: int, module: str = "") -> LayerFact:
    """Return a layer with these versions, of which the last is in force."""
    return LayerFact(
        CONFIGURATION, versions[-1], module=module, layer=name, version=str(versions[-1]),
        versions={str(each): content(each) for each in versions},
    )  # fmt: skip


FLOATS: Final = ModuleState(revision=2, last=2, by=BY, is_floating=True)


def test_configuration_is_rolled_out_to_what_is_in_force_and_floats() -> None:
    known = target(
        web=FLOATS, shop=FLOATS, cart=replace(FLOATS, is_floating=False),
        gone=replace(FLOATS, revision=0),
    )  # fmt: skip

    assert floating_modules(known) == (SHOP, WEB)
    assert floating_modules(known, [WEB_MODULE, CART_MODULE]) == (WEB,)


def test_modules_are_rolled_out_together_that_were_released_together() -> None:
    known = target(shop=FLOATS, web=FLOATS, cart=replace(FLOATS, by=OTHER))

    found = modules_by_holder(known, [SHOP_MODULE, CART_MODULE, WEB_MODULE, ModuleId("module-new")])

    assert found == {BY: (SHOP, WEB), OTHER: (CART,)}


@pytest.mark.parametrize(
    ("state", "is_found"),
    [
        pytest.param(FLOATS, True, id="as-it-was-released"),
        pytest.param(replace(FLOATS, revision=3), False, id="another-revision"),
        pytest.param(
            replace(FLOATS, revision=3, renewed=RENEWAL), True, id="renewed-with-other-secrets"
        ),
        pytest.param(replace(FLOATS, by=OTHER), False, id="by-a-deployment-that-is-not-there"),
        pytest.param(replace(FLOATS, by=None), False, id="by-nobody"),
    ],
)
def test_what_is_in_force_has_the_configuration_that_its_release_was_given(
    state: ModuleState, *, is_found: bool
) -> None:
    by = holder(floating(), floating(WEB))

    found = in_force(target(shop=state), [SHOP_MODULE], {BY: by})

    assert found == ((InForce(by.components[0], pin(1)),) if is_found else ())


def test_a_deployment_that_did_not_release_a_module_says_nothing_of_it() -> None:
    assert in_force(target(cart=FLOATS), [CART_MODULE], {BY: holder(floating())}) == ()


def test_only_what_would_be_given_other_values_is_brought_up_to_date() -> None:
    shop, cart = component(SHOP), component(CART)
    given = Configurations(pins={SHOP_MODULE: pin(2), CART_MODULE: pin(1)})

    assert outdated([InForce(shop, pin(1)), InForce(cart, pin(1))], given) == (shop,)


@pytest.mark.parametrize(
    ("changes", "is_answer"),
    [
        pytest.param({}, True, id="it-waits"),
        pytest.param({"token": 3}, False, id="it-has-started"),
        pytest.param({"modules": (WEB_MODULE,)}, False, id="of-another-module"),
        pytest.param({"kind": DeploymentKind.RELEASE}, False, id="a-release"),
    ],
)
def test_a_roll_out_that_waits_brings_what_is_recorded_when_it_starts(
    changes: dict[str, Any], *, is_answer: bool
) -> None:
    waiting = replace(claim("a", SHOP, CART, kind=DeploymentKind.CONFIGURATION), **changes)
    known = replace(target(), queue=(waiting,))

    assert queued_roll_out(known, [SHOP_MODULE]) == (waiting if is_answer else None)


# What was published while a release was on its way.


def published(number: int = 5) -> DeploymentTarget:
    facts_now = {"cfg": layer("module", number, module=SHOP)}
    return replace(target(shop=FLOATS), facts=facts_now)


def test_what_was_published_meanwhile_is_rolled_out_after_the_release() -> None:
    done = holder(floating(), floating(WEB, number=0))

    missed = missed_by(done, done.released_components, published())

    assert missed is not None
    assert (missed.environment_id, missed.modules) == (TEST, (SHOP,))
    assert (missed.version, missed.content_hash) == (5, content(5))
    assert missed.configuration_id == identity("module")


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        pytest.param({}, 1, id="nothing-newer"),
        pytest.param({"kind": DeploymentKind.ROLLBACK}, 5, id="a-rollback-keeps-what-it-has"),
        pytest.param(
            {"configuration": ConfigurationChoice(module=1)}, 5, id="a-release-that-names-versions"
        ),
    ],
)
def test_nothing_was_missed(changes: dict[str, Any], number: int) -> None:
    done = holder(floating(), **changes)

    assert missed_by(done, done.released_components, published(number)) is None


def test_a_release_that_is_pinned_or_has_a_roll_out_that_waits_misses_nothing() -> None:
    pinned, floats = holder(released(SHOP, 2)), holder(floating())
    waits = claim("a", SHOP, kind=DeploymentKind.CONFIGURATION)
    known = published()

    assert missed_by(pinned, pinned.released_components, known) is None
    assert missed_by(floats, floats.released_components, replace(known, queue=(waits,))) is None


@pytest.mark.parametrize("name", ["tenant", "environment", "module"])
def test_a_layer_has_one_id_wherever_it_is_published(name: str) -> None:
    found = configuration.identity_of(ConfigurationLayer(name), TEST, SHOP_MODULE, TENANT)

    assert found == identity(name)


# What is known of a layer.


def test_a_version_that_comes_late_can_be_named_with_its_schema_and_is_not_in_force() -> None:
    known = replace(layer("module", 1, 3), schemas={"3": "schema-3"})
    late = replace(layer("module", 2), schemas={"2": "schema-2"})

    after = facts.record_layer(known, late)

    assert after is not None
    assert (after.revision, after.version) == (3, "3")
    assert after.versions == {str(each): content(each) for each in (1, 2, 3)}
    assert after.schemas == {"2": "schema-2", "3": "schema-3"}


def test_of_a_layer_the_last_versions_are_kept_with_their_schemas() -> None:
    schemas = {str(each): f"schema-{each}" for each in range(6, 12)}
    known = replace(layer("module", *range(6, 11)), schemas=schemas)

    after = facts.record_layer(known, layer("module", 11))

    assert after is not None
    assert list(after.versions) == ["7", "8", "9", "10", "11"]
    assert after.schemas.keys() == after.versions.keys()
