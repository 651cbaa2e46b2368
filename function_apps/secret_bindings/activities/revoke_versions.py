"""The activities that end a rotation: disable old versions, record the end or the failure."""

from contextlib import suppress

from function_apps.secret_bindings.activities.resource_passwords import (
    old_values,
    retire_login,
    test_login,
)
from function_apps.secret_bindings.errors import VersionUnusable
from function_apps.secret_bindings.events import (
    alert_cleared,
    rotation_failed,
    secret_rotated,
)
from function_apps.secret_bindings.model.generators import resource_of
from function_apps.secret_bindings.model.rotation import (
    completed_head,
    end,
    fail,
    failed_head,
)
from function_apps.secret_bindings.model.rotation_rounds import (
    pending,
    unconfirmed,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import (
    HEADS,
    ROTATIONS,
    RotatedSecret,
    commit_rotation,
    load_rotation,
)
from function_apps.secret_bindings.use_cases.rotation_alert import failure_alerts
from shared.contracts.values import Reason
from shared.durable.activity import (
    REASON_MAX,
    ActivityContext,
    FailureReason,
    Step,
    require_ownership,
)
from shared.kernel.clock import isoformat
from shared.kernel.errors import NotFound
from shared.kernel.operation import CANCELED, Operation
from shared.messaging.outbox import Audited


async def retire_logins(ctx: ActivityContext, app: SecretBindingsApp) -> bool:
    """Have the data resource refuse the logins of old versions; False where one is used still.

    All of them are read before the first one ends. Without a resource there is nothing to do.

    Raises:
        VersionUnusable, PasswordRefused: nobody could go on with the version in force.
        LoginNotRetired, ResourceMissing, AdministratorRefused: an old login stays valid.
    """
    if ctx.name in ctx.recorded:
        return True
    state = await _ready(ctx, app)
    if state is None:
        return False
    rotation = state.rotation
    resource = resource_of(state.head.generator, rotation.environment_id)
    if resource is not None and not rotation.external:
        where = (rotation.vault_uri, rotation.secret_name)
        await test_login(resource, *where, rotation.version, app)
        values = await old_values(*where, rotation.older, app, kept=rotation.version)
        for value in values:
            await retire_login(resource, value, app)

    def decide(_state: RotatedSecret, operation: Operation) -> Step[bool]:
        return Step(True, operation.begin_step("retire", ctx.now(), percent=90))

    return await commit_rotation(ctx, app, decide)


async def revoke_versions(ctx: ActivityContext, app: SecretBindingsApp) -> bool:
    """Disable the old versions; False where a consumer has one still.

    Nothing is disabled in an external vault.

    Raises:
        VersionUnusable: nobody could go on with the version in force.
    """
    if ctx.name in ctx.recorded:
        return True
    state = await _ready(ctx, app)
    if state is None:
        return False
    rotation = state.rotation
    vault = app.vaults.at(rotation.vault_uri)
    for version in () if rotation.external else rotation.older:
        with suppress(NotFound):  # purged meanwhile: it is given to nobody either
            await vault.set_enabled(rotation.secret_name, version, enabled=False)

    def decide(_state: RotatedSecret, operation: Operation) -> Step[bool]:
        return Step(True, operation.begin_step("revoke", ctx.now(), percent=95))

    return await commit_rotation(ctx, app, decide)


async def _ready(ctx: ActivityContext, app: SecretBindingsApp) -> RotatedSecret | None:
    """Return the rotation if nobody needs an old version; None where a consumer has one still.

    Raises:
        VersionUnusable: the version in force was disabled, or deleted: the old ones are what is
            left.
    """
    state = await load_rotation(ctx.aggregate_id, ctx, app)
    require_ownership(state, ctx)
    rotation = state.rotation
    if pending(rotation, state.head) or unconfirmed(rotation, state.head):
        return None
    if not rotation.external:
        versions = await app.vaults.at(rotation.vault_uri).versions(rotation.secret_name)
        if not any(each.enabled for each in versions if each.version == rotation.version):
            raise VersionUnusable(rotation.secret_name, rotation.version)
    return state


async def complete_rotation(ctx: ActivityContext, app: SecretBindingsApp) -> None:
    """Record that nobody is given an old version, and that an alert about that is over."""

    def decide(state: RotatedSecret, operation: Operation) -> Step[None]:
        now = ctx.now()
        ended = end(state.rotation, state.head, now)
        head = completed_head(state.head)
        raised_at = state.head.alerted_at
        cleared = [alert_cleared(ended, raised_at, now)] if raised_at else []
        result = {"rotationId": ended.rotation_id, "version": ended.version}
        return Step(
            None,
            operation.succeed(result, now),
            [ROTATIONS.put(ended), HEADS.put(head)],
            [secret_rotated(ended, head), *cleared],
            Audited("SecretRotated", ended.rotation_id, ended.status),
        )

    await commit_rotation(ctx, app, decide)


async def record_rotation_failure(
    reason: FailureReason, ctx: ActivityContext, app: SecretBindingsApp
) -> None:
    """Record why the rotation does not go on. Who proved the new version keeps it, others the old.

    All versions stay enabled: the next rotation disables every older one.
    """
    shown = Reason(code=reason.code, message=reason.message[:REASON_MAX])

    def decide(state: RotatedSecret, operation: Operation) -> Step[None]:
        now, is_canceled = ctx.now(), shown.code == CANCELED
        failed = fail(state.rotation, shown, state.head, now)
        head = failed_head(failed, state.head, isoformat(now), is_canceled=is_canceled)
        ended = (
            operation.cancel(now) if is_canceled else operation.fail(shown.code, shown.message, now)
        )
        alerts = failure_alerts(failed, state.head, head, now)
        return Step(
            None,
            ended,
            [ROTATIONS.put(failed), HEADS.put(head)],
            [rotation_failed(failed, head), *alerts],
            Audited("SecretRotationFailed", failed.rotation_id, shown.code),
        )

    await commit_rotation(ctx, app, decide)
