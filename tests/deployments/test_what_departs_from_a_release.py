"""What is told where policy and binding in force are not those of the release that is shown."""

from dataclasses import replace

import pytest

from function_apps.deployments.model import policy_departures
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SCALING, BindingProjection, PolicyFact
from shared.contracts.releases import ReleaseUnit
from shared.contracts.tenants import TenantBindingStatus
from shared.kernel.ids import ModuleId
from tests.deployments.driven import SHOP, TEST
from tests.deployments.test_what_an_undo_asks_for import completed, released
from tests.deployments.test_what_an_undo_asks_for import component as a_component
from tests.deployments.told_policies import POLICY


def told_of(
    *, then: tuple[int, int | None], now: tuple[int, int], is_back: bool = True
) -> list[str]:
    """Return what is told of policy and binding, by their revisions then and now; 0 for none."""
    module, minimum = ModuleId(SHOP), 2
    component = released(
        SHOP, 1, scalingPolicyRevision=then[0], replicas=3, tenantBindingRevision=then[1]
    )
    own = ReleaseUnit(components=(component,)) if not is_back else None
    target = DeploymentTarget(
        TEST,
        facts={POLICY: PolicyFact(SCALING, 1, now[0], module, minimum)} if now[0] else {},
        binding=BindingProjection("tb-1", now[1], TenantBindingStatus.ENFORCED) if now[1] else None,
    )
    deployment = replace(completed(a_component(), previous=[component]), unit=own)
    found = policy_departures.departures(component, deployment, target)
    return [each.reason.message for each in found]


@pytest.mark.parametrize(
    ("then", "now", "sentence"),
    [
        pytest.param(
            3, 4,
            "the earlier release had revision 3 with at least 3, revision 4 with at least 2 is in"
            f" force; change the policy {POLICY}",
            id="changed-since",
        ),
        pytest.param(
            0, 4,
            "the earlier release had none, revision 4 with at least 2 is in force; change the"
            f" policy {POLICY}",
            id="applied-since",
        ),
        pytest.param(
            3, 0,
            "the earlier release had revision 3 with at least 3, none is in force now",
            id="ended-since",
        ),
    ],
)  # fmt: skip
def test_of_a_policy_it_is_told_what_was_what_is_and_which_to_change(
    then: int, now: int, sentence: str
) -> None:
    (message,) = told_of(then=(then, 1), now=(now, 1))

    assert message == f"a rollback puts no scaling policy back: {sentence}"


@pytest.mark.parametrize(
    ("then", "now", "sentence"),
    [
        pytest.param(2, 5, "the earlier release had revision 2, revision 5 is in force", id="both"),
        pytest.param(0, 5, "the earlier release had none, revision 5 is in force", id="none-then"),
        pytest.param(
            2, 0, "the earlier release had revision 2, none is in force now", id="none-now"
        ),
    ],
)
def test_of_a_binding_it_is_told_what_was_and_what_is(then: int, now: int, sentence: str) -> None:
    (message,) = told_of(then=(0, then), now=(0, now))

    assert message == f"a rollback leaves the tenant's binding as it is: {sentence}"


def test_of_a_release_from_before_bindings_were_recorded_nothing_is_told() -> None:
    assert told_of(then=(0, None), now=(0, 5)) == []


def test_what_changed_while_a_release_was_on_its_way_is_of_the_next_one() -> None:
    messages = told_of(then=(3, 2), now=(4, 5), is_back=False)

    assert messages == ["it changed while this was rolled out, and the next release records it"] * 2
