"""The activities of binding: find a version or make the first one, and record it."""

from dataclasses import replace

from function_apps.secret_bindings.activities.resource_passwords import (
    set_login,
    test_login,
)
from function_apps.secret_bindings.activities.vault_versions import (
    found_version,
    last_rotation,
    make_version,
)
from function_apps.secret_bindings.events import secret_bound
from function_apps.secret_bindings.model.binding import Binding, FoundVersion, bind, fail
from function_apps.secret_bindings.model.environment import require_open
from function_apps.secret_bindings.model.generators import OPERATION_TAG, resource_of
from function_apps.secret_bindings.model.secret_head import SecretHead, add_consumer
from function_apps.secret_bindings.model.secret_watch import SecretWatch, begin
from function_apps.secret_bindings.model.versions import usable_version
from function_apps.secret_bindings.ports import SecretBindingsApp
from function_apps.secret_bindings.repository import BINDINGS, ENVIRONMENTS, HEADS, WATCHES
from shared.durable.activity import (
    ActivityContext,
    FailureReason,
    Step,
    commit_documents,
    commit_step,
    load_owned,
    require_not_canceled,
)
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.operation import CANCELED, Operation
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import View
from shared.passwords.port import PasswordRefused
from shared.vault.port import SecretDisabled


async def find_version(ctx: ActivityContext, app: SecretBindingsApp) -> FoundVersion:
    """Return the version in force of the secret, else the newest, else one that is made.

    Raises:
        EnvironmentNotProvisioned: the environment has ended meanwhile.
        SecretHasNoVersion: there is none, and no generator.
        SecretDeleted: the name is that of a deleted secret.
        SecretDisabled, PasswordRefused: the version in force cannot be used.
        Unavailable: the vault is throttled, forbids us or is away; or another version came in force
            meanwhile.
    """
    require_not_canceled(ctx)
    binding = await load_owned(BINDINGS, ctx, app)
    head = await _head(binding, ctx, app)
    in_force = head.in_force if head else None
    try:
        found = await _usable(binding, head, ctx, app)
    except (SecretDisabled, PasswordRefused) as problem:
        # A rotation may have ended since: that version was then in force, and is no more.
        after = await _head(binding, ctx, app)
        if (after.in_force if after else None) == in_force:
            raise
        raise Unavailable(f"{binding.secret_name} was rotated meanwhile") from problem

    def decide(_binding: Binding, operation: Operation) -> Step[FoundVersion]:
        return Step(found, operation.begin_step("version", ctx.now(), percent=50))

    return await commit_step(ctx, app, BINDINGS, decide)


async def _head(
    binding: Binding, ctx: ActivityContext, app: SecretBindingsApp
) -> SecretHead | None:
    """Return the head of the secret, which its environment is there for; None before the first."""
    reads = [HEADS.document_id(binding.secret), ENVIRONMENTS.document_id(binding.environment_id)]
    view = await app.service.work.read(ctx.partition, *reads)
    # Its end may have come while the binding was asked for, and have seen nothing to revoke.
    require_open(binding.environment_id, view.find(ENVIRONMENTS, binding.environment_id))
    return view.find(HEADS, binding.secret)


async def _usable(
    binding: Binding, head: SecretHead | None, ctx: ActivityContext, app: SecretBindingsApp
) -> FoundVersion:
    """Return the version in force, or the first one, with which one can log in."""
    in_force, failed = (head.in_force, head.failed_versions) if head else (None, ())
    vault = app.vaults.at(binding.vault_uri)
    versions = await vault.versions(binding.secret_name)
    found = usable_version(versions, in_force, binding.secret_name, binding.generator, failed)
    if found is None:
        assert binding.generator is not None, binding
        tags = {OPERATION_TAG: ctx.operation_id}
        found = await make_version(
            binding.generator, vault, binding.secret_name, tags, binding.environment_id, app
        )
    resource = resource_of(binding.generator, binding.environment_id)
    if resource is not None:
        where = (binding.vault_uri, binding.secret_name, found.version)
        if in_force is None:
            # The login of one in force is there, and is not made again: a rotation may retire it
            # at this moment.
            await set_login(resource, *where, app)
        await test_login(resource, *where, app)
    number = last_rotation(versions, binding.environment_id, binding.secret)
    return replace(found_version(found), rotations=number)


@dataclass(frozen=True)
class _BoundSecret:
    """A binding with the head and the watch of its secret, where there are any yet."""

    binding: Binding
    head: SecretHead | None
    watch: SecretWatch | None

    @property
    def operation_id(self) -> str:
        return self.binding.operation_id


async def complete_binding(
    found: FoundVersion, ctx: ActivityContext, app: SecretBindingsApp
) -> None:
    """Record the version, and the module among the consumers of the secret; publish both."""
    binding = await load_owned(BINDINGS, ctx, app)

    def load(view: View) -> _BoundSecret:
        return _BoundSecret(
            view.get(BINDINGS, ctx.aggregate_id),
            view.find(HEADS, binding.secret),
            view.find(WATCHES, binding.secret),
        )

    def decide(known: _BoundSecret, operation: Operation) -> Step[None]:
        binding, watch = known.binding, known.watch
        head = known.head or _new_head(binding, found.rotations)
        # Another binding of the secret may have come first, with the version that it made.
        is_first = head.in_force in {None, found.version}
        given = found if is_first else FoundVersion(str(head.in_force))
        bound = bind(binding, given, ctx.now())
        consumer = head.consumer_again(binding.binding_id, binding.module_id)
        after = add_consumer(head, consumer, given.version, binding.generator)
        begun = begin(watch, after, ctx.now())
        watched = [] if begun == watch else [WATCHES.put(begun)]
        result = {"bindingId": binding.binding_id, "version": given.version}
        return Step(
            None,
            operation.succeed(result, ctx.now()),
            [BINDINGS.put(bound), HEADS.put(after), *watched],
            [secret_bound(bound)],
            Audited("SecretBound", bound.binding_id, given.version),
        )

    reads = [
        BINDINGS.document_id(ctx.aggregate_id),
        HEADS.document_id(binding.secret),
        WATCHES.document_id(binding.secret),
    ]
    await commit_documents(ctx, app, reads, load, decide)


async def record_binding_failure(
    reason: FailureReason, ctx: ActivityContext, app: SecretBindingsApp
) -> None:
    """Record why there is no version; the binding is Failed, and can be tried again."""

    def decide(binding: Binding, operation: Operation) -> Step[None]:
        now = ctx.now()
        failed = fail(binding, operation.operation_id, reason.code, reason.message)
        writes = [] if failed is binding else [BINDINGS.put(failed)]
        if reason.code == CANCELED:
            return Step(None, operation.cancel(now), writes)
        return Step(None, operation.fail(reason.code, reason.message, now), writes)

    await commit_step(ctx, app, BINDINGS, decide)


def _new_head(binding: Binding, rotations: int) -> SecretHead:
    return SecretHead(
        binding.secret,
        binding.tenant_id,
        binding.environment_id,
        binding.vault_uri,
        binding.secret_name,
        binding.external,
        rotations=rotations,
    )
