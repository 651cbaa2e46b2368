"""The instances that are to run a version of a layer, and those that do. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from function_apps.configurations.model.configuration import Configuration
from shared.contracts.configurations import AdoptionBasis, AdoptRelease, InstanceAdoption
from shared.contracts.releases import ConfigurationPin
from shared.contracts.values import ConfigurationMode
from shared.kernel.clock import isoformat

PINS_MAX: Final = 10
"""As many earlier merges of a module can be asked for by their hash."""


@dataclass(frozen=True)
class InstanceConfiguration:
    """The configuration that one instance runs, by its hash.

    Those that follow it live say it again with every long poll.
    """

    instance: str
    hash: str | None
    at: str
    basis: AdoptionBasis


@dataclass(frozen=True)
class ModuleAdoption:
    """The configuration that a module was given by its last release, and that its instances run.

    `pins` has the merges that it was given, newest first: the first is in force; none where it was
    removed before a release of it was heard of. `released` is False once it was removed.
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
        gone = known or _never_released(command, service_id)
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
    )


def _never_released(command: AdoptRelease, service_id: str) -> ModuleAdoption:
    return ModuleAdoption(
        service_id, command.environment_id, command.module_id, 0, ConfigurationMode.PINNED, (), ""
    )


def end_release(known: ModuleAdoption, ended_at: datetime) -> ModuleAdoption | None:
    """Return *known*, of which nothing is there after *ended_at*; None for a later release."""
    at = isoformat(ended_at)
    if not known.released or known.ended_at > at:
        return None
    return replace(known, released=False, instances=(), ended_at=at)


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
    known: Mapping[str | None, ConfigurationPin] = {
        pin.hash: pin for pin in (*adoption.pins, module.current)
    }
    for each in module.instances:
        runs = known.get(each.hash)
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
            each.hash == wanted.hash,
        )
