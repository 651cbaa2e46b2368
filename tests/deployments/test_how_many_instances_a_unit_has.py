"""How many instances a release unit has, where that is not the number that was asked for."""

from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.deployments.model import replicas
from function_apps.deployments.model.facts import SCALING, Facts, PolicyFact
from function_apps.deployments.model.lifecycle import PolicyAndBinding
from shared.contracts.deployments import DeploymentKind
from shared.contracts.releases import ReleasedComponent
from shared.contracts.scaling import LeftReplicas
from shared.contracts.values import REPLICAS_MAX
from shared.kernel.ids import ModuleId
from tests.deployments.driven import CART, SHOP
from tests.deployments.test_what_an_undo_asks_for import ONCE, completed, released
from tests.deployments.test_what_an_undo_asks_for import component as a_component

MODULE: Final = ModuleId(SHOP)
ONCE_MORE: Final = (
    DeploymentKind.CONFIGURATION,
    DeploymentKind.SECRET,
    DeploymentKind.RELOCATION,
    DeploymentKind.REPAIR,
)


def facts(module: str = SHOP, *, policy: int = 0, left: int | None = None, of: int = 2) -> Facts:
    """Return what scaling said of *module*: its policy, or the number that one *left*."""
    number = None if left is None else LeftReplicas(replicas=left, release_revision=of)
    fact = PolicyFact(SCALING, 1, policy, ModuleId(module), 1)
    return {"sp-1": replace(fact, left=number)}


def component(number: int = 3, revision: int = 2, **changes: Any) -> ReleasedComponent:
    return released(SHOP, revision, replicas=number, **changes)


@pytest.mark.parametrize(
    ("made", "said", "is_scaled"),
    [
        pytest.param(component(), {}, False, id="nobody"),
        pytest.param(component(scalingPolicyRevision=1), {}, True, id="a-policy-that-it-records"),
        pytest.param(component(), facts(policy=1), True, id="a-policy-that-came-since"),
        pytest.param(component(), facts(left=5), True, id="a-policy-that-left-a-number"),
        pytest.param(component(), facts(left=5, of=1), False, id="one-that-left-it-to-another"),
        pytest.param(component(), facts(), False, id="a-policy-that-has-ended"),
        pytest.param(component(), facts(CART, policy=1), False, id="the-policy-of-another-module"),
    ],
)
def test_a_policy_has_the_number_or_had_it(
    made: ReleasedComponent, said: Facts, *, is_scaled: bool
) -> None:
    assert replicas.is_scaled(made, said) is is_scaled


@pytest.mark.parametrize(
    ("said", "number"),
    [
        pytest.param({}, 3, id="as-it-was-released"),
        pytest.param(facts(left=5), 5, id="as-a-policy-left-it"),
        pytest.param(facts(left=5, of=1), 3, id="not-as-one-left-it-to-a-release-before"),
        pytest.param(facts(CART, left=5), 3, id="not-as-one-left-another-module"),
    ],
)
def test_what_is_in_force_has_the_number_that_a_policy_left_it(said: Facts, number: int) -> None:
    assert replicas.in_force(component(), said) == number


def test_what_is_in_force_is_with_its_number_of_now_and_knows_what_was_asked_for() -> None:
    first = replicas.as_in_force(component(), facts(left=5))
    again = replicas.as_in_force(component(asked_replicas=2), facts(left=5))

    assert (first.replicas, first.asked_replicas) == (5, 3)
    assert (again.replicas, again.asked_replicas) == (5, 2)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        pytest.param(component(), {}, id="what-no-policy-left-otherwise"),
        pytest.param(
            component(scalingPolicyRevision=1), facts(left=5), id="what-began-under-a-policy"
        ),
        pytest.param(component(**ONCE, probes={}), facts(left=5), id="what-runs-to-its-end"),
    ],
)
def test_it_stays_as_it_was_released(made: ReleasedComponent, said: Facts) -> None:
    assert replicas.as_in_force(made, said) == made


def unit(
    kind: DeploymentKind,
    made: ReleasedComponent,
    *,
    replaced: int | None = 4,
    minimum: int | None = None,
    live: int = 0,
) -> ReleasedComponent:
    """Return *made* as a deployment of *kind* brings it in place of so many instances."""
    recorded = {} if minimum is None else {MODULE: PolicyAndBinding(0, minimum, None)}
    deployment = replace(completed(a_component()), kind=kind, recorded=recorded)
    before = [] if replaced is None else [component(replaced, 1)]
    (found,) = replicas.of_unit(deployment, [made], before, {MODULE: live}, {})
    return found


@pytest.mark.parametrize("kind", ONCE_MORE)
def test_what_comes_once_more_keeps_the_number_in_force(kind: DeploymentKind) -> None:
    found = unit(kind, component(2))

    assert (found.replicas, found.asked_replicas) == (4, 2)
    assert unit(kind, component(2), replaced=None) == component(2)


def test_a_release_has_the_number_that_it_asks_for() -> None:
    assert unit(DeploymentKind.RELEASE, component(2), live=9) == component(2)


@pytest.mark.parametrize(
    ("asked", "minimum", "live", "number"),
    [
        pytest.param(3, 1, 2, 3, id="as-many-as-it-had"),
        pytest.param(3, 5, 2, 5, id="the-minimum-of-its-policy"),
        pytest.param(3, 1, 7, 7, id="as-many-as-are-live"),
        pytest.param(3, 1, REPLICAS_MAX + 5, REPLICAS_MAX, id="as-many-as-a-release-may-have"),
    ],
)
def test_a_rollback_has_no_fewer_than_what_it_brings_back_had_or_are_live(
    asked: int, minimum: int, live: int, number: int
) -> None:
    found = unit(DeploymentKind.ROLLBACK, component(asked), minimum=minimum, live=live)

    assert found.replicas == number
    assert found.asked_replicas == (None if number == asked else asked)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(component(2, scalingPolicyRevision=1), id="what-a-policy-scales"),
        pytest.param(component(2, **ONCE, probes={}), id="what-runs-to-its-end"),
    ],
)
def test_what_has_its_number_from_elsewhere_keeps_that(made: ReleasedComponent) -> None:
    for kind in (DeploymentKind.REPAIR, DeploymentKind.ROLLBACK):
        assert unit(kind, made, minimum=8, live=9) == made
