"""The instances of a module, as its release, its inventory and their own words have it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Final

from shared.contracts.catalog import Instance, InstanceStatus, RuntimeInventoryUpdated
from shared.contracts.configurations import AdoptionBasis, AdoptRelease
from shared.contracts.releases import CauseKind, ConfigurationPin
from shared.contracts.values import ConfigurationMode
from shared.kernel.clock import isoformat
from shared.kernel.dataclass import dataclass

PINS_MAX: Final = 10
"""As many earlier merges of a module can be asked for by their hash."""


@dataclass(frozen=True)
class InstanceConfiguration:
    """The configuration that one instance runs, by its hash.

    Those that follow it live say it again with every long poll; `at` is None of one that has not.
    """

    instance: str
    hash: str | None
    at: str | None
    basis: AdoptionBasis


@dataclass(frozen=True)
class RunningInstances:
    """The instances of a module that the inventory lists: of its release, and of other ones.

    *at* is when that was said. Of more than an event has room for, `is_whole` is False. `is_seen`
    where a scan told of them, and no release that may have others by now.
    """

    revision: int
    release_revision: int
    at: str
    names: tuple[str, ...]
    of_others: tuple[str, ...]
    is_whole: bool = True
    is_seen: bool = False
    begun: Mapping[str, str] = field(default_factory=dict)
    """Since when each is known that is listed since, or was started again."""


@dataclass(frozen=True)
class ModuleAdoption:
    """The configuration that a module was given by its last release, and that its instances run.

    `pins` has the merges that it was given, newest first: the first is in force; none where no
    release of it was heard of, but its removal or its inventory. `released` is False then, and once
    it was removed.
    """

    service_id: str
    environment_id: str
    module_id: str
    release_revision: int
    mode: ConfigurationMode
    pins: tuple[ConfigurationPin, ...]
    ended_at: str
    instances: tuple[InstanceConfiguration, ...] = ()
    released: bool = True
    listed: RunningInstances | None = None
    """The instances that the inventory told of last, of whichever release that was."""
    listed_before: RunningInstances | None = None
    """Those of the release in force, while `listed` is of one that is not heard of yet."""
    said: tuple[InstanceConfiguration, ...] = ()
    """The listed instances that said that they run the merge `said_of`, as they first said it."""
    said_of: ConfigurationPin | None = None

    @property
    def running(self) -> RunningInstances | None:
        """Return what the inventory lists of the release in force; None where it told of none."""
        for each in (self.listed, self.listed_before):
            if each is not None and each.release_revision == self.release_revision:
                return each
        return None

    @property
    def pin(self) -> ConfigurationPin:
        return self.pins[0]

    @property
    def is_live(self) -> bool:
        return self.mode is ConfigurationMode.LIVE

    @property
    def follows(self) -> bool:
        """Return whether its instances are to run what is in force, and not what it was given."""
        return self.mode is not ConfigurationMode.PINNED


def adopt_release(
    known: ModuleAdoption | None, command: AdoptRelease, service_id: str
) -> ModuleAdoption | None:
    """Return what *command* says of a module; None where something as new is known.

    A removal that is heard of before the release that it ended is remembered.
    """
    ended_at, component = isoformat(command.ended_at), command.component
    if component is None:
        if known is not None and known.ended_at >= ended_at:
            return None
        gone = known or _never_released(command.environment_id, command.module_id, service_id)
        return replace(gone, released=False, instances=(), said=(), ended_at=ended_at)
    if known is not None and not known.released and known.ended_at >= ended_at:
        return None  # it was removed since, alone or with its environment
    if known is not None and (known.release_revision, known.ended_at) >= (
        component.release_revision,
        ended_at,
    ):
        return None
    before = known.pins if known else ()
    pin = component.configuration
    # A rollback may end with the release that ran: then its instances are those that said it.
    is_same = known is not None and known.release_revision == component.release_revision
    return ModuleAdoption(
        service_id,
        command.environment_id,
        command.module_id,
        component.release_revision,
        component.configuration_mode,
        (pin, *(each for each in before if each.hash != pin.hash))[:PINS_MAX],
        ended_at,
        tuple(
            InstanceConfiguration(
                proof.instance,
                proof.configuration_hash,
                isoformat(proof.checked_at),
                AdoptionBasis.OBSERVED,
            )
            for proof in command.proofs
            if proof.module_id == command.module_id
        ),
        listed=known.listed if known else None,
        listed_before=known.listed_before if known else None,
        said=known.said if known and is_same else (),
        said_of=known.said_of if known and is_same else None,
    )


def _never_released(environment_id: str, module_id: str, service_id: str) -> ModuleAdoption:
    return ModuleAdoption(
        service_id, environment_id, module_id, 0, ConfigurationMode.PINNED, (), "", released=False
    )


def record_inventory(
    known: ModuleAdoption | None, event: RuntimeInventoryUpdated, said_at: datetime
) -> ModuleAdoption | None:
    """Return *known* with the instances that the inventory lists; None where it said more since.

    Those that were stopped run nothing. Of a service that is retired it lists none.
    """
    if known is not None and known.listed and event.revision <= known.listed.revision:
        return None
    before = known or _never_released(event.environment_id, event.module_id, event.service_id)
    running = [each for each in event.instances if each.status is not InstanceStatus.STOPPED]
    own = [each for each in running if each.release_revision == event.release_revision]
    listed = RunningInstances(
        event.revision,
        event.release_revision,
        isoformat(said_at),
        tuple(each.name for each in own),
        tuple(each.name for each in running if each.release_revision != event.release_revision),
        is_whole=event.instances_total <= len(event.instances),
        is_seen=event.cause.kind is CauseKind.OBSERVATION,
        begun=_begun(before, event.release_revision, own, isoformat(said_at)),
    )
    if listed.release_revision != before.release_revision:
        return replace(before, listed=listed, listed_before=before.running)
    said = tuple(each for each in before.said if _runs_still(each, own, is_whole=listed.is_whole))
    return replace(before, listed=listed, listed_before=None, said=said)


def _begun(
    known: ModuleAdoption, release_revision: int, own: Sequence[Instance], at: str
) -> Mapping[str, str]:
    """Return since when those of *own* are known that an earlier list of the release had not.

    One that starts again and again counts from its first start after it last said what it runs.
    """
    lists = (each for each in (known.listed, known.listed_before) if each is not None)
    earlier = next((each for each in lists if each.release_revision == release_revision), None)
    if earlier is None:
        return {each.name: at for each in own}
    has_said = {each.instance for each in known.said}
    begun = dict[str, str]()
    for each in own:
        is_again = each.started_at is not None and isoformat(each.started_at) > earlier.at
        if each.name in earlier.begun and not (is_again and each.name in has_said):
            begun[each.name] = earlier.begun[each.name]
        elif is_again or each.name not in earlier.names:
            begun[each.name] = at
    return begun


def _runs_still(said: InstanceConfiguration, own: Sequence[Instance], *, is_whole: bool) -> bool:
    """Return whether the process that said it runs still, as far as the inventory lists."""
    for each in own:
        if each.name == said.instance:
            return each.started_at is None or isoformat(each.started_at) <= (said.at or "")
    return not is_whole


def remember_said(
    known: ModuleAdoption, instances: Sequence[InstanceConfiguration], current: ConfigurationPin
) -> ModuleAdoption | None:
    """Return *known* with those of *instances* that said that they run *current*; None of no news.

    Their words in the table are lost with time. Kept are those that the inventory lists: of no
    other is it known how long it runs.
    """
    listed = known.running.names if known.running else ()
    said = tuple(
        each
        for each in instances
        if each.basis is AdoptionBasis.REPORTED
        and each.hash == current.hash
        and each.instance in listed
    )
    of = current if said else None
    is_known = {each.instance for each in said} == {each.instance for each in known.said}
    return None if is_known and of == known.said_of else replace(known, said=said, said_of=of)


def end_release(known: ModuleAdoption, ended_at: datetime) -> ModuleAdoption | None:
    """Return *known*, of which nothing is there after *ended_at*; None for a later release."""
    at = isoformat(ended_at)
    if not known.released or known.ended_at > at:
        return None
    return replace(known, released=False, instances=(), said=(), ended_at=at)
