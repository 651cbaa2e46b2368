"""A binding of one secret to one module: its states, and what each command makes of it. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pydantic_core import to_jsonable_python

from function_apps.secret_bindings.errors import BindingExists, BindingsFull, TargetTaken
from shared.contracts.secret_bindings import (
    BindingStatus,
    BindSecret,
    Generator,
    RotationPolicy,
)
from shared.contracts.shape import Value
from shared.contracts.values import SecretDelivery
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Violation
from shared.kernel.transitions import Transitions

State = BindingStatus
BINDINGS_MAX: Final = 50
"""Of one module: a release unit records no more."""
REASON_MAX: Final = 500
"""Characters."""


_PLACED: Final = {SecretDelivery.ENVIRONMENT_VARIABLE, SecretDelivery.FILE}
"""Deliveries whose target is a name that the instance sees."""


@dataclass(frozen=True)
class BindingEvent:
    """Something that happened to a binding."""


@dataclass(frozen=True)
class VersionFound(BindingEvent):
    """The vault has a version for it: one that was there, or one that was made."""


@dataclass(frozen=True)
class NoVersionFound(BindingEvent):
    """Its operation ended without a version for it."""


@dataclass(frozen=True)
class VersionProved(BindingEvent):
    """The module runs another version, or has nothing that runs."""


@dataclass(frozen=True)
class Revoked(BindingEvent):
    """The module is not given the secret any more."""


@dataclass(frozen=True)
class BoundAgain(BindingEvent):
    """The secret is asked for again, after it was revoked or had no version."""


TRANSITIONS: Final[Transitions[State, BindingEvent]] = Transitions(
    "a secret binding",
    {
        State.REQUESTED: {
            VersionFound: State.BOUND,
            NoVersionFound: State.FAILED,
            Revoked: State.REVOKED,
        },
        State.FAILED: {BoundAgain: State.REQUESTED, Revoked: State.REVOKED},
        State.BOUND: {VersionProved: State.BOUND, Revoked: State.REVOKED},
        State.REVOKED: {BoundAgain: State.REQUESTED},
    },
)


@dataclass(frozen=True)
class Binding:
    """`secret` is what the secret of the vault is known by, among all that its modules are given.

    `operation_id` is of the work that makes it Bound. `version` is the one that the next release of
    the module is given.
    """

    binding_id: str
    tenant_id: str
    environment_id: str
    module_id: str
    secret_name: str
    vault_uri: str
    secret: str
    external: bool
    generator: Generator | None
    delivery: SecretDelivery
    target: str
    rotation: RotationPolicy
    operation_id: str
    created_at: str
    status: State = State.REQUESTED
    revision: int = 1
    version: str | None = None
    rotated_at: str | None = None
    expires_at: str | None = None
    due_at: str | None = None
    """The time at which its secret is rotated next, by its policy."""
    reason: str = ""
    """The words with which it was revoked, or the code and the words of why it Failed."""
    identity: str | None = None
    """Shown to the vault by the instances of the tenant, which the surface gave it."""

    @property
    def is_active(self) -> bool:
        return self.status is not State.REVOKED


@dataclass(frozen=True)
class FoundVersion:
    """A version of the vault, and when it expires.

    `rotations` is the number of the last rotation that made a version of the secret.
    """

    version: str
    expires_at: str | None = None
    rotations: int = 0


def new_binding(
    command: BindSecret,
    binding_id: str,
    *,
    tenant_id: str,
    vault_uri: str,
    secret: str,
    operation_id: str,
    now: datetime,
) -> Binding:
    """Return the binding that *command* asks for, before there is one."""
    return Binding(
        binding_id,
        tenant_id,
        command.environment_id,
        command.module_id,
        command.secret_name,
        vault_uri,
        secret,
        command.external,
        command.generator,
        command.delivery,
        command.target,
        command.rotation,
        operation_id,
        isoformat(now),
    )


def require_place(fresh: Binding, of_module: Sequence[Binding]) -> None:
    """Refuse *fresh* beside the active bindings *of_module*.

    A variable and a file of one name are one place, as in the plan of a release.

    Raises:
        BindingsFull: the module has as many as it may have.
        TargetTaken: it is given another secret in that place.
    """
    others = [each for each in of_module if each.binding_id != fresh.binding_id]
    if len(others) >= BINDINGS_MAX:
        raise BindingsFull(fresh.module_id, BINDINGS_MAX)
    if fresh.delivery is SecretDelivery.REFERENCE:
        return
    for other in others:
        if other.delivery in _PLACED and other.target == fresh.target:
            raise TargetTaken(fresh.module_id, fresh.target, other.secret_name, other.binding_id)


def request(known: Binding | None, fresh: Binding, *, is_pending: bool) -> Binding:
    """Return the binding to be bound; *known* itself where it is what *fresh* asks for.

    One whose operation ended without a version is tried again, also with other content: it is
    Failed, or, where nothing could record that, Requested and not *is_pending*.

    Raises:
        BindingExists: it is active, with other content.
    """
    if known is None:
        return fresh
    again = replace(fresh, revision=known.revision + 1, created_at=known.created_at)
    if known.status in {State.REVOKED, State.FAILED}:
        return replace(again, status=TRANSITIONS.after(known.status, BoundAgain))
    if known.status is State.REQUESTED and not is_pending:
        return again
    if found := differences(known, fresh):
        raise BindingExists(known.secret_name, known.module_id, known.binding_id, found)
    return known


def differences(known: Binding, fresh: Binding) -> Sequence[Violation]:
    """Return one violation for each field in which *fresh* differs from what is active."""
    pairs = {
        "/vaultUri": (known.vault_uri, fresh.vault_uri),
        "/external": (known.external, fresh.external),
        "/generator": (known.generator, fresh.generator),
        "/delivery": (known.delivery, fresh.delivery),
        "/target": (known.target, fresh.target),
        "/rotation": (known.rotation, fresh.rotation),
    }
    return [differs(target, now, asked) for target, (now, asked) in pairs.items() if now != asked]


def differs(target: str, now: object, asked: object) -> Violation:
    """Return that the field *target* is *now* something else than what is *asked*."""
    return Violation("Differs", target, "differs from what is active", _said(now), _said(asked))


def _said(value: object) -> str:
    """Return *value* as a request says it, shortened."""
    if isinstance(value, Value):
        return value.model_dump_json(by_alias=True, exclude_defaults=True)[:80]
    if isinstance(value, timedelta):
        return str(to_jsonable_python(value))
    return "nothing" if value in (None, "") else str(value)[:80]


def bind(known: Binding, found: FoundVersion, now: datetime) -> Binding:
    """Return *known* Bound to the version *found*. Raises TransitionRefused."""
    return _given(evolve(known, VersionFound), found, now)


def fail(known: Binding, operation_id: str, code: str, message: str) -> Binding:
    """Return *known* Failed; itself where it waits for no version of that operation any more."""
    if known.status is not State.REQUESTED or known.operation_id != operation_id:
        return known
    return replace(evolve(known, NoVersionFound), reason=f"{code}: {message}"[:REASON_MAX])


def move(known: Binding, found: FoundVersion, now: datetime) -> Binding:
    """Return *known*, which is Bound, with another version. Raises TransitionRefused."""
    return _given(evolve(known, VersionProved), found, now)


def revoke(known: Binding, reason: str) -> Binding:
    """Return *known* Revoked; itself where it is. Raises TransitionRefused."""
    if known.status is State.REVOKED:
        return known
    return replace(evolve(known, Revoked), due_at=None, reason=reason[:REASON_MAX])


def evolve(binding: Binding, event: type[BindingEvent]) -> Binding:
    """Return *binding* after *event*, one revision later. Raises TransitionRefused."""
    status = TRANSITIONS.after(binding.status, event)
    return replace(binding, status=status, revision=binding.revision + 1)


def _given(binding: Binding, found: FoundVersion, now: datetime) -> Binding:
    every = binding.rotation.every
    return replace(
        binding,
        version=found.version,
        expires_at=found.expires_at,
        rotated_at=isoformat(now),
        due_at=isoformat(now + every) if every else None,
    )
