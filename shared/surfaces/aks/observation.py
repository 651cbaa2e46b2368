"""The live state of a component, from the objects of its namespace as they were read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from shared.kernel.clock import parse_instant
from shared.kernel.dataclass import dataclass
from shared.surfaces.aks import revisions, routes
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.ending_revisions import job_revision, schedule_revision
from shared.surfaces.aks.instances import (
    condition,
    has_ended,
    instance,
    is_stopping,
    oldest_first,
)
from shared.surfaces.aks.names import REVISION, SPEC, component_name, revision_name
from shared.surfaces.aks.records import ComponentRecord, Unreadable
from shared.surfaces.aks.scalers import minimum_of, owner_of
from shared.surfaces.observed_state import (
    Instance,
    LiveComponent,
    LiveRevision,
    Phase,
    live_revision,
)
from shared.surfaces.spec import RevisionSpec, SurfaceComponent

_REFUSED: Final = "ReplicaFailure"


@dataclass(frozen=True)
class ComponentObjects:
    """What the cluster has of one component, and what the platform remembers of it."""

    component: SurfaceComponent
    workloads: tuple[Object, ...]
    """The Deployment, Job or CronJob of each revision."""
    pods: tuple[Object, ...]
    record: ComponentRecord | None
    route: Object | None
    is_routed: bool
    """The cluster has a traffic layer: weights are the route's; without they are the record's."""
    damage: str = ""
    """Why the record cannot be read, if there is one that cannot."""
    strays: tuple[str, ...] = ()
    """What has lost labels by which it would be of a revision: no instance, and not gone either."""
    runs: tuple[Object, ...] = ()
    """The Jobs that its CronJobs made."""


def live_component(objects: ComponentObjects, site_url: str, now: datetime) -> LiveComponent | None:
    """Return the component as it is; None when nothing of it is here.

    Raises:
        Unreadable: an object is not what the platform wrote.
    """
    if objects.damage:
        raise Unreadable(objects.damage)
    found = live_revisions(objects, now)
    if not found:
        return None
    specs = [spec for spec, _ in found]
    has_port = any(spec.port is not None for spec in specs)
    return LiveComponent(
        objects.component,
        tuple(revision for _, revision in found),
        weights_in_force(objects, has_port=has_port),
        endpoint(objects.component, specs, site_url) if has_port else None,
        objects.record.token if objects.record else 0,
    )


def pods_of_instance(objects: ComponentObjects, name: str) -> list[Object]:
    """Return the pod *name*, or those of the Job or CronJob *name*, oldest first.

    Raises:
        Unreadable.
    """
    pods = [pod for pod in objects.pods if pod["metadata"]["name"] == name]
    if not pods:
        named = [each for each in objects.workloads if each["metadata"]["name"] == name]
        of = {applied_spec(each).revision for each in named}
        pods = [pod for pod in objects.pods if _revision_of(pod) in of]
    return oldest_first(pods)


def weights_in_force(objects: ComponentObjects, *, has_port: bool) -> dict[int, int]:
    """Return the percents by revision: where there is no route, those that were set.

    A worker has none, nor what was set before the cluster had a traffic layer. A route that is
    missing has none in force.
    """
    record = objects.record
    if has_port and objects.is_routed:
        if objects.route is not None:
            return routes.weights_of(objects.route, objects.component)
        if record is not None and record.is_routed:
            return {}
    return dict(record.weights) if record else {}


def endpoint(component: SurfaceComponent, specs: Iterable[RevisionSpec], site_url: str) -> str:
    """Return the URL of *component*: its prefix of the site, else its own host there.

    Where the site has no URL, that of its Service, for callers inside the cluster.
    """
    if not site_url:
        return f"http://{component_name(component.module)}/"
    prefixes = sorted({str(spec.path_prefix) for spec in specs if spec.path_prefix is not None})
    if prefixes:
        return site_url.removesuffix("/") + prefixes[0]
    port = site_url.removesuffix("/").rpartition(":")[2]
    return f"http://{routes.host_name(component)}{f':{port}' if port.isdigit() else ''}/"


def live_revisions(
    objects: ComponentObjects, now: datetime
) -> list[tuple[RevisionSpec, LiveRevision]]:
    """Return each revision with its spec, oldest first; those without a workload drain.

    Raises:
        Unreadable.
    """
    pods: Mapping[int, list[Object]] = defaultdict(list)
    for pod in objects.pods:
        pods[int(pod["metadata"]["labels"][REVISION])].append(pod)
    specs = [(applied_spec(each), each) for each in objects.workloads]
    wanted = {spec.revision: (spec, each) for spec, each in specs}
    live = []
    for number in sorted(wanted.keys() | pods.keys()):
        if number in wanted:
            runs = [run for run in objects.runs if _revision_of(run) == number]
            live.append(_wanted_revision(*wanted[number], pods[number], runs, now))
        elif draining := [pod for pod in pods[number] if not has_ended(pod)]:
            live.append(_draining_revision(number, draining, now))
    return live


def applied_spec(workload: Object) -> RevisionSpec:
    """Return the spec that *workload* was applied with, and the replicas it has now.

    Raises:
        Unreadable.
    """
    annotations = revisions.template_of(workload)["metadata"].get("annotations") or {}
    name, replicas = workload["metadata"]["name"], int(workload["spec"].get("replicas", 1))
    spec = revisions.read(annotations.get(SPEC), replicas, f"The workload {name}")
    if revision_name(spec.component, spec.revision) != name:
        raise Unreadable(f"The workload {name} has the spec of another revision in {SPEC}")
    return spec


def _revision_of(found: Object) -> int:
    number = str((found["metadata"].get("labels") or {}).get(REVISION, ""))
    return int(number) if number.isdecimal() else 0


def _wanted_revision(
    spec: RevisionSpec, workload: Object, pods: list[Object], runs: list[Object], now: datetime
) -> tuple[RevisionSpec, LiveRevision]:
    if spec.runs_once is not None:
        return spec, job_revision(workload, spec, pods, now)
    if spec.schedule is not None:
        return spec, schedule_revision(workload, spec, runs, pods)
    return _serving_revision(spec, workload, pods, now)


def _serving_revision(
    spec: RevisionSpec, deployment: Object, pods: list[Object], now: datetime
) -> tuple[RevisionSpec, LiveRevision]:
    going_on = [pod for pod in pods if not has_ended(pod)]
    # What has ended is left for a while. It says something only where nothing took its place.
    shown = going_on if len(going_on) >= spec.replicas else pods
    instances = [instance(pod, spec, now) for pod in oldest_first(shown)]
    refusal = condition(deployment, _REFUSED)
    if refusal.get("status") == "True" and len(going_on) < spec.replicas:
        instances.append(_not_made(deployment, spec, refusal))
    revision = replace(
        live_revision(spec, Phase.STARTING, instances, ""),
        replicas_owner=owner_of(deployment),
        minimum=minimum_of(deployment),
    )
    if is_stopping(deployment):
        return spec, replace(revision, phase=Phase.DRAINING)
    if revision.ready >= revision.needed:
        return spec, replace(revision, phase=Phase.READY)
    reasons = [each.reason for each in instances if each.reason not in {"", "Stopping"}]
    return spec, replace(revision, reason=min(reasons, default=""))


def _draining_revision(
    number: int, pods: list[Object], now: datetime
) -> tuple[RevisionSpec, LiveRevision]:
    pods = oldest_first(pods)
    name, annotations = pods[0]["metadata"]["name"], pods[0]["metadata"].get("annotations") or {}
    spec = revisions.read(annotations.get(SPEC), len(pods), f"Pod {name} of revision {number}")
    if spec.revision != number:
        raise Unreadable(f"Pod {name} has the label of revision {number}, and another's spec")
    return spec, live_revision(spec, Phase.DRAINING, [instance(pod, spec, now) for pod in pods], "")


def _not_made(deployment: Object, spec: RevisionSpec, refusal: Object) -> Instance:
    """Return an instance for the pods that the cluster does not let be: it says why."""
    since = refusal.get("lastTransitionTime") or deployment["metadata"]["creationTimestamp"]
    return Instance(
        id=deployment["metadata"]["name"],
        revision=spec.revision,
        is_ready=False,
        is_live=False,
        started_at=parse_instant(since),
        reason="CannotStart",
        message=str(refusal.get("message", ""))[:500],
        failed_starts=1,
    )
