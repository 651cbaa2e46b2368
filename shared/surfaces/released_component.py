"""What a surface is asked for of a component that a release unit records.

Deployments applies it, drift compares it with what is live: the same unit always gives the same
workload.
"""

from datetime import timedelta
from typing import Any, Final

from shared.contracts.releases import ReleasedComponent, ReleasedSecret, RunOnce, Schedule
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import (
    ConfigurationMode,
    EnvironmentId,
    Probe,
    ProbeKind,
    SecretDelivery,
    TenantId,
)
from shared.images.reference import parse_reference
from shared.surfaces.configuration import Configuration
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import (
    CONFIGURATION_HASH,
    SECRET_PREFIX,
    CommandProbe,
    HttpProbe,
    ReleaseQuestion,
    Resources,
    RevisionSpec,
    SurfaceComponent,
    TcpProbe,
)
from shared.surfaces.spec import Probe as SurfaceProbe
from shared.surfaces.spec import RunOnce as SurfaceRunOnce
from shared.surfaces.spec import Schedule as SurfaceSchedule

PROBE_PERIOD: Final = timedelta(seconds=1)
"""Of the surface's own probes, which decide on traffic, where the component does not say."""


def revision_spec(
    component: ReleasedComponent,
    environment_id: EnvironmentId,
    tenant: TenantId,
    rollout: RolloutDefaults,
    configuration: Configuration | None = None,
) -> RevisionSpec:
    """Return what a surface is asked for.

    Without *configuration*, what its hash stands for, it is given none.
    """
    facts = {
        "releaseRevision": str(component.release_revision),
        CONFIGURATION_HASH: component.configuration.hash or "",
        **{
            f"{SECRET_PREFIX}{name}": version
            for name, version in sorted(component.secret_versions.items())
        },
    }
    return RevisionSpec(
        component=SurfaceComponent(environment_id, tenant, component.module_id),
        revision=component.release_revision,
        version=component.version,
        artifact=component.digest,
        command=component.command,
        image=parse_reference(component.image).name if component.image else None,
        environ=component.environ,
        port=component.port,
        path_prefix=component.path_prefix,
        replicas=component.replicas,
        readiness=_probe(component.probes.readiness),
        liveness=_probe(component.probes.liveness),
        startup=_probe(component.probes.startup),
        resources=Resources(
            memory_mb=component.resources.memory_mib,
            cpu=component.resources.cpu,
            open_files=component.resources.open_files,
            processes=component.resources.processes,
        ),
        requires=component.requires,
        release=ReleaseQuestion(component.release.path, component.release.field)
        if component.release
        else None,
        unit=facts,
        data=component.data,
        configuration=configuration,
        secrets=tuple(
            _reference(secret)
            for secret in component.secrets
            if secret.delivery is not SecretDelivery.REFERENCE
        ),
        # It has no requests that could finish.
        drain_s=0.0 if component.ends else rollout.drain.total_seconds(),
        follows_configuration=component.configuration_mode is ConfigurationMode.LIVE,
        runs_once=_once(component.runs_once),
        schedule=_schedule(component.schedule),
    )


def _reference(secret: ReleasedSecret) -> SecretReference:
    """Return what a surface is asked to give of *secret*.

    Raises:
        Invalid: its place is none where a workload could find it.
    """
    is_file = secret.delivery is SecretDelivery.FILE
    return SecretReference(
        secret.name,
        secret.version,
        secret.vault_uri,
        variable=None if is_file else secret.target,
        file=secret.target if is_file else None,
    )


def _once(asked: RunOnce | None) -> SurfaceRunOnce | None:
    if asked is None:
        return None
    return SurfaceRunOnce(asked.time_limit.total_seconds(), asked.retries)


def _schedule(asked: Schedule | None) -> SurfaceSchedule | None:
    if asked is None:
        return None
    return SurfaceSchedule(asked.cron, asked.time_limit.total_seconds())


def _probe(probe: Probe | None) -> SurfaceProbe | None:
    if probe is None:
        return None
    how: dict[str, Any] = {
        "period_s": (probe.period or PROBE_PERIOD).total_seconds(),
        "timeout_s": probe.timeout.total_seconds(),
        "initial_delay_s": probe.initial_delay.total_seconds(),
        "failure_threshold": probe.failure_threshold,
        "success_threshold": probe.success_threshold,
    }
    match probe.kind:
        case ProbeKind.HTTP:
            return HttpProbe(probe.path, **how)
        case ProbeKind.TCP:
            return TcpProbe(**how)
        case ProbeKind.COMMAND:
            return CommandProbe(probe.command, **how)
