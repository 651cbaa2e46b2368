"""Deployments that services ask for, of what is in force: repairs, relocations and roll-outs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from function_apps.deployments.errors import NothingToRollOut
from function_apps.deployments.model import (
    configuration_roll_out,
    relocation,
    repair,
    secret_rollout,
)
from function_apps.deployments.model.configuration import Configurations
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import (
    SECRET,
    BindingProjection,
    SecretFact,
    secret_key,
)
from function_apps.deployments.model.secret_rollout import ReleaseInForce
from shared.contracts.deployments import Deploy, DeploymentKind, DeploymentStatus
from shared.contracts.gates import Gate
from shared.contracts.releases import (
    ConfigurationPin,
    ReleasedComponent,
    ReleasedSecret,
    ReleaseUnit,
    RunOnce,
)
from shared.contracts.roll_outs import Relocation, SecretRollout, WithdrawSecretVersions
from shared.contracts.strategies import Strategy
from shared.contracts.values import SecretDelivery, Stage
from shared.kernel.errors import Unavailable
from shared.kernel.ids import ModuleId
from tests.deployments.driven import CART, SHOP, TEST
from tests.deployments.test_facts_for_the_next_unit import BINDING
from tests.deployments.test_one_change_per_module import claim
from tests.deployments.test_what_an_undo_asks_for import CTX, IDS, completed, component, in_force
from tests.deployments.test_what_an_undo_asks_for import released as a_released
from tests.deployments.told_secrets import BINDING as SECRET_BINDING
from tests.deployments.told_secrets import VAULT, rotation_id

PIN: Final = ConfigurationPin(environment=4, hash="sha256:" + "4" * 64)
OLD: Final = ReleasedSecret(
    name="password",
    version="v1",
    vault_uri=VAULT,
    delivery=SecretDelivery.ENVIRONMENT_VARIABLE,
    target="PASSWORD",
    binding_id=SECRET_BINDING,
)
OTHER: Final = OLD.model_copy(update={"name": "mail", "target": "MAIL"})
RELEASED: Final = a_released(SHOP, 2, tenantBindingRevision=2).model_copy(
    update={"configuration": PIN, "secrets": (OLD, OTHER)}
)
FACT: Final = SecretFact(
    SECRET, 1, module=SHOP, name="password", version="v1", binding=SECRET_BINDING, vault=VAULT,
    target="PASSWORD",
)  # fmt: skip
RELEASE: Final = replace(
    completed(component()),
    unit=ReleaseUnit(components=(RELEASED,)),
    strategy=Strategy.model_validate({"steps": [{"weight": 30}, {"weight": 100}]}),
    gate=Gate(min_samples=9),
)
TARGET: Final = replace(
    in_force(RELEASE),
    facts={secret_key(SHOP, "password"): FACT},
    binding=BindingProjection(BINDING, revision=3),
)
KNOWN: Final = {RELEASE.deployment_id: RELEASE}


def secret_command(number: int = 0, version: str = "v2") -> SecretRollout:
    rotation = rotation_id("password", number) if number else None
    return SecretRollout.model_validate(
        {
            "moduleId": SHOP,
            "bindingId": SECRET_BINDING,
            "secretName": "password",
            "version": version,
            "rotationId": rotation,
        }
    )


def move(revision: int = 3, **more: Any) -> Relocation:
    return Relocation.model_validate(
        {"moduleId": SHOP, "tenantBindingId": BINDING, "bindingRevision": revision, **more}
    )


def repaired(target: DeploymentTarget = TARGET) -> Deployment:
    return repair.repair_of(RELEASED, RELEASE, target, IDS, CTX)


def relocated(target: DeploymentTarget = TARGET) -> Deployment:
    return relocation.new_relocation(move(), TEST, target, IDS, CTX)


def secret_rolled_out(target: DeploymentTarget = TARGET) -> Deployment:
    release = ReleaseInForce(RELEASE, RELEASED, FACT)
    return secret_rollout.new_rollout(secret_command(), TEST, release, target, IDS, CTX)


def configuration_rolled_out(target: DeploymentTarget = TARGET) -> Deployment:
    command = Deploy(environment_id=TEST, release_ref="two", components=RELEASE.components)
    given = Configurations(pins={ModuleId(SHOP): PIN})
    return configuration_roll_out.roll_out_of(command, "key", given, target, IDS, CTX)


Asked = Callable[..., Deployment]
ASKED: Final[Mapping[DeploymentKind, Asked]] = {
    DeploymentKind.REPAIR: repaired,
    DeploymentKind.RELOCATION: relocated,
    DeploymentKind.SECRET: secret_rolled_out,
    DeploymentKind.CONFIGURATION: configuration_rolled_out,
}
UNKNOWN_PLACE: Final = [each for each in ASKED if each is not DeploymentKind.REPAIR]


@pytest.mark.parametrize("kind", ASKED)
def test_it_is_of_its_kind_in_the_project_and_the_stage_of_its_environment(
    kind: DeploymentKind,
) -> None:
    asked = ASKED[kind]()

    assert (asked.kind, asked.environment_id) == (kind, TEST)
    assert (asked.project_id, asked.stage) == ("proj-shop", Stage.TEST)


@pytest.mark.parametrize("kind", UNKNOWN_PLACE)
def test_of_an_environment_that_is_not_heard_of_neither_is_known(kind: DeploymentKind) -> None:
    asked = ASKED[kind](replace(TARGET, environment=None))

    assert (asked.project_id, asked.stage) == (None, None)


@pytest.mark.parametrize("kind", [DeploymentKind.REPAIR, DeploymentKind.RELOCATION])
def test_the_same_once_more_is_no_repeat_of_what_is_in_force(kind: DeploymentKind) -> None:
    assert ASKED[kind]().restart


def test_it_is_told_apart_from_others_by_what_it_is_for() -> None:
    keys = {kind: asked().key for kind, asked in ASKED.items()}

    assert keys == {
        DeploymentKind.REPAIR: f"repair {SHOP}",
        DeploymentKind.RELOCATION: f"{BINDING} 3 {SHOP}",
        DeploymentKind.SECRET: f"{SECRET_BINDING} v2",
        DeploymentKind.CONFIGURATION: "key",
    }


def relocation_of_release() -> Deployment:
    return relocation.of_release(relocated(), TARGET, KNOWN)


@pytest.mark.parametrize("asked", [repaired, relocation_of_release, secret_rolled_out])
def test_it_is_the_release_in_force_with_its_image_configuration_steps_and_gate(
    asked: Asked,
) -> None:
    made = asked()

    assert (made.release_ref, made.strategy, made.gate) == ("two", RELEASE.strategy, RELEASE.gate)
    assert [each.artifact_digest for each in made.components] == [RELEASED.digest]
    assert (made.order, made.pins) == ((SHOP,), {SHOP: PIN})


@pytest.mark.parametrize("asked", [repaired, relocation_of_release])
def test_what_comes_once_more_has_the_secrets_that_it_had(asked: Asked) -> None:
    assert asked().secrets == {SHOP: (OLD, OTHER)}


def test_what_gets_another_version_of_a_secret_keeps_the_others() -> None:
    new = OLD.model_copy(update={"version": "v2"})

    assert secret_rolled_out().secrets == {SHOP: (OTHER, new)}


def test_a_roll_out_of_configuration_brings_what_is_given_now() -> None:
    made = configuration_rolled_out()

    assert (made.pins, made.components) == ({SHOP: PIN}, RELEASE.components)


# Repairs.


def test_a_repair_says_which_revision_it_is_of() -> None:
    assert repaired().replaces == {SHOP: 2}


@pytest.mark.parametrize(
    ("target", "found"),
    [
        pytest.param(TARGET, "2 is in force", id="its-successor"),
        pytest.param(DeploymentTarget(TEST), "nothing is in force", id="nothing"),
    ],
)
def test_what_is_not_in_force_any_more_is_not_repaired(
    target: DeploymentTarget, found: str
) -> None:
    with pytest.raises(NothingToRollOut, match=f"revision 1 of {SHOP} is to be .*, and {found}$"):
        repair.require_in_force(target, ModuleId(SHOP), 1)


def test_what_is_in_force_is_repaired() -> None:
    repair.require_in_force(TARGET, ModuleId(SHOP), 2)


# Relocations.


@pytest.mark.parametrize(
    "binding",
    [
        pytest.param(None, id="none"),
        pytest.param(BindingProjection("tb-other", revision=9), id="another-binding"),
        pytest.param(BindingProjection(BINDING, revision=2), id="an-earlier-revision"),
    ],
)
def test_before_the_moved_binding_is_told_a_move_is_tried_again_soon(
    binding: BindingProjection | None,
) -> None:
    with pytest.raises(Unavailable, match=f"revision 3 of {BINDING}") as refused:
        relocation.require_told(move(), replace(TARGET, binding=binding))

    assert refused.value.retry_after_s == 2.0


@pytest.mark.parametrize("revision", [3, 4])
def test_once_the_moved_binding_is_told_a_move_goes_on(revision: int) -> None:
    known = BindingProjection(BINDING, revision=revision)

    relocation.require_told(move(), replace(TARGET, binding=known))


def test_while_its_module_is_on_its_way_by_the_binding_of_before_a_move_is_not_over() -> None:
    nothing = DeploymentTarget(TEST)
    started = replace(claim("a", SHOP), token=1, binding_revision=2)
    elsewhere = replace(started, modules=(ModuleId(CART),))
    asked = relocated()

    later = relocation.of_release_or_later(asked, replace(nothing, queue=(started,)), {})

    assert later == asked
    with pytest.raises(NothingToRollOut, match="no instance"):
        relocation.of_release_or_later(asked, replace(nothing, queue=(elsewhere,)), {})


# Roll-outs of versions of secrets.


@pytest.mark.parametrize(
    ("number", "rotation", "asked", "is_outdated"),
    [
        pytest.param(2, 1, 1, False, id="the-latest"),
        pytest.param(2, 2, 2, False, id="the-one-that-is-recorded"),
        pytest.param(2, 3, 2, True, id="before-one-that-is-recorded"),
        pytest.param(2, 1, 3, True, id="before-one-that-was-asked-for"),
        pytest.param(0, 3, 3, False, id="of-no-rotation"),
    ],
)
def test_a_roll_out_is_outdated_by_a_later_rotation_only(
    number: int, rotation: int, asked: int, *, is_outdated: bool
) -> None:
    fact = replace(FACT, rotation=rotation, asked=asked)

    assert secret_rollout.is_outdated(secret_command(number), fact) is is_outdated


def test_what_a_later_rotation_has_replaced_is_not_rolled_out() -> None:
    asked = replace(secret_rolled_out(), secret=secret_command(2))
    later = ReleaseInForce(RELEASE, RELEASED, replace(FACT, rotation=3, version="v3"))

    with pytest.raises(NothingToRollOut, match="or a later rotation has begun"):
        secret_rollout.of_release(asked, later)


def test_a_version_that_no_rotation_brought_is_rolled_out_after_rotations_too() -> None:
    later = ReleaseInForce(RELEASE, RELEASED, replace(FACT, rotation=3, version="v3"))

    made = secret_rollout.of_release(replace(relocated(), secret=secret_command()), later)

    assert [each.version for each in made.secrets[ModuleId(SHOP)]] == ["v1", "v2"]


def released_secret(target: DeploymentTarget = TARGET) -> ReleaseInForce:
    return secret_rollout.release_in_force(secret_command(), target, KNOWN)


def test_a_version_is_for_the_release_that_is_in_force() -> None:
    assert released_secret() == ReleaseInForce(RELEASE, RELEASED, FACT)


def test_before_anything_is_heard_of_its_binding_a_version_waits() -> None:
    with pytest.raises(Unavailable, match="no event of sec-") as refused:
        released_secret(replace(TARGET, facts={}))

    assert refused.value.retry_after_s == 2.0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param(
            {"facts": {secret_key(SHOP, "password"): replace(FACT, version="")}}, "was revoked",
            id="its-binding-was-revoked",
        ),
        pytest.param({"modules": {}}, f"no release of {SHOP} is in force", id="nothing-is-there"),
    ],
)  # fmt: skip
def test_where_nobody_can_be_given_it_there_is_nothing_to_roll_out(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(NothingToRollOut, match=why):
        released_secret(replace(TARGET, **changes))


def test_what_has_run_to_its_end_is_given_nothing() -> None:
    job = RELEASED.model_copy(update={"runs_once": RunOnce(), "port": None})
    ended = replace(RELEASE, unit=ReleaseUnit(components=(job,)))

    with pytest.raises(NothingToRollOut, match="has run to its end"):
        secret_rollout.release_in_force(secret_command(), TARGET, {ended.deployment_id: ended})


@pytest.mark.parametrize(("version", "is_given"), [("v1", True), ("v2", False)])
def test_a_release_is_given_a_version_that_it_records(version: str, *, is_given: bool) -> None:
    recorded = RELEASED.model_copy(update={"secret_versions": {"password": version}})
    release = ReleaseInForce(RELEASE, recorded, FACT)

    assert secret_rollout.is_given(secret_command(version="v1"), release) is is_given


@pytest.mark.parametrize(
    ("status", "own", "before", "may"),
    [
        pytest.param("RollingOut", "v1", "v1", True, id="it-has-an-older-one"),
        pytest.param("RollingOut", "v2", "v1", False, id="it-has-the-one-that-stays"),
        pytest.param("RollingBack", "v2", "v1", True, id="it-goes-back-to-an-older-one"),
        pytest.param("RollingOut", None, "v1", False, id="nothing-is-given-to-it-yet"),
    ],
)
def test_what_has_begun_may_start_an_older_version(
    status: str, own: str | None, before: str, *, may: bool
) -> None:
    def given(version: str) -> ReleasedComponent:
        return RELEASED.model_copy(update={"secret_versions": {"password": version}})

    begun = replace(
        RELEASE,
        status=DeploymentStatus(status),
        unit=ReleaseUnit(components=(given(own),)) if own else None,
        previous=(given(before),),
    )
    command = WithdrawSecretVersions.model_validate(
        {
            "environmentId": TEST, "moduleId": SHOP, "bindingId": SECRET_BINDING,
            "secretName": "password", "version": "v2", "vaultUri": VAULT,
            "rotationId": rotation_id("password", 2),
        }
    )  # fmt: skip

    assert secret_rollout.may_start_another(command, begun) is may
