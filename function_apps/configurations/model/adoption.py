"""The instances that are to run a version of a layer, and those that do. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.configurations.model.configuration import Configuration
from shared.contracts.catalog import InstanceStatus, RuntimeInventoryUpdated
from shared.contracts.configurations import AdoptionBasis, AdoptRelease, InstanceAdoption
from shared.contracts.releases import CauseKind, ConfigurationPin
from shared.contracts.values import ConfigurationMode
from shared.kernel.clock import isoformat, parse_instant
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

    @property
    def running(self) -> RunningInstances | None:
        """Return what the inventory lists, once that is of the release in force."""
        listed = self.listed
        is_of_release = listed is not None and listed.release_revision == self.release_revision
        return listed if is_of_release else None

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
        return replace(gone, released=False, instances=(), ended_at=ended_at)
    if known is not None and not known.released and known.ended_at >= ended_at:
        return None  # it was removed since, alone or with its environment
    if known is not None and (known.release_revision, known.ended_at) >= (
        component.release_revision,
        ended_at,
    ):
        return None
    before = known.pins if known else ()
    pin = component.configuration
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
    running = [each for each in event.instances if each.status is not InstanceStatus.STOPPED]
    is_current = [each.release_revision == event.release_revision for each in running]
    listed = RunningInstances(
        event.revision,
        event.release_revision,
        isoformat(said_at),
        tuple(each.name for each, is_it in zip(running, is_current, strict=True) if is_it),
        tuple(each.name for each, is_it in zip(running, is_current, strict=True) if not is_it),
        is_whole=event.instances_total <= len(event.instances),
        is_seen=event.cause.kind is CauseKind.OBSERVATION,
    )
    before = known or _never_released(event.environment_id, event.module_id, event.service_id)
    return replace(before, listed=listed)


def end_release(known: ModuleAdoption, ended_at: datetime) -> ModuleAdoption | None:
    """Return *known*, of which nothing is there after *ended_at*; None for a later release."""
    at = isoformat(ended_at)
    if not known.released or known.ended_at > at:
        return None
    return replace(known, released=False, instances=(), ended_at=at)


def following_instances(
    adoption: ModuleAdoption,
    reports: Sequence[InstanceConfiguration],
    now: datetime,
    proved_for: timedelta,
    *,
    is_given: bool,
) -> Sequence[InstanceConfiguration]:
    """Return the instances of a live module: those that run, and those that said something lately.

    One that has not asked runs what its release was given, as was proved, while that *is_given*
    still; then nobody knows what it runs. What an instance said before the inventory
    listed others is past: it is of a release that was rolled back, or was scaled in.
    """
    running = adoption.running
    proofs = {each.instance: each for each in adoption.instances}
    names = [*running.names] if running else []
    is_seen = running is not None and running.is_seen and running.is_whole
    if not is_seen and parse_instant(adoption.ended_at) + proved_for > now:
        names += proofs  # of a new release, of which no scan told yet
    found = {
        name: proofs[name]
        if is_given and name in proofs
        else InstanceConfiguration(name, None, None, AdoptionBasis.REPORTED)
        for name in names
    }
    said = {
        each.instance: each
        for each in reports
        if each.instance in found or not _is_past(each, adoption.running)
    }
    return [*(found | said).values()]


def _is_past(report: InstanceConfiguration, running: RunningInstances | None) -> bool:
    if running is None:
        return False
    if report.instance in running.of_others:
        return True
    return running.is_whole and (report.at or "") < running.at


@dataclass(frozen=True)
class Module:
    """A module as it is judged: what it was given, and what its instances run now.

    `current` is the merge that is in force now; those that follow it are to run that.
    """

    adoption: ModuleAdoption
    instances: Sequence[InstanceConfiguration]
    current: ConfigurationPin


@dataclass(frozen=True)
class Count:
    """The instances that are to run the version in force of a layer, and those that do not."""

    instances: Sequence[InstanceAdoption]
    missing: Sequence[str]
    basis: AdoptionBasis

    @property
    def expected(self) -> int:
        return len(self.instances)

    @property
    def acknowledged(self) -> int:
        return len(self.instances) - len(self.missing)

    @property
    def silent(self) -> int:
        """Return how many follow live and have not asked."""
        return sum(each.at is None for each in self.instances)

    @property
    def may_fall_silent(self) -> bool:
        """Return whether it has to be counted again, though nothing is published or released."""
        return any(each.basis is AdoptionBasis.REPORTED for each in self.instances)


def count(head: Configuration, modules: Sequence[Module]) -> Count:
    """Return the adoption of the version in force of *head* by *modules*, which it reaches.

    Expected are the instances whose unit names the version, and those of modules that follow what
    is in force: live ones, and floating ones, whose roll-out is on its way or went back.
    """
    found = [each for module in modules for each in _expected(head, module)]
    is_reported = any(module.adoption.is_live for module in modules)
    return Count(
        [instance for instance, _ in found],
        [instance.instance for instance, runs_it in found if not runs_it],
        AdoptionBasis.REPORTED if is_reported else AdoptionBasis.OBSERVED,
    )


def _expected(head: Configuration, module: Module) -> Iterator[tuple[InstanceAdoption, bool]]:
    adoption, layer = module.adoption, head.layer.kind
    wanted = module.current if adoption.follows else adoption.pin
    if getattr(wanted, layer.value) != head.version:
        return
    known = {pin.hash: pin for pin in (*adoption.pins, module.current)}
    for each in module.instances:
        runs = None if each.hash is None else known.get(each.hash)
        yield (
            InstanceAdoption.model_validate(
                {
                    "moduleId": adoption.module_id,
                    "instance": each.instance,
                    "version": getattr(runs, layer.value) if runs else 0,
                    "basis": each.basis,
                    "at": each.at,
                }
            ),
            runs is not None and each.hash == wanted.hash,
        )
