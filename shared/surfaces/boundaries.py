"""What separates the workloads of one tenant in one environment from all others."""

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from typing import Final

from shared.contracts import isolation
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import EnvironmentId, TenantId
from shared.surfaces.capabilities import Feature
from shared.surfaces.spec import Resources, RevisionSpec


@dataclass(frozen=True)
class Quota:
    """What all instances of the tenant in the environment take together; None for no limit."""

    cpu: float | None = None
    memory_mb: int | None = None
    instances: int | None = None


def bound_quota(quota: isolation.Quota) -> Quota:
    """Return the quota of a tenant's binding, as far as a surface counts it."""
    return Quota(quota.cpu, quota.memory_mib, quota.instances)


def has_boundaries(features: Collection[str]) -> bool:
    """Return whether a surface with *features* keeps a boundary of each tenant."""
    return Feature.NAMESPACES in features or Feature.QUOTAS in features


_NO_LIMITS: Final = Resources()
_MAY_REACH: Final = "mayReach/"
WAY_TO_PLATFORM: Final = "wayToPlatform"
"""Of a live boundary that pods cannot leave to the platform, though the settings say where it is:
it is closed all the same."""
GATEWAYS: Final = "gatewayNetworks"
"""Of a live boundary that requests enter from other networks of gateways than the settings name:
the platform wrote them earlier, and it is closed to everybody else."""
_MEASURES: Final = (("cpu", "cpu"), ("memory_mb", "memoryMib"), ("instances", "instances"))
"""Of a quota: its attribute, and its name in a binding."""


@dataclass(frozen=True)
class BoundarySpec:
    """A tenant's part of an environment.

    Its instances are reached from each other and from the environment's public port only, and reach
    each other, names, and `may_reach`.
    """

    environment: EnvironmentId
    tenant: TenantId
    quota: Quota = Quota()
    limits: Resources = _NO_LIMITS
    """Of an instance whose component names none."""
    identity: str | None = None
    """The client id of the managed identity that its instances act as; None: they have none."""
    may_reach: tuple[str, ...] = ()
    """Networks outside, as `10.1.0.0/16`."""


@dataclass(frozen=True)
class CountedCapacity:
    """What the owner of an environment is held to besides its boundary, and what it takes of it."""

    quota: Quota
    used: Quota
    limits: Resources
    """Of an instance that has none by its component nor its boundary."""


@dataclass(frozen=True)
class Boundary:
    """A boundary as it is. `properties` are its live values, by the paths of its spec."""

    environment: EnvironmentId
    tenant: TenantId
    name: str
    """What the surface calls it, for example its namespace."""
    is_ready: bool
    used: Quota = Quota()
    properties: Mapping[str, str] = field(default_factory=dict)
    fence: int = 0
    capacity: CountedCapacity | None = None


def limited(spec: RevisionSpec, limits: Resources) -> RevisionSpec:
    """Return *spec* with the *limits* of its tenant's boundary, where it names none itself."""
    given = completed(spec.resources, limits)
    return spec if given == spec.resources else replace(spec, resources=given)


def completed(own: Resources, limits: Resources) -> Resources:
    """Return *own* with the *limits* of a boundary where it has none."""
    return replace(
        own,
        cpu=limits.cpu if own.cpu is None else own.cpu,
        memory_mb=limits.memory_mb if own.memory_mb is None else own.memory_mb,
    )


def taken(specs: Collection[RevisionSpec]) -> Quota:
    """Return what one instance of each of *specs* takes together; without a limit nothing."""
    cores = [each.resources.cpu for each in specs]
    return Quota(
        round(sum(counted_cores(cpu) for cpu in cores if cpu is not None), 3),
        sum(each.resources.memory_mb or 0 for each in specs),
        len(specs),
    )


def counted_cores(cpu: float) -> float:
    """Return *cpu* in thousandths, at least one: a cluster counts no smaller part."""
    return max(1, round(cpu * 1000)) / 1000


def refusal(quota: Quota, used: Quota, *specs: RevisionSpec, named: str = "tenant") -> str:
    """Return why *quota*, of which is *used*, takes no instance of *specs*; empty where it does.

    In the words of a cluster: who reads it there reads it here.
    """
    asked, over = taken(specs), []
    for name, shown in _MEASURES:
        limit, wanted = getattr(quota, name), getattr(asked, name)
        has = getattr(used, name) or 0  # a cluster that has not counted yet
        if limit is None:
            continue
        if not all(getattr(taken([each]), name) for each in specs):
            return f"failed quota: {named}: must specify {shown}"
        if round(has + wanted, 3) > limit:
            over.append((f"{shown}={wanted:g}", f"{shown}={has:g}", f"{shown}={limit:g}"))
    if not over:
        return ""
    requested, holds, limits = (",".join(each) for each in zip(*over, strict=True))
    return f"exceeded quota: {named}, requested: {requested}, used: {holds}, limited: {limits}"


def quota_of(boundary: Boundary) -> Quota:
    """Return the quota of *boundary*, of its live properties."""
    cpu, memory, instances = (boundary.properties.get(f"quota/{shown}") for _, shown in _MEASURES)
    return Quota(
        None if cpu is None else float(cpu),
        None if memory is None else int(memory),
        None if instances is None else int(instances),
    )


def limits_of(boundary: Boundary) -> Resources:
    """Return the limits of an instance that names none, of the live properties of *boundary*."""
    cpu, memory = (boundary.properties.get(f"limits/{shown}") for _, shown in _MEASURES[:2])
    return Resources(
        memory_mb=None if memory is None else int(memory),
        cpu=None if cpu is None else float(cpu),
    )


def networks_of(boundary: Boundary) -> tuple[str, ...]:
    """Return the networks outside that it may reach, of the live properties of *boundary*."""
    paths = filter(lambda path: path.startswith(_MAY_REACH), boundary.properties)
    return tuple(path.removeprefix(_MAY_REACH) for path in paths)


def full_measures(quota: Quota, used: Quota) -> tuple[str, ...]:
    """Return the measures of *quota*, as a binding names them, of which *used* leaves nothing."""
    pairs = [(shown, getattr(quota, name), getattr(used, name)) for name, shown in _MEASURES]
    return tuple(shown for shown, limit, has in pairs if limit is not None and (has or 0) >= limit)


def boundary_properties(spec: BoundarySpec) -> Mapping[str, str]:
    """Return what *spec* asks for, as `Boundary.properties` shows it."""
    limits = {
        "limits/cpu": spec.limits.cpu,
        "limits/memoryMib": spec.limits.memory_mb,
        "identity": spec.identity,
    }
    networks = {f"{_MAY_REACH}{network}": "allowed" for network in spec.may_reach}
    return {**quota_properties(spec.quota), **_given(limits), **networks}


def quota_properties(quota: Quota) -> Mapping[str, str]:
    """Return what *quota* asks for, as `Boundary.properties` shows it."""
    return _given(
        {
            "quota/cpu": quota.cpu,
            "quota/memoryMib": quota.memory_mb,
            "quota/instances": quota.instances,
        }
    )


def _given(values: Mapping[str, float | str | None]) -> Mapping[str, str]:
    return {path: _text(value) for path, value in values.items() if value is not None}


def _text(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
