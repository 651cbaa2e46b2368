"""The activities that come before any consumer: create the version, set and test it."""

from collections.abc import Sequence

from function_apps.secret_bindings.activities.resource_passwords import (
    set_login,
    test_login,
)
from function_apps.secret_bindings.activities.vault_versions import (
    found_version,
    make_version,
    tagged,
)
from function_apps.secret_bindings.errors import GeneratorMissing, VersionInForce, VersionUnusable
from function_apps.secret_bindings.model.generators import ROTATION_TAG, resource_of
from function_apps.secret_bindings.model.rotation import (
    ResourceSet,
    VersionTested,
    come_to,
    evolve,
    require_older,
)
from function_apps.secret_bindings.model.versions import newest_enabled
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import (
    ROTATIONS,
    RotatedSecret,
    commit_rotation,
    load_rotation,
)
from shared.durable.activity import ActivityContext, Step, load_owned, require_not_canceled
from shared.kernel.operation import Operation
from shared.messaging.outbox import Audited
from shared.vault.port import SecretProperties


async def create_version(ctx: ActivityContext, app: SecretBindingsApp) -> None:
    """Make the version that all change over to, or find the one that was asked for.

    What is enabled beside it is what the end of the rotation disables.

    Raises:
        VersionUnusable, VersionInForce: the version that was asked for.
        GeneratorMissing: none can be made.
        VersionsFull: more are enabled than its end disables.
        SecretDeleted: somebody deleted the secret.
    """
    require_not_canceled(ctx)
    state = await load_rotation(ctx.aggregate_id, ctx, app)
    vault = app.vaults.at(state.rotation.vault_uri)
    versions = await vault.versions(state.rotation.secret_name)
    tags = {ROTATION_TAG: state.rotation.rotation_id}
    is_made = tagged(versions, tags) is not None  # by an earlier try
    require_older(state.rotation, sum(each.enabled for each in versions) - is_made)
    version = await _version(state, versions, app)
    older = [each.version for each in versions if each.enabled and each.version != version.version]

    def decide(state: RotatedSecret, operation: Operation) -> Step[None]:
        after = come_to(state.rotation, found_version(version), older)
        return Step(
            None,
            operation.begin_step("create", ctx.now(), percent=10),
            [ROTATIONS.put(after)],
            audited=Audited("CreateSecretVersion", after.rotation_id, version.version),
        )

    await commit_rotation(ctx, app, decide)


async def _version(
    state: RotatedSecret, versions: Sequence[SecretProperties], app: SecretBindingsApp
) -> SecretProperties:
    rotation, head = state.rotation, state.head
    name, asked = rotation.secret_name, rotation.asked_version
    if asked is not None:
        found = next((each for each in versions if each.version == asked and each.enabled), None)
        if found is None:
            raise VersionUnusable(name, asked)
        return found
    if rotation.external:
        newest = newest_enabled(versions)
        if newest is None or newest.version == rotation.from_version:
            raise VersionInForce(name, rotation.from_version)
        return newest
    if head.generator is None:
        raise GeneratorMissing(name)
    tags = {ROTATION_TAG: rotation.rotation_id}
    vault = app.vaults.at(rotation.vault_uri)
    return await make_version(head.generator, vault, name, tags, rotation.environment_id, app)


async def set_at_resource(ctx: ActivityContext, app: SecretBindingsApp) -> None:
    """Give the data resource the new login beside the old ones; without one there is nothing to do.

    A version that somebody set by hand is taken as it is: whoever set it has set it there too.
    """
    require_not_canceled(ctx)
    await load_owned(ROTATIONS, ctx, app)
    state = await load_rotation(ctx.aggregate_id, ctx, app)
    rotation = state.rotation
    resource = resource_of(state.head.generator, rotation.environment_id)
    if resource is not None and rotation.asked_version is None:
        where = (rotation.vault_uri, rotation.secret_name, rotation.version)
        await set_login(resource, *where, app)

    def decide(state: RotatedSecret, operation: Operation) -> Step[None]:
        after = evolve(state.rotation, ResourceSet)
        begun = operation.begin_step("set", ctx.now(), percent=20)
        audited = Audited("SetSecretVersion", after.rotation_id, after.status)
        return Step(None, begun, [ROTATIONS.put(after)], audited=audited)

    await commit_rotation(ctx, app, decide)


async def test_version(ctx: ActivityContext, app: SecretBindingsApp) -> None:
    """Ask the data resource with the new login, before any consumer does.

    Raises:
        PasswordRefused: the resource does not take it.
    """
    require_not_canceled(ctx)
    await load_owned(ROTATIONS, ctx, app)
    state = await load_rotation(ctx.aggregate_id, ctx, app)
    rotation = state.rotation
    resource = resource_of(state.head.generator, rotation.environment_id)
    if resource is not None:
        where = (rotation.vault_uri, rotation.secret_name, rotation.version)
        await test_login(resource, *where, app)

    def decide(state: RotatedSecret, operation: Operation) -> Step[None]:
        after = evolve(state.rotation, VersionTested)
        begun = operation.begin_step("test", ctx.now(), percent=30)
        audited = Audited("TestSecretVersion", after.rotation_id, after.status)
        return Step(None, begun, [ROTATIONS.put(after)], audited=audited)

    await commit_rotation(ctx, app, decide)
