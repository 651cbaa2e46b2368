"""The instances that are to run a version of a layer, and those that do. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from function_apps.configurations.model.adoption import (
    InstanceConfiguration,
    ModuleAdoption,
    RunningInstances,
)
from function_apps.configurations.model.configuration import Configuration
from shared.contracts.configurations import AdoptionBasis, InstanceAdoption
from shared.contracts.releases import ConfigurationPin
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class Standing:
    """The earlier words that stand still: nothing of the merge was changed since.

    `proofs` are those of the release, `said` those of the instances.
    """

    proofs: bool
    said: bool


def following_instances(
    adoption: ModuleAdoption,
    reports: Sequence[InstanceConfiguration],
    now: datetime,
    proved_for: timedelta,
    standing: Standing,
) -> Sequence[InstanceConfiguration]:
    """Return the instances of a live module: those that run, and those that said something lately.

    One that asks seldom runs what it said, or what its release was given, as was proved, while that
    is *standing*; then nobody knows what it runs. What an instance said before the inventory
    listed others is past: it is of a release that was rolled back, or was scaled in.
    """
    running = adoption.running
    proofs = {each.instance: each for each in adoption.instances}
    names = [*running.names] if running else []
    if not _is_seen(running) and parse_instant(adoption.ended_at) + proved_for > now:
        names += proofs  # of a new release, of which no scan told yet
    known = (proofs if standing.proofs else {}) | (
        {each.instance: each for each in adoption.said} if standing.said else {}
    )
    silent = InstanceConfiguration("", None, None, AdoptionBasis.REPORTED)
    found = {name: known.get(name, replace(silent, instance=name)) for name in names}
    said = {
        each.instance: each
        for each in reports
        if each.instance in found or not _is_past(each, adoption.running)
    }
    return [*(found | said).values()]


def starting_instances(
    adoption: ModuleAdoption, now: datetime, asks_within: timedelta
) -> frozenset[str]:
    """Return the instances that are so new that they may not have asked yet."""
    running, since = adoption.running, isoformat(now - asks_within)
    begun = dict(running.begun) if running else {}
    if not _is_seen(running):
        begun |= {each.instance: adoption.ended_at for each in adoption.instances}
    return frozenset(name for name, at in begun.items() if at > since)


def _is_seen(running: RunningInstances | None) -> bool:
    return running is not None and running.is_seen and running.is_whole


def _is_past(report: InstanceConfiguration, running: RunningInstances | None) -> bool:
    if running is None:
        return False
    if report.instance in running.of_others:
        return True
    return running.is_whole and (report.at or "") < running.at


@dataclass(frozen=True)
class Module:
    """A module as it is judged: what it was given, and what its instances run now.

    `current` is the merge that is in force now; those that follow it are to run that. Those that
    are `starting` have time to ask for it.
    """

    adoption: ModuleAdoption
    instances: Sequence[InstanceConfiguration]
    current: ConfigurationPin
    starting: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Count:
    """The instances that are to run the version in force of a layer, and those that do not."""

    instances: Sequence[InstanceAdoption]
    missing: Sequence[str]
    basis: AdoptionBasis
    late: Sequence[str] = ()
    """Those of `missing` that have had time to ask: they take a version back that is synced."""

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
    def may_change(self) -> bool:
        """Return whether it has to be counted again, though nothing is published or released."""
        is_reported = any(each.basis is AdoptionBasis.REPORTED for each in self.instances)
        return is_reported or bool(self.missing)


def count(head: Configuration, modules: Sequence[Module]) -> Count:
    """Return the adoption of the version in force of *head* by *modules*, which it reaches.

    Expected are the instances whose unit names the version, and those of modules that follow what
    is in force: live ones, and floating ones, whose roll-out is on its way or went back.
    """
    found = [(*each, module) for module in modules for each in _expected(head, module)]
    missing = [(each, module) for each, runs_it, module in found if not runs_it]
    is_reported = any(module.adoption.is_live for module in modules)
    return Count(
        [instance for instance, _, _ in found],
        [each.instance for each, _ in missing],
        AdoptionBasis.REPORTED if is_reported else AdoptionBasis.OBSERVED,
        [
            each.instance
            for each, module in missing
            if each.at is not None or each.instance not in module.starting
        ],
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
