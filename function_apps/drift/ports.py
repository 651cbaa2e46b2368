"""The dependencies of drift, and its numbers."""

from asyncio import Future
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.drift import DriftDefaults, RemediationPolicy
from shared.contracts.values import ComputeTargetKind
from shared.git.port import GitRepositories
from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.persistence.tables import Table
from shared.surfaces.port import ComponentReader
from shared.surfaces.reader_ports import AuthorReader, BoundaryReader, SiteReader
from shared.vault.port import SecretValue, Vaults
from shared.web.rate_limit import RateLimit


@dataclass(frozen=True)
class DriftRules:
    """The numbers of the service; the local profile shortens the waits."""

    detection: DriftDefaults = field(default_factory=DriftDefaults)
    check_due_every: timedelta = timedelta(seconds=30)
    """Between two looks for what is due: environments, and services after a release."""
    delete_snapshots_every: timedelta = timedelta(days=1)
    suppressed_max: timedelta = timedelta(days=365)


LOCAL_RULES: Final = DriftRules(
    DriftDefaults(scan=timedelta(seconds=20), own_work=timedelta(seconds=20)),
    check_due_every=timedelta(seconds=5),
)


def webhook_rate(clock: Clock) -> RateLimit:
    """Return how many signed webhooks of a source are taken: one a second, twenty at once."""
    return RateLimit(1.0, 20, clock, "webhooks")


@dataclass(frozen=True)
class WebhookKey:
    """The key of a source's webhooks, as it was read, or why it was not; it is so *until* then."""

    read: Future[SecretValue]
    until: datetime


@dataclass(frozen=True)
class DriftApp:
    """The parts of the service; `surface` reads all surfaces, and writes none.

    `sites`, `boundaries` and `authors` are those that have such, by kind. `snapshots` has a row for
    each change of a service that a scan saw, by environment.
    """

    service: Service
    surface: ComponentReader
    sites: Mapping[ComputeTargetKind, SiteReader]
    boundaries: Mapping[ComputeTargetKind, BoundaryReader]
    authors: Mapping[ComputeTargetKind, AuthorReader]
    snapshots: Table
    repositories: GitRepositories
    vaults: Vaults
    """Those of environments, with the secrets of sources."""
    webhooks: RateLimit
    """Of each source, once their signature was checked: before that anybody may have sent them."""
    rules: DriftRules = field(default_factory=DriftRules)
    remediation: RemediationPolicy = RemediationPolicy.ASK
    """The policy for findings whose repair destroys nothing."""
    webhook_keys: dict[tuple[str, str], WebhookKey] = field(default_factory=dict)
    """By the id of the source and the name of its secret."""
