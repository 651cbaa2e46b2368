"""The deployments and artifacts that are kept: what may still be needed, and new ones. Pure.

Kept is whatever is in force or on its way with all that it can go back to, the newest releases of
each module, which a rollback or a promotion may name, its last deployment, and what was uploaded
or ended lately.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import CONFIGURATION, Fact
from shared.contracts.deployments import DeploymentKind, DeploymentStatus
from shared.contracts.values import DeploymentId, EnvironmentId, ModuleId, TenantId
from shared.kernel.dataclass import dataclass

RELEASES_KEPT: Final = 10
"""Of each module in an environment, as Kubernetes' `revisionHistoryLimit`."""
KEPT_FOR: Final = timedelta(days=7)
"""Since the upload, and since the end of a deployment, which may be asked for again."""

Place = tuple[TenantId, EnvironmentId]
Owned = tuple[TenantId, str]
"""An artifact or a configuration, by its digest, of a tenant."""


@dataclass(frozen=True)
class ArtifactUse:
    """The part of a deployment that decides on what is stored for it.

    `digests` has all artifacts that it names, `contents` the hashes of all configurations.
    """

    deployment_id: DeploymentId
    place: Place
    modules: tuple[ModuleId, ...]
    is_release: bool
    """It is Completed, and no rollback: those bring back what another released."""
    created_at: datetime
    ended_at: datetime | None
    digests: frozenset[str]
    contents: frozenset[str] = frozenset()
    goes_back_to: frozenset[DeploymentId] = frozenset()
    """The deployments whose releases it brings back, or that an undo of it would."""

    @classmethod
    def of(cls, deployment: Deployment) -> "ArtifactUse":
        units = [unit for unit in (deployment.unit, deployment.restored) if unit is not None]
        components = [component for unit in units for component in unit.components]
        components += [*deployment.previous, *deployment.earlier]
        digests = {component.digest for component in components}
        pins = [*deployment.pins.values(), *(each.configuration for each in components)]
        is_rollback = deployment.kind is DeploymentKind.ROLLBACK
        return cls(
            deployment_id=deployment.deployment_id,
            place=(deployment.tenant_id, deployment.environment_id),
            modules=deployment.modules,
            is_release=deployment.status is DeploymentStatus.COMPLETED and not is_rollback,
            created_at=deployment.created_at,
            ended_at=deployment.ended_at,
            digests=frozenset(digests | {component.digest for component in deployment.components}),
            contents=frozenset(pin.hash for pin in pins if pin.hash),
            goes_back_to=frozenset(
                [
                    *(
                        [deployment.previous_deployment_id]
                        if deployment.previous_deployment_id
                        else ()
                    ),
                    *deployment.restores.values(),
                    *(each.deployment_id for each in deployment.earlier_releases.values()),
                ]
            ),
        )


def in_force(target: DeploymentTarget) -> frozenset[DeploymentId] | None:
    """Return what is in force in the environment of *target*; None where that is gone."""
    environment = target.environment
    if environment is None or environment.is_gone:
        return None
    return frozenset(state.by for state in target.modules.values() if state.by is not None)


def named(target: DeploymentTarget) -> frozenset[DeploymentId]:
    """Return the deployments that *target* names: in force, in its queue, or with a hold."""
    return frozenset(
        [
            *(each for state in target.modules.values() for each in state.released_in),
            *(entry.deployment for entry in target.queue),
            *(hold.by for holds in target.holds.values() for hold in holds),
        ]
    )


def kept_uses(
    uses: Collection[ArtifactUse], places: Mapping[Place, Collection[DeploymentId]], now: datetime
) -> Sequence[ArtifactUse]:
    """Return those of *uses* that may still need what is stored.

    *places* are the environments that exist, with the deployments in force there.
    """
    kept = {use.deployment_id for use in uses if _is_kept(use, places, now)}
    here = [use for use in uses if use.place in places]
    # The last one may be what serves, although it failed: where nothing could be gone back to.
    kept |= _newest(here, 1) | _newest([use for use in here if use.is_release], RELEASES_KEPT)
    return [use for use in uses if use.deployment_id in kept]


def past_uses(
    uses: Iterable[ArtifactUse],
    kept: Collection[ArtifactUse],
    named: Mapping[Place, Collection[DeploymentId]],
    before: datetime,
) -> Sequence[ArtifactUse]:
    """Return those of *uses* that ended *before* then, and that nobody can come back to.

    *kept* are those that may need what is stored; *named* are the deployments that each environment
    names.
    """
    stay = {use.deployment_id for use in kept}.union(*(use.goes_back_to for use in kept))
    return [
        use
        for use in uses
        if use.ended_at is not None
        and use.ended_at <= before
        and use.deployment_id not in stay
        and use.deployment_id not in named.get(use.place, ())
    ]


def needed(kept: Iterable[ArtifactUse]) -> frozenset[Owned]:
    """Return the artifacts that *kept* name."""
    return frozenset((use.place[0], digest) for use in kept for digest in use.digests)


def needed_contents(kept: Iterable[ArtifactUse]) -> frozenset[Owned]:
    """Return the configurations that *kept* name, by their hash."""
    return frozenset((use.place[0], content) for use in kept for content in use.contents)


def recorded_contents(tenant: TenantId, recorded: Iterable[Fact]) -> frozenset[Owned]:
    """Return the contents of the layers *recorded* for *tenant*, and their schemas."""
    return frozenset(
        (tenant, content)
        for fact in recorded
        if fact.kind == CONFIGURATION
        for content in (*fact.versions.values(), *fact.schemas.values())
    )


def unneeded_contents(
    stored: Mapping[Owned, datetime], needed_now: Collection[Owned], now: datetime
) -> frozenset[Owned]:
    """Return what of *stored*, by when it was stored, is kept no longer.

    What was put lately may be of a deployment that is just being asked for.
    """
    return frozenset(
        owned
        for owned, stored_at in stored.items()
        if owned not in needed_now and now - stored_at >= KEPT_FOR
    )


def _is_kept(
    use: ArtifactUse, places: Mapping[Place, Collection[DeploymentId]], now: datetime
) -> bool:
    is_new = use.ended_at is None or now - use.ended_at < KEPT_FOR
    return is_new or use.deployment_id in places.get(use.place, ())


def _newest(uses: Iterable[ArtifactUse], count: int) -> set[DeploymentId]:
    """Return the *count* newest of each module of each place."""
    by_module: dict[tuple[Place, ModuleId], list[tuple[datetime, DeploymentId]]] = defaultdict(list)
    for use in uses:
        for module in use.modules:
            by_module[use.place, module].append((use.created_at, use.deployment_id))
    return {newest for of_module in by_module.values() for _, newest in sorted(of_module)[-count:]}


@dataclass(frozen=True)
class Removal:
    """The changes of what is stored: `absent` are receipts of needed artifacts to put anew."""

    receipts: frozenset[Owned]
    archives: frozenset[str]
    absent: frozenset[Owned]


def removal(
    needed_now: Collection[Owned],
    receipts: Mapping[Owned, datetime],
    archives: Mapping[str, datetime],
    now: datetime,
) -> Removal:
    """Return what of *receipts* and *archives*, by when they were stored, is kept no longer.

    An archive goes at the earliest one run after its last receipt: since then no deployment of it
    was accepted, and one that was accepted just before is among the needed by now.
    """
    digests = {digest for _, digest in needed_now} | {digest for _, digest in receipts}
    return Removal(
        receipts=frozenset(
            owned
            for owned, stored_at in receipts.items()
            if owned not in needed_now and now - stored_at >= KEPT_FOR
        ),
        archives=frozenset(
            digest
            for digest, stored_at in archives.items()
            if digest not in digests and now - stored_at >= KEPT_FOR
        ),
        absent=frozenset(
            owned for owned in needed_now if owned not in receipts and owned[1] in archives
        ),
    )
