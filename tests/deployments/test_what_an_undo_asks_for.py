"""The rollback of a Completed deployment: what it asks for, keeps in mind, and is refused for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from function_apps.deployments.errors import ArtifactRemoved, NotInForce, NotRollbackable
from function_apps.deployments.model import undo
from function_apps.deployments.model.deployment import Deployment, new_deployment
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    EnvironmentProjection,
    with_in_force,
    without_in_force,
)
from function_apps.deployments.model.lifecycle import PolicyAndBinding, ReleaseName
from function_apps.deployments.model.module_queue import keys_of
from shared.contracts.components import Component
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.releases import (
    ConfigurationPin,
    ReleasedComponent,
    ReleasedSecret,
    ReleaseUnit,
)
from shared.contracts.strategies import OnConflict
from shared.contracts.values import (
    ComputeTargetKind,
    ModuleId,
    OperationId,
    ProjectId,
    SecretDelivery,
    Stage,
)
from shared.kernel.context import NewIds
from shared.kernel.ids import DeploymentId, secret_binding_id
from tests.deployments.driven import CART, SHOP, TEST, WEB
from tests.deployments.test_one_change_per_module import claim
from tests.kit import told
from tests.kit.releases import a_component
from tests.kit.service import TENANT, bench
from tests.kit.virtual_time import EPOCH

CTX = bench("deployments").ctx()
IDS = NewIds(EPOCH, OperationId("op"))
FIRST, BEFORE = DeploymentId("dep-first"), DeploymentId("dep-before")
ONCE = {"runsOnce": {"timeLimit": "PT1M"}, "port": None}


def component(module: str = SHOP, **changes: Any) -> Component:
    return Component.model_validate(a_component(told.DIGEST, "2.0", module, **changes))


def released(module: str = SHOP, revision: int = 1, **changes: Any) -> ReleasedComponent:
    return ReleasedComponent.model_validate(told.released(module, revision, **changes))


def completed(
    *components: Component, previous: Sequence[ReleasedComponent] = (), remove: Sequence[str] = ()
) -> Deployment:
    """Return what released *components* in place of *previous*, which the first one released."""
    command = Deploy(
        environment_id=TEST,
        release_ref="two",
        components=components,
        remove=tuple(map(ModuleId, remove)),
    )
    made = new_deployment(command, IDS, CTX, kind=DeploymentKind.RELEASE, key="two", order=())
    names = {each.module_id: ReleaseName(FIRST, "one") for each in previous}
    return replace(
        made,
        status=DeploymentStatus.COMPLETED,
        previous=tuple(previous),
        earlier_releases=names,
    )


def in_force(deployment: Deployment, revision: int = 2) -> DeploymentTarget:
    environment = EnvironmentProjection(
        1, EnvironmentStatus.PROVISIONED, ProjectId("proj-shop"), Stage.TEST, TENANT, 1,
        (ComputeTargetKind.LOCAL_PROCESS,),
    )  # fmt: skip
    components = [released(each.module_id, revision) for each in deployment.components]
    target = DeploymentTarget(TEST, environment=environment)
    return without_in_force(
        with_in_force(target, components, deployment.deployment_id, "key"), deployment.remove
    )


def rolled_back(deployment: Deployment) -> tuple[Deployment, Deploy]:
    return undo.rollback_of(deployment, None, in_force(deployment), IDS, CTX)


def test_a_rollback_asks_for_what_was_before_and_says_of_which_it_is() -> None:
    undone = completed(component(), previous=[released(replicas=3)])

    rollback, command = rolled_back(undone)

    assert (command.environment_id, command.release_ref) == (TEST, "one")
    assert [(each.module_id, each.version, each.replicas) for each in command.components] == [
        (SHOP, "1.0", 3)
    ]
    assert (command.remove, command.on_conflict) == ((), OnConflict.QUEUE)
    assert rollback.kind is DeploymentKind.ROLLBACK
    assert rollback.key == f"undo {undone.deployment_id}"
    assert rollback.rolled_back_deployment_id == undone.deployment_id
    assert (rollback.project_id, rollback.stage) == ("proj-shop", Stage.TEST)
    assert rollback.order == (SHOP,)
    assert rollback.replaces == {SHOP: 2}
    assert rollback.restores == {SHOP: FIRST}


def test_a_release_whose_name_is_not_known_is_called_by_the_one_that_came_after() -> None:
    undone = replace(completed(component(), previous=[released()]), earlier_releases={})

    _, command = rolled_back(undone)

    assert command.release_ref == "before two"


def test_a_rollback_has_the_configuration_secrets_policy_and_binding_of_before() -> None:
    pin = ConfigurationPin(environment=4, hash="sha256:" + "4" * 64)
    secret = ReleasedSecret(
        name="key",
        version="v1",
        vault_uri="https://vault.test/",
        delivery=SecretDelivery.ENVIRONMENT_VARIABLE,
        target="KEY",
        binding_id=secret_binding_id(told.KEY, SHOP, "key"),
    )
    before = released(scalingPolicyRevision=3, replicas=5, tenantBindingRevision=6).model_copy(
        update={"configuration": pin, "secrets": (secret,)}
    )

    rollback, _ = rolled_back(completed(component(), previous=[before]))

    assert rollback.recorded == {SHOP: PolicyAndBinding(policy=3, minimum=5, binding=6)}
    assert rollback.pins == {SHOP: pin}
    assert rollback.secrets == {SHOP: (secret,)}


def test_a_new_module_is_taken_away_again_and_a_removed_one_comes_back() -> None:
    undone = completed(
        component(WEB), component(CART), previous=[released(SHOP), released(WEB)], remove=[SHOP]
    )

    rollback, command = rolled_back(undone)

    assert {each.module_id for each in command.components} == {SHOP, WEB}
    assert command.remove == (CART,)
    assert rollback.replaces == {SHOP: 0, WEB: 2, CART: 2}


def test_a_job_is_not_run_again_and_is_taken_away_only_where_a_server_is_now() -> None:
    job = released(CART, 1, **ONCE)

    still, kept = rolled_back(
        completed(component(), component(CART, **ONCE, probes={}), previous=[released(), job])
    )
    _, replaced = rolled_back(completed(component(), component(CART), previous=[released(), job]))

    assert [each.module_id for each in kept.components] == [SHOP]
    assert (kept.remove, replaced.remove) == ((), (CART,))
    assert still.jobs_left_out == (CART,)
    assert set(still.recorded) == set(still.restores) == {SHOP}


def test_where_only_a_job_was_replaced_there_is_nothing_to_go_back_to() -> None:
    undone = completed(component(CART, **ONCE, probes={}), previous=[released(CART, 1, **ONCE)])

    with pytest.raises(NotRollbackable, match="a rollback runs no job again"):
        rolled_back(undone)


def test_a_first_release_and_one_that_took_away_only_have_nothing_earlier() -> None:
    many = [f"module-{number}" for number in range(7)]

    with pytest.raises(NotRollbackable) as first:
        rolled_back(completed(*map(component, many)))
    with pytest.raises(NotRollbackable) as removal:
        rolled_back(completed(remove=many))

    five = ", ".join(many[:5])
    assert f"the first release of {five} and" in first.value.message
    assert f"`remove: [{five}]`" in first.value.message
    assert f"took {five} away" in removal.value.message


@pytest.mark.parametrize("by", [BEFORE, None])
def test_only_what_is_in_force_is_undone(by: DeploymentId | None) -> None:
    undone = completed(component(), previous=[released()])
    target = in_force(undone)
    if by is None:
        target = without_in_force(target, [ModuleId(SHOP)])
    else:
        target = with_in_force(target, [released(SHOP, 3)], by, "key")

    with pytest.raises(NotInForce, match=f"is not in force, {by or 'nothing'} is"):
        undo.rollback_of(undone, None, target, IDS, CTX)


def test_a_removed_module_that_was_released_again_is_not_undone() -> None:
    undone = completed(remove=[SHOP], previous=[released()])
    target = with_in_force(in_force(undone), [released(SHOP, 3)], BEFORE, "key")

    with pytest.raises(NotInForce, match=f"{BEFORE} is; a"):
        undo.rollback_of(undone, None, target, IDS, CTX)


def test_an_undo_that_is_on_its_way_is_found_and_one_to_elsewhere_is_refused() -> None:
    undone = completed(component(), previous=[released()])
    target = in_force(undone)
    _, command = undo.rollback_of(undone, None, target, IDS, CTX)
    other, way = (
        claim("other", SHOP),
        replace(
            claim("way", SHOP), key=f"undo {undone.deployment_id}", content=keys_of(command).content
        ),
    )

    assert undo.queued_undo(undone, None, replace(target, queue=(other,))) is None
    assert undo.queued_undo(undone, None, replace(target, queue=(other, way))) == way
    with pytest.raises(NotRollbackable, match="way undoes dep-"):
        undo.queued_undo(undone, None, replace(target, queue=(replace(way, content="else"),)))


def test_a_rollback_to_archives_that_are_gone_names_each_of_them() -> None:
    wanted = completed(component())
    command = Deploy(
        environment_id=TEST,
        release_ref="one",
        components=(
            component(),
            component(WEB, artifactDigest="sha256:" + "2" * 64),
            component(CART, artifactDigest=None, image="registry.test/cart@sha256:" + "3" * 64),
        ),
    )

    undo.require_archives(command, {told.DIGEST, "sha256:" + "2" * 64}, None)
    for named, target in ((wanted, "/toDeploymentId"), (None, None)):
        with pytest.raises(ArtifactRemoved) as refused:
            undo.require_archives(command, {told.DIGEST}, named)
        (missing,) = refused.value.details
        assert refused.value.target == target
        assert (missing.code, missing.target) == ("ArtifactRemoved", target or "")
        assert missing.message == f"the archive of {WEB} 2.0 was removed"
        assert missing.expected == "a release of which the archives are stored"
        assert missing.received == "sha256:" + "2" * 64


def test_a_rollback_whose_release_was_replaced_meanwhile_is_refused() -> None:
    undone = completed(component(), previous=[released()])
    rollback, _ = rolled_back(undone)

    undo.require_replaced_in_force(rollback, in_force(undone))
    newer = with_in_force(in_force(undone), [released(SHOP, 3)], BEFORE, "key")
    with pytest.raises(NotInForce, match=f"{BEFORE} is; roll that"):
        undo.require_replaced_in_force(rollback, newer)
    gone = without_in_force(newer, [ModuleId(SHOP)])
    with pytest.raises(NotInForce, match=": nothing is;"):
        undo.require_replaced_in_force(rollback, gone)


def test_a_rollback_to_a_named_release_asks_for_what_that_released() -> None:
    undone = completed(component(), previous=[released()])
    wanted = replace(
        completed(component()),
        deployment_id=BEFORE,
        release_ref="older",
        unit=ReleaseUnit(components=(released(version="0.9"),)),
    )

    rollback, command = undo.rollback_of(undone, wanted, in_force(undone), IDS, CTX)

    assert [each.version for each in command.components] == ["0.9"]
    assert command.release_ref == "older"
    assert rollback.restores == {SHOP: BEFORE}
