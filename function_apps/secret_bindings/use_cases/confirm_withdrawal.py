"""ConfirmWithdrawal: a module is given no older version of a secret any more."""

from dataclasses import replace

from function_apps.secret_bindings.model.rotation_rounds import (
    confirm,
    unconfirmed,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import ROTATIONS, documents_of, rotated_secret
from shared.contracts.secret_proofs import ConfirmWithdrawal
from shared.kernel.context import Context
from shared.messaging.outbox import Raise
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def confirm_withdrawal(
    command: ConfirmWithdrawal, ctx: Context, app: SecretBindingsApp
) -> Outcome[Json]:
    """Record it at its rotation, which goes on once no module is left; a repeat is nothing."""

    def decide(view: View) -> Decision[Json]:
        state = rotated_secret(command.rotation_id, view)
        confirmed = confirm(state.rotation, command.binding_id)
        if confirmed is None:
            return NOTHING
        if unconfirmed(confirmed, state.head):
            return Decision({}, writes=[ROTATIONS.put(confirmed)])
        told = Raise(confirmed.operation_id, confirmed.wait_name)
        heard = replace(confirmed, heard=confirmed.heard + 1)
        return Decision({}, writes=[ROTATIONS.put(heard)], outbox=[told])

    partition = partition_of(ctx.tenant, command.rotation_id)
    reads = documents_of(command.rotation_id)
    return await app.service.work.commit(ctx, partition, reads, decide)
