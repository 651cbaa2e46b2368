"""What a revision is on the cluster, read from its live objects into the words of its spec.

Each word of the applied spec stays only where the objects are as the spec makes them; elsewhere the
property is what they have. So nothing that the API server fills in or admission adds is a
difference, and no word rests on an annotation of ours alone. Whether they are as the spec makes
them is decided in `pod_differences`, as for proofs.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from shared.surfaces.aks.boundary_objects import NAME as ACCOUNT
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.config_maps import digests_in
from shared.surfaces.aks.field_managers import set_by_others
from shared.surfaces.aks.jobs import words_of
from shared.surfaces.aks.live_routes import route_words, service_words
from shared.surfaces.aks.names import USES_IDENTITY, Installation
from shared.surfaces.aks.observation import ComponentObjects, applied_spec, weights_in_force
from shared.surfaces.aks.platform_access import PlatformAccess
from shared.surfaces.aks.pod_differences import differences, without_admission
from shared.surfaces.aks.pods import CONTAINER, pod_spec
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.revisions import template_of
from shared.surfaces.aks.revisions import workload as workload_of
from shared.surfaces.aks.routes import host_name
from shared.surfaces.aks.scalers import Bounds
from shared.surfaces.properties import Plane, Properties, revision_properties
from shared.surfaces.scaling import ReplicasOwner
from shared.surfaces.spec import RevisionSpec

_UNIT: Final = "RUNTIME_UNIT"
Corrections = Iterator[tuple[str, str | None]]
"""Paths of the workload with what the cluster has, None for nothing."""


def live_properties(
    objects: ComponentObjects,
    bounds: Mapping[str, Bounds],
    config_maps: Mapping[int, Object] = MappingProxyType({}),
    secrets: Mapping[int, Mapping[str, str]] = MappingProxyType({}),
    services: Collection[Object] | None = None,
    parent: Object | None = None,
    given: Mapping[int, PlatformAccess] = MappingProxyType({}),
) -> dict[int, Properties]:
    """Return the properties of each revision that is wanted; *bounds* are by Deployment.

    *config_maps*, the words about *secrets*, and what pods were *given* are by revision. Of a
    configuration digests are shown, and no value. Of *services*, all of the component, nothing is
    said where they are None, nor of the route where its *parent* is: the site's Gateway.

    Raises:
        Unreadable: an object is not what the platform wrote.
    """
    specs = [(workload, applied_spec(workload)) for workload in objects.workloads]
    has_port = any(spec.port is not None for _, spec in specs)
    weights = weights_in_force(objects, has_port=has_port)
    found: dict[int, Properties] = {}
    for workload, spec in specs:
        weight = weights.get(spec.revision, 0)
        live = replace(spec, unit=_unit(workload), configuration=None, secrets=())
        planes = {
            plane: dict(words)
            for plane, words in revision_properties(
                live, weight=weight, is_active=not workload["spec"].get("suspend", False)
            ).items()
        }
        if spec.configuration is not None:
            digests = digests_in(config_maps.get(spec.revision), spec)
            planes[Plane.CONFIGURATION] = {**planes.get(Plane.CONFIGURATION, {}), **digests}
        if spec.secrets:
            planes[Plane.SECRETS] = {
                **planes.get(Plane.SECRETS, {}), **secrets.get(spec.revision, {}),
            }  # fmt: skip
        for path, word in _corrections(workload, spec, given.get(spec.revision)):
            _correct(planes[Plane.WORKLOAD], path, word)
        if weight and objects.route is not None:
            prefixes = _prefixes(objects.route, host_name(spec.component))
            if (spec.path_prefix is not None or prefixes) and spec.path_prefix not in prefixes:
                _correct(planes[Plane.ROUTING], "pathPrefix", ", ".join(prefixes) or None)
            if parent is not None:
                planes[Plane.ROUTING].update(route_words(objects.route, spec, parent))
        if weight and services is not None and spec.port is not None:
            # As `routes.service` does.
            is_first = spec.revision == max(sorted(weights), key=lambda each: weights[each])
            planes[Plane.ROUTING] |= service_words(services, workload, spec, is_first=is_first)
        scaled = bounds.get(workload["metadata"]["name"])
        if scaled is not None:
            planes[Plane.REPLICAS] = {
                "owner": ReplicasOwner.SURFACE,
                "minimum": str(scaled.minimum),
                "maximum": str(scaled.maximum),
                **({"rules": scaled.rules} if scaled.rules else {}),
            }
        found[spec.revision] = planes
    return found


def _correct(words: dict[str, str], path: str, word: str | None) -> None:
    if word is not None:
        words[path] = word
    elif path in words:
        del words[path]
    else:
        words[path] = ""  # it has no word where it is as it should be


def _corrections(
    workload: Object, spec: RevisionSpec, access: PlatformAccess | None
) -> Corrections:
    """Yield each part of the pods that is not as *spec* makes it, as proofs find it.

    And of what runs to its end, how it does.
    """
    template = template_of(workload)
    expected = pod_spec(spec, {}, access)
    labels = template["metadata"].get("labels") or {}
    if access is None and labels.get(USES_IDENTITY) == "true":  # else it acts as its revision
        expected["serviceAccountName"] = ACCOUNT
    try:
        found = differences(template["spec"], expected)
    except ValueError as strange:
        name = workload["metadata"]["name"]
        raise Unreadable(f"The workload {name} cannot be compared: {strange}") from strange
    for path, live, _ in without_admission(found, set_by_others(workload)):
        if path != f"environ/{_UNIT}":
            yield path, None if live is None else _text(live)
    if spec.ends:
        is_now, should_be = (
            dict(words_of(workload)),
            dict(words_of(workload_of(spec, Installation()))),
        )
        for path in sorted({*is_now, *should_be}):
            if is_now.get(path) != should_be.get(path):
                yield path, is_now.get(path)


def _container(pod: Object) -> Object:
    containers: list[Object] = pod["containers"]
    return next((each for each in containers if each["name"] == CONTAINER), {})


def _environ(container: Object) -> dict[str, str]:
    environ = {}
    for each in container.get("env") or ():
        source = each.get("valueFrom")
        value = _text(each.get("value", ""))
        environ[each["name"]] = json.dumps(source, sort_keys=True) if source else value
    return environ


def _text(literal: str) -> str:
    """Undo what keeps Kubernetes from filling in `$(NAME)`."""
    return literal.replace("$$", "$")


def _unit(workload: Object) -> Mapping[str, str]:
    """Return what the pods are told of their release unit; what is no JSON stands for its hash."""
    text = _environ(_container(template_of(workload)["spec"])).get(_UNIT, "{}")
    try:
        unit = json.loads(text)
    except (ValueError, RecursionError):
        return {"configurationHash": text}
    is_plain = isinstance(unit, dict) and all(isinstance(each, str) for each in unit.values())
    return unit if is_plain else {"configurationHash": text}


def _prefixes(route: Object, own_host: str) -> list[str]:
    """Return the paths that lead to a component; none where *own_host* does."""
    rules: list[Object] = route["spec"].get("rules") or []
    matches: list[Object] = [match for rule in rules for match in rule.get("matches") or [{}]]
    prefixes = sorted(str((match.get("path") or {}).get("value", "/")) for match in matches)
    return [] if route["spec"].get("hostnames") == [own_host] and prefixes == ["/"] else prefixes
