"""What an undo and an interruption go back to, and what they are refused for."""

from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.deployments.errors import NotRollbackable
from function_apps.deployments.model import interruption, predecessors
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    ModuleState,
    QueueEntry,
)
from function_apps.deployments.model.facts import SECRET, SecretFact, secret_key
from function_apps.deployments.model.lifecycle import ReleaseName
from shared.contracts.deployments import DeploymentKind, DeploymentStatus, EndReason
from shared.contracts.releases import ReleasedComponent, ReleasedSecret, ReleaseUnit
from shared.contracts.values import OperationId, SecretDelivery
from shared.kernel.ids import DeploymentId, ModuleId
from tests.deployments.driven import CART, SHOP, TEST, WEB
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import ONCE, completed, component, released
from tests.deployments.told_secrets import BINDING, VAULT
from tests.kit.virtual_time import EPOCH

WANTED, EARLIER = DeploymentId("dep-wanted"), DeploymentId("dep-earlier")
WHY: Final = EndReason(code="GateFailed", message="too slow")


def wanted(*components: ReleasedComponent, **changes: Any) -> Deployment:
    """Return a Completed deployment that released *components*."""
    unit = ReleaseUnit(components=components or (released(),))
    made = replace(completed(component()), deployment_id=WANTED, release_ref="older", unit=unit)
    return replace(made, **changes)


UNDONE: Final = completed(component(), previous=[released()])


def test_an_undo_goes_back_to_what_was_before_and_knows_its_release() -> None:
    found = predecessors.predecessors_of(UNDONE, None)

    assert (found.components, found.releases) == (UNDONE.previous, UNDONE.earlier_releases)


def test_the_undo_of_a_rollback_goes_back_to_what_was_before_the_release_that_it_restored() -> None:
    rollback = replace(
        UNDONE,
        kind=DeploymentKind.ROLLBACK,
        restores={ModuleId(SHOP): EARLIER},
        earlier=(released(SHOP, 7),),
    )

    assert predecessors.predecessors_of(rollback, None).components == (released(SHOP, 7),)


def test_a_rollback_that_does_not_say_what_it_restored_is_undone_by_name_only() -> None:
    rollback = replace(UNDONE, kind=DeploymentKind.ROLLBACK)

    with pytest.raises(NotRollbackable, match="name the deployment to go back to"):
        predecessors.predecessors_of(rollback, None)


@pytest.mark.parametrize(
    ("named", "message", "target"),
    [
        pytest.param(
            replace(UNDONE, unit=ReleaseUnit(components=(released(),))),
            "is what would be undone", "/toDeploymentId", id="itself",
        ),
        pytest.param(
            wanted(status=DeploymentStatus.FAILED), "a Completed one", None, id="one-that-failed"
        ),
        pytest.param(wanted(unit=None), "a Completed one", None, id="one-without-a-unit"),
        pytest.param(
            wanted(released(WEB)), f"{WANTED} has no {SHOP}, which dep-", None,
            id="one-without-its-module",
        ),
    ],
)  # fmt: skip
def test_a_deployment_that_cannot_be_gone_back_to_is_refused(
    named: Deployment, message: str, target: str | None
) -> None:
    with pytest.raises(NotRollbackable, match=message) as refused:
        predecessors.predecessors_of(UNDONE, named)

    assert refused.value.target == target


def test_of_a_named_one_its_modules_come_back_as_the_releases_that_they_are_from() -> None:
    undone = completed(component(), component(WEB))
    named = wanted(
        released(SHOP, 4), released(WEB, 2), released(CART, 1), restores={ModuleId(WEB): EARLIER}
    )

    found = predecessors.predecessors_of(undone, named)

    assert {each.module_id for each in found.components} == {SHOP, WEB}
    assert found.releases == {
        SHOP: ReleaseName(WANTED, "older"),
        WEB: ReleaseName(EARLIER, "older"),
    }


def test_before_a_restored_release_was_what_that_had_replaced_as_far_as_it_is_known() -> None:
    name = ReleaseName(EARLIER, "earlier")
    known = wanted(previous=(released(SHOP, 3), released(WEB, 3)), earlier_releases={SHOP: name})

    found = predecessors.earlier_than(
        {ModuleId(SHOP): WANTED, ModuleId(WEB): WANTED, ModuleId(CART): DeploymentId("dep-lost")},
        {WANTED: known},
    )

    assert found.components == (released(SHOP, 3),)
    assert found.releases == {SHOP: name}


# Interruptions.


def secret(version: str) -> ReleasedSecret:
    return ReleasedSecret(
        name="password",
        version=version,
        vault_uri=VAULT,
        delivery=SecretDelivery.ENVIRONMENT_VARIABLE,
        target="PASSWORD",
        binding_id=BINDING,
    )


def with_secret(component: ReleasedComponent) -> ReleasedComponent:
    return component.model_copy(
        update={"secrets": (secret("v1"),), "secret_versions": {"password": "v1"}}
    )


def fact(module: str, *disabled: str) -> SecretFact:
    return SecretFact(
        SECRET, 1, module=module, name="password", version="v2", binding=BINDING, vault=VAULT,
        target="PASSWORD", disabled=disabled,
    )  # fmt: skip


def begun(*previous: ReleasedComponent, disabled_of: str) -> tuple[Deployment, DeploymentTarget]:
    """Begin the way back to *previous*; the version that they have is disabled of one module."""
    rolling = replace(
        completed(component(), component(WEB), previous=[*map(with_secret, previous)]),
        status=DeploymentStatus.ROLLING_OUT,
    )
    entry: QueueEntry = replace(claim(rolling.deployment_id, SHOP, WEB), token=4)
    target = DeploymentTarget(
        TEST,
        fence=4,
        queue=(entry,),
        modules={ModuleId(module): ModuleState(1, 5, by=EARLIER) for module in (SHOP, WEB)},
        facts={secret_key(disabled_of, "password"): fact(disabled_of, "v1")},
    )
    return interruption.begin_rollback(rolling, target, WHY, OperationId("op-back"), EPOCH)


def test_what_was_in_force_comes_back_as_it_was_under_a_new_operation_and_token() -> None:
    back, target = begun(released(SHOP, 1), disabled_of=CART)

    assert back.previous == (with_secret(released(SHOP, 1)),)
    assert (back.status, back.operation_id, back.token) == ("RollingBack", "op-back", 5)
    assert (target.queue[0].operation, target.queue[0].token) == ("op-back", 5)
    assert back.replaced_secrets == {}
    assert target.module(ModuleId(SHOP)).last == 5


def test_with_a_version_that_is_disabled_it_comes_back_as_the_next_revision_with_the_current() -> (
    None
):
    back, target = begun(released(SHOP, 1), released(WEB, 1), disabled_of=SHOP)

    shop, web = back.previous
    assert (shop.release_revision, shop.secret_versions) == (6, {"password": "v2"})
    assert shop.routing.weights == {"6": 100}
    assert web == with_secret(released(WEB, 1))
    assert back.replaced_secrets == {SHOP: (secret("v1"),)}
    assert (target.module(ModuleId(SHOP)).last, target.module(ModuleId(WEB)).last) == (6, 5)


def test_a_worker_that_comes_back_as_another_revision_has_no_weight() -> None:
    back, _ = begun(released(SHOP, 1, port=None, probes={}), disabled_of=SHOP)

    assert back.previous[0].routing.weights == {}


def test_a_job_that_has_ended_stays_as_it_was_whatever_is_disabled() -> None:
    back, _ = begun(released(SHOP, 1, **ONCE, probes={}), disabled_of=SHOP)

    assert back.previous[0].release_revision == 1


@pytest.mark.parametrize(
    ("by", "brings_back"),
    [pytest.param(EARLIER, EARLIER, id="another"), pytest.param(None, "nothing", id="nothing")],
)
def test_one_on_its_way_goes_back_to_what_is_in_force_only(
    by: DeploymentId | None, brings_back: str
) -> None:
    rolling = replace(UNDONE, status=DeploymentStatus.ROLLING_OUT)
    target = DeploymentTarget(TEST, modules={ModuleId(SHOP): ModuleState(1, 1, by=by)})

    with pytest.raises(NotRollbackable, match=f"brings back {brings_back} of {SHOP}") as refused:
        interruption.require_same_way_back(rolling, WANTED, target)

    assert refused.value.target == "/toDeploymentId"
