"""What a revision is to be and what it is, in the same words on every surface.

A surface reads its own objects into a spec and gives that to `revision_properties`, as its caller
does with what was applied; so drift compares texts and needs to know no surface.
"""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias

from shared.kernel.dataclass import dataclass
from shared.surfaces.scaling import ReplicasOwner, ScalingRules
from shared.surfaces.spec import (
    CONFIGURATION_HASH,
    SECRET_PREFIX,
    CommandProbe,
    HttpProbe,
    Probe,
    RevisionSpec,
)


class Plane(StrEnum):
    """A part of a release unit that one service owns."""

    WORKLOAD = "workload"
    REPLICAS = "replicas"
    ROUTING = "routing"
    CONFIGURATION = "configuration"
    SECRETS = "secrets"


Properties: TypeAlias = Mapping[Plane, Mapping[str, str]]
"""By plane, path → value. A path that is not there has no value."""


@dataclass(frozen=True)
class Difference:
    """A property that is not as it is to be; None where there is no value."""

    plane: Plane
    path: str
    desired: str | None
    actual: str | None


def revision_properties(
    spec: RevisionSpec,
    *,
    weight: int,
    scaling: ScalingRules | None = None,
    is_active: bool = True,
) -> Properties:
    """Return the properties of a revision that is as *spec* says and gets *weight* percent.

    With *scaling* the surface owns the number of instances, which then is no property. What runs to
    its end has neither number nor weight, and a schedule *is_active* or suspended.
    """
    secrets = {
        name.removeprefix(SECRET_PREFIX): version
        for name, version in spec.unit.items()
        if name.startswith(SECRET_PREFIX)
    }
    secrets |= {each.target: each.source for each in spec.secrets}
    digests = spec.configuration.digests if spec.configuration else {}
    told = spec.unit.get(CONFIGURATION_HASH)
    planes = {
        Plane.WORKLOAD: dict(_workload(spec)),
        Plane.REPLICAS: {} if spec.ends else _replicas(spec, scaling),
        Plane.ROUTING: _routing(spec, weight, is_active=is_active),
        Plane.CONFIGURATION: {**_given(hash=told or None), **digests},
        Plane.SECRETS: secrets,
    }
    return {plane: values for plane, values in planes.items() if values}


def differences(desired: Properties, actual: Properties) -> tuple[Difference, ...]:
    """Return what is not as desired, in the order of planes and paths."""
    found = []
    for plane in Plane:
        wanted, live = desired.get(plane, {}), actual.get(plane, {})
        found += [
            Difference(plane, path, wanted.get(path), live.get(path))
            for path in sorted({*wanted, *live})
            if wanted.get(path) != live.get(path)
        ]
    return tuple(found)


def _workload(spec: RevisionSpec) -> Iterator[tuple[str, str]]:
    yield "version", spec.version
    if spec.image is None:
        yield "artifact", spec.artifact
    else:
        yield "image", f"{spec.image}@{spec.artifact}"
    if spec.port is not None:
        yield "port", str(spec.port)
    for name, value in spec.environ.items():
        yield f"environ/{name}", value
    for name, probe in spec.probes.items():
        yield f"probes/{name}", probe_in_words(probe)
    limits = {
        "cpu": spec.resources.cpu,
        "memoryMib": spec.resources.memory_mb,
        "openFiles": spec.resources.open_files,
        "processes": spec.resources.processes,
    }
    for name, limit in limits.items():
        if limit is not None:
            yield f"resources/{name}", f"{limit:g}"
    for name, words in {
        "command": spec.command,
        "data": spec.data,
        "requires": spec.requires,
    }.items():
        if words:
            yield name, json.dumps(words)
    if spec.release is not None:
        yield "release", f"{spec.release.field} of GET {spec.release.path}"
    yield from _end(spec)
    yield "drainS", f"{spec.drain_s:g}"
    yield "graceS", f"{spec.grace_s:g}"


def _end(spec: RevisionSpec) -> Iterator[tuple[str, str]]:
    if spec.runs_once is not None:
        yield "runsOnce/timeLimitS", f"{spec.runs_once.time_limit_s:g}"
        yield "runsOnce/retries", str(spec.runs_once.retries)
    if spec.schedule is not None:
        yield "schedule/cron", spec.schedule.cron
        yield "schedule/timeLimitS", f"{spec.schedule.time_limit_s:g}"


def _routing(spec: RevisionSpec, weight: int, *, is_active: bool) -> Mapping[str, str]:
    if spec.schedule is not None:
        return {"schedule": "active" if is_active else "suspended"}
    if spec.runs_once is not None:
        return {}
    return {"weight": str(weight), **_given(pathPrefix=spec.path_prefix)}


def _replicas(spec: RevisionSpec, scaling: ScalingRules | None) -> Mapping[str, str]:
    if scaling is None:
        return {"owner": ReplicasOwner.PLATFORM, "replicas": str(spec.replicas)}
    return {
        "owner": ReplicasOwner.SURFACE,
        "minimum": str(scaling.minimum),
        "maximum": str(scaling.maximum),
        "rules": scaling.words,
    }


def probe_in_words(probe: Probe) -> str:
    match probe:
        case HttpProbe(path=path):
            asks = f"GET {path}"
        case CommandProbe(command=command):
            asks = json.dumps(command)
        case _:
            asks = "a connection"
    return (
        f"{asks} every {probe.period_s:g} s after {probe.initial_delay_s:g} s, within"
        f" {probe.timeout_s:g} s; {probe.failure_threshold} failures, {probe.success_threshold} ok"
    )


def _given(**values: str | None) -> Mapping[str, str]:
    return {name: value for name, value in values.items() if value is not None}
