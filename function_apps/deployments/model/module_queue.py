"""The queue of an environment: one entry a deployment, over all modules that it changes.

A deployment enters the queues of all its modules at once and starts when no entry before it shares
a module with it; the entries stand in the order in which they are served. A command for what is
there already is recognised by its keys.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final

from function_apps.deployments.errors import HoldsFull, QueueFull, QueueTaken
from function_apps.deployments.model.deployment_target import DeploymentTarget, QueueEntry
from shared.contracts.deployments import Deploy, DeploymentKind
from shared.contracts.releases import ConfigurationPin, ReleasedSecret
from shared.contracts.strategies import OnConflict
from shared.contracts.values import DeploymentId, ModuleId, OperationId
from shared.kernel.dataclass import dataclass

ENTRIES_MAX: Final = 200
"""Deployments on their way in one environment; 160 bytes each."""
OUTGOING_MAX: Final = 50
"""Starts or external events in one batch, which takes 100 operations; the rest is not lost."""
HOLDS_MAX: Final = 2000
"""In one environment; 60 bytes each. Holds restrict: what is refused then are new deployments."""

_K = DeploymentKind
RANKS: Final[Mapping[DeploymentKind, int]] = {
    kind: rank
    for rank, kind in enumerate(
        (_K.RELOCATION, _K.ROLLBACK, _K.SECRET, _K.RELEASE, _K.CONFIGURATION, _K.REPAIR)
    )
}
"""Of those that wait the lowest is next. It never decides what is interrupted."""
_KEY_LENGTH: Final = 16


@dataclass(frozen=True)
class Keys:
    """The hashes by which a repeated command is recognised.

    `natural`: environment, modules with version, digest and configuration, removals, pins and
    secrets; `base` is that without the versions of the secrets. `content`: everything that a
    repeat must agree in. `unit`: all that runs, since the same version may start otherwise, with
    other bounds.
    """

    natural: str
    base: str
    content: str
    unit: str


def keys_of(
    command: Deploy,
    given: Mapping[ModuleId, ConfigurationPin] = MappingProxyType({}),
    secrets: Iterable[tuple[str, ReleasedSecret]] = (),
) -> Keys:
    """Return the keys of *command*, whose modules are *given* these configurations.

    The same command is another one once they would be given other values, or other *secrets*, each
    with its module: another version, from another vault, or in another place.
    """
    environment, components = command.environment_id, command.components
    choice = command.configuration
    pins: Any = choice.model_dump(mode="json") if choice and choice.names_versions else None
    hashes = sorted([module, pin.hash] for module, pin in given.items() if pin.hash)
    # What was deployed without one keeps its key.
    pins = [pins, hashes] if hashes else pins
    modules = {component.module_id for component in components}
    bound = sorted(
        [module, each.name, each.vault_uri, each.delivery, each.target, each.version]
        for module, each in secrets
        if module in modules
    )
    without_versions = [pins, [each[:-1] for each in bound]] if bound else pins
    pins = [pins, bound] if bound else pins
    versions = sorted([c.module_id, c.version, c.digest] for c in components)
    units = sorted((c.model_dump(mode="json") for c in components), key=lambda c: c["moduleId"])
    return Keys(
        natural=_hash([environment, versions, sorted(command.remove), pins]),
        base=_hash([environment, versions, sorted(command.remove), without_versions]),
        content=_hash(command.model_dump(mode="json", exclude={"dry_run", "on_conflict"})),
        unit=_hash([environment, units, pins]),
    )


def roll_out_key(modules: Collection[ModuleId]) -> str:
    """Return the key of a roll-out of configuration to *modules*."""
    return f"configuration {_hash(sorted(modules))}"


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def repeated_by(command: Deploy, keys: Keys, target: DeploymentTarget) -> DeploymentId | None:
    """Return the deployment that answers *command*: one on its way, or the one in force now.

    One on its way answers whatever versions of its secrets it was asked for with: while it waits
    it is given those in force at its start, and afterwards roll-outs bring newer ones to its
    module. Nothing brings it a secret that was bound since, or takes away one that was revoked:
    that is a release of its own. Which others are not, `is_answered_by` says of the one found, and
    `has_other_content` which were asked for otherwise.
    """
    # The last one: it is the release that repeats made of one that did not answer them.
    active = next(
        (
            entry
            for entry in reversed(target.queue)
            if keys.natural == entry.key or keys.base == entry.base
        ),
        None,
    )
    if active is not None:
        return active.deployment
    if command.restart or not command.components or command.remove:
        return None
    states = [target.module(component.module_id) for component in command.components]
    is_in_force = all(state.revision and state.key == keys.unit for state in states)
    return states[0].by if is_in_force else None


def has_other_content(deployment_id: DeploymentId, keys: Keys, target: DeploymentTarget) -> bool:
    """Return whether *deployment_id* is on its way, and was asked for otherwise than by *keys*."""
    entry = target.entry(deployment_id)
    return entry is not None and entry.content != keys.content


def holder_of(target: DeploymentTarget, deployment_id: str) -> tuple[ModuleId, DeploymentId] | None:
    """Return the first entry before *deployment_id*'s that shares a module with it, and which."""
    own = target.entry(deployment_id)
    assert own is not None, deployment_id
    for entry in target.queue:
        if entry.deployment == deployment_id:
            return None
        shared = [module for module in own.modules if module in entry.modules]
        if shared:
            return shared[0], entry.deployment
    return None


def enqueue(
    target: DeploymentTarget, entry: QueueEntry, on_conflict: OnConflict
) -> tuple[DeploymentTarget, tuple[QueueEntry, ...]]:
    """Put *entry* into the queues of all its modules; return the entries that may start now, too.

    It stands behind what has started, and behind those of its kind that came before it. A rollback
    always has room.

    Raises:
        QueueTaken: *on_conflict* is reject and another deployment changes a module.
        QueueFull, HoldsFull: there are too many already.
    """
    if on_conflict is OnConflict.REJECT:
        for other in target.queue:
            if shared := sorted({*entry.modules}.intersection(other.modules)):
                raise QueueTaken(shared[0], other.deployment)
    is_rollback = entry.kind is DeploymentKind.ROLLBACK
    if len(target.queue) >= ENTRIES_MAX and not is_rollback:
        raise QueueFull(
            f"{ENTRIES_MAX} deployments are on their way in this environment; wait until one ends"
        )
    if sum(map(len, target.holds.values())) >= HOLDS_MAX and not is_rollback:
        raise HoldsFull(
            f"{HOLDS_MAX} release units are held in this environment; release holds of old ones"
        )
    return admit_ready(replace(target, queue=(*target.queue, entry)))


def admit_ready(target: DeploymentTarget) -> tuple[DeploymentTarget, tuple[QueueEntry, ...]]:
    """Give the next token to every entry that is first in all its queues; return those too.

    The entries are put in the order in which they are served: what has started, then by kind, then
    as they came. One for which the batch has no room is admitted when its operation is started
    again.
    """
    revision = target.binding.revision if target.binding else 0
    started = [entry for entry in target.queue if entry.token]
    waiting: list[QueueEntry] = []
    admitted: list[QueueEntry] = []
    taken = {module for entry in started for module in entry.modules}
    unstarted = [entry for entry in target.queue if not entry.token]
    for entry in sorted(unstarted, key=lambda entry: RANKS[entry.kind]):
        if taken.isdisjoint(entry.modules) and len(admitted) < OUTGOING_MAX:
            token = target.fence + len(admitted) + 1
            admitted.append(replace(entry, token=token, binding_revision=revision))
        else:
            waiting.append(entry)
        taken.update(entry.modules)
    queue = (*started, *admitted, *waiting)
    return replace(target, fence=target.fence + len(admitted), queue=queue), tuple(admitted)


def dequeue(
    target: DeploymentTarget, deployment_id: str
) -> tuple[DeploymentTarget, tuple[QueueEntry, ...]]:
    """Take *deployment_id* out of its queues; return the entries that may start now, too."""
    entries = tuple(entry for entry in target.queue if entry.deployment != deployment_id)
    return admit_ready(replace(target, queue=entries))


def transfer_ownership(
    target: DeploymentTarget, deployment_id: str, operation_id: OperationId
) -> tuple[DeploymentTarget, int]:
    """Give *deployment_id* to *operation_id*, under a new token; return that too."""
    fence = target.fence + 1
    entries = tuple(
        replace(entry, operation=operation_id, token=fence, wait="")
        if entry.deployment == deployment_id
        else entry
        for entry in target.queue
    )
    return replace(target, fence=fence, queue=entries), fence


def set_wait(target: DeploymentTarget, deployment_id: str, wait: str) -> DeploymentTarget:
    """Return *target* with the event that *deployment_id* waits for; empty: for none."""
    entries = tuple(
        replace(entry, wait=wait) if entry.deployment == deployment_id else entry
        for entry in target.queue
    )
    return replace(target, queue=entries)


def begun_deployments(target: DeploymentTarget, module: ModuleId) -> Sequence[DeploymentId]:
    """Return the deployments of *module* that have started, and not ended."""
    return [each.deployment for each in target.queue if each.token and module in each.modules]


def began_before(
    target: DeploymentTarget, binding_revision: int, module: ModuleId | None = None
) -> bool:
    """Return whether a deployment, of *module* or of any, started by an earlier binding."""
    return any(
        entry.token and entry.binding_revision < binding_revision
        for entry in target.queue
        if module is None or module in entry.modules
    )


def ahead_of(target: DeploymentTarget, deployment_id: str) -> tuple[QueueEntry, ...]:
    """Return the entries before *deployment_id*'s."""
    return tuple(takewhile(lambda entry: entry.deployment != deployment_id, target.queue))


def waiting_entries(target: DeploymentTarget) -> tuple[QueueEntry, ...]:
    """Return entries that wait for the environment; those left out poll again by themselves."""
    return tuple(entry for entry in target.queue if entry.wait)[:OUTGOING_MAX]
