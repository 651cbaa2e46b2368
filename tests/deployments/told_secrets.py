"""What secret_bindings says of a secret of SHOP, and what instances have of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.use_cases.record_facts import record_secret
from function_apps.deployments.use_cases.roll_out_secret_version import roll_out_secret_version
from shared.contracts.roll_outs import RollOutSecretVersion
from shared.contracts.secret_bindings import SecretBound, SecretRotated, SecretRotationFailed
from shared.messaging.unit_of_work import Outcome
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import RevisionSpec
from tests.deployments.driven import SHOP, TEST, Driven

KEY: Final = TEST.removeprefix("env-")
BINDING: Final = f"sec-{KEY}-abcdefghijkl"
VAULT: Final = "https://kv-shop.vault.azure.net/"
NOW: Final = "2026-01-01T00:00:00Z"


def _facts(version: str, more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "environmentId": TEST,
        "bindingId": BINDING,
        "moduleId": SHOP,
        "secretName": "password",
        "vaultUri": VAULT,
        "version": version,
        "delivery": "environmentVariable",
        "target": "PASSWORD",
        **more,
    }


async def bind(world: Driven, version: str, revision: int = 1, **more: Any) -> None:
    """Tell that the secret is bound at *version*."""
    fields = {"status": "Bound", **_facts(version, more)}
    event = SecretBound.model_validate(
        {"aggregateId": fields["bindingId"], "revision": revision, **fields}
    )
    await record_secret(event, world.bench.ctx(), world.app)


async def rotate(world: Driven, version: str, number: int, revision: int = 1, **more: Any) -> None:
    """Tell that rotation *number* has brought *version* to its consumers."""
    event = rotated(version, number, revision, **more)
    await record_secret(event, world.bench.ctx(), world.app)


def rotated(version: str, number: int, revision: int, **more: Any) -> SecretRotated:
    """Return the event that rotation *number* has brought *version* to its consumers."""
    facts = {"status": "Verified", "overlapUntil": NOW, **_facts(version, more)}
    rotation = rotation_id(facts["secretName"], number)
    facts |= {"aggregateId": rotation, "rotationId": rotation, "revision": revision}
    return SecretRotated.model_validate(facts)


def rotation_failed(version: str, number: int, **more: Any) -> SecretRotationFailed:
    """Return the event that rotation *number*, to *version*, does not go on."""
    facts = _facts(version, more)
    rotation = rotation_id(facts["secretName"], number)
    reason = {"code": "ProofMissing", "message": f"ProofMissing: {SHOP} has not proved it"}
    return SecretRotationFailed.model_validate(
        {
            "status": "Failed",
            "reason": reason,
            "aggregateId": rotation,
            "rotationId": rotation,
            "revision": 9,
            **facts,
        }
    )


def rotation_id(secret: str, number: int) -> str:
    return f"rot-{KEY}-{secret:a<12}-{number}"


def live_specs(world: Driven, module: str = SHOP) -> Mapping[int, RevisionSpec]:
    """Return what the surface runs of *module*, by revision."""
    record = world.world.component(world.surface_component(module))
    return {number: each.spec for number, each in record.revisions.items()}


def live_secrets(world: Driven, module: str = SHOP) -> Sequence[SecretReference]:
    """Return what each instance of the only revision of *module* is given."""
    (spec,) = live_specs(world, module).values()
    return spec.secrets


async def roll_out(world: Driven, version: str, number: int = 0, **more: Any) -> Outcome[Any]:
    """Send the command of rotation *number*; 0: of none."""
    command = roll_out_command(version, number, **more)
    return await roll_out_secret_version(command, world.ctx, world.app)


def roll_out_command(version: str, number: int, **more: Any) -> RollOutSecretVersion:
    """Return the command of rotation *number*; 0: of none."""
    content = {
        "environmentId": TEST,
        "moduleId": SHOP,
        "bindingId": BINDING,
        "secretName": "password",
        "version": version,
        **more,
    }
    rotation = rotation_id(content["secretName"], number) if number else None
    return RollOutSecretVersion.model_validate({"rotationId": rotation, **content})


async def rolled_out(world: Driven, version: str, number: int = 0, **more: Any) -> Deployment:
    """Roll *version* out, to the end."""
    outcome = await roll_out(world, version, number, **more)
    await world.settle()
    return await world.deployment(outcome.value["deploymentId"])
