"""ProveRelease: note which versions the instances of one module proved since a deployment."""

from functools import partial

from function_apps.secret_bindings import repository
from function_apps.secret_bindings.model.binding import Binding
from function_apps.secret_bindings.model.secret_head import (
    Consumer,
    Rejection,
    prove,
    proved_version,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.use_cases.record_proof import record_proof
from shared.contracts.secret_proofs import ProveRelease
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Json, Outcome


async def prove_release(
    command: ProveRelease, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Record what one module runs, for each secret that is bound to it; a repeat changes nothing.

    What a module runs says by its time which is the last, so no inbox row is needed.
    """
    bindings = await repository.bindings_of_module(
        command.environment_id, command.module_id, ctx, app
    )
    for binding in bindings:
        change = partial(prove, proof=proof_of(command, binding))
        await record_proof(binding, change, ctx.without_marker(), app)
    return Outcome({})


def proof_of(command: ProveRelease, binding: Binding) -> Consumer:
    """Return what *command* says of the secret of *binding*."""
    component = command.component
    recorded = component.secret_versions.get(binding.secret_name) if component else None
    version = command.rejected.get(binding.secret_name)
    rejected = Rejection(version, command.rotation_id, command.why) if version else None
    if component is None or recorded is None:
        return Consumer(
            binding.binding_id,
            binding.module_id,
            ended_at=isoformat(command.ended_at),
            rejected=rejected,
        )
    mine = [each for each in command.proofs if each.module_id == binding.module_id]
    checked = min((each.checked_at for each in mine), default=command.ended_at)
    return Consumer(
        binding.binding_id,
        binding.module_id,
        is_running=True,
        release_revision=component.release_revision,
        version=proved_version(
            recorded, (each.secret_versions.get(binding.secret_name) for each in mine)
        ),
        proved_at=isoformat(checked),
        ended_at=isoformat(command.ended_at),
        rejected=rejected,
    )
