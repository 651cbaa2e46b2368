"""Proves what a pod runs: by its image as it was pulled, its own spec, and its own answer."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, quote

from shared.surfaces.aks import revisions
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.boundary_objects import NAME as ACCOUNT
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.config_maps import digests_in, is_older
from shared.surfaces.aks.field_managers import set_by_others
from shared.surfaces.aks.instances import began_at, has_succeeded, is_stopping, main_status
from shared.surfaces.aks.jobs import is_true
from shared.surfaces.aks.kinds import NODES, PODS
from shared.surfaces.aks.names import REVISION, SPEC, USES_IDENTITY
from shared.surfaces.aks.platform_access import PlatformAccess
from shared.surfaces.aks.pod_differences import Difference, differences, without_admission
from shared.surfaces.aks.pods import CONTAINER, image_of, pod_spec
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.revisions import template_of
from shared.surfaces.aks.secret_classes import mounted_versions
from shared.surfaces.configuration import in_force
from shared.surfaces.observed_state import LiveProof
from shared.surfaces.release_answer import ReleaseUnknown, release_in
from shared.surfaces.rules import departures
from shared.surfaces.spec import CONFIGURATION_HASH, SECRET_PREFIX, ReleaseQuestion, RevisionSpec

ANSWER_BYTES_MAX: Final = 256 * 1024
ANSWER_WITHIN_S: Final = 5.0
_REPORTED_WITHIN: Final = timedelta(seconds=60)
"""A kubelet lists its images each 30 s, and tells of them within 10 s more."""
_REFERENCES_MAX: Final = 5
"""Of one image in a node's status; there may be more, of which it says nothing."""
_IN_PATHS: Final = "/%:@!$&'()*+,;=~"
"""What stands in a path as it was written; everything else is quoted."""


def is_running(pod: Object) -> bool:
    return "running" in (main_status(pod).get("state") or {})


async def prove_pod(
    api: ClusterApi,
    pod: Object,
    spec: RevisionSpec,
    config_map: Object | None,
    checked_at: datetime,
    others: frozenset[str] | None = None,
    access: PlatformAccess | None = None,
) -> LiveProof:
    """Return the release that *pod* runs, and its differences from *spec*.

    *config_map* is that of its revision, as it is now; *others* is what others set in its
    workload, see `field_managers`; with *access* pods of its revision follow their configuration.

    Raises:
        Unreadable: it has no image yet, or does not answer.
    """
    name = pod["metadata"]["name"]
    told = revisions.read(
        (pod["metadata"].get("annotations") or {}).get(SPEC), spec.replicas, f"Pod {name}"
    )
    content = await _content_of(api, pod, spec, checked_at)
    release, source = told.version, "start"
    if spec.release is not None:
        release, source = await _release_of(api, pod, spec, spec.release), "answer"
    # What a pod had mounted is not recorded after its end; without it, it had not begun.
    versions: Mapping[str, str] = {each.name: each.version for each in spec.secrets}
    if is_running(pod):
        versions = await mounted_versions(api, pod, spec)
    asked = "" if spec.configuration is None else spec.configuration.hash
    configured = _configuration(pod, spec, config_map)
    return LiveProof(
        instance=name,
        revision=told.revision,
        artifact=told.artifact,
        content_digest=content,
        expected_digest=spec.artifact,
        release=release,
        release_source=source,
        unit={
            **told.unit,
            **({CONFIGURATION_HASH: ""} if configured != asked else {}),
            **{f"{SECRET_PREFIX}{each.name}": versions.get(each.name, "") for each in spec.secrets},
        },
        checked_at=checked_at,
        departs=departures(
            ("artifact", told.artifact, spec.artifact),
            ("content", content, spec.artifact),
            ("release", release, spec.version),
            ("release revision", str(told.revision), str(spec.revision)),
            ("unit", dict(told.unit), dict(spec.unit)),
            ("configuration", configured, asked),
            *(
                (f"secret {each.name}", versions.get(each.name, "not mounted"), each.version)
                for each in spec.secrets
            ),
            *_differences(pod, spec, others, access),
        ),
    )


def _configuration(pod: Object, spec: RevisionSpec, config_map: Object | None) -> str:
    """Return the hash of the configuration that *pod* was started with, or what speaks against it.

    That it takes no other is compared with the rest of the pod.
    """
    if spec.configuration is None:
        return ""
    if not is_older(config_map, pod):
        return "absent" if config_map is None else "made anew after it started"
    return in_force(spec.configuration, digests_in(config_map, spec))


def pods_to_prove(workload: Object, spec: RevisionSpec, pods: Iterable[Object]) -> Sequence[Object]:
    """Return which of *pods* say what the revision runs: those that run, or ran a job well."""
    if spec.schedule is not None or (spec.ends and not is_true(workload, "Complete")):
        return ()
    says = is_running if spec.runs_once is None else has_succeeded
    number = str(spec.revision)
    of_revision = [pod for pod in pods if pod["metadata"]["labels"][REVISION] == number]
    return [pod for pod in of_revision if says(pod) and not is_stopping(pod)]


def prove_template(
    workload: Object,
    spec: RevisionSpec,
    config_map: Object | None,
    checked_at: datetime,
    access: PlatformAccess | None = None,
) -> LiveProof:
    """Return the release that the pods of a Job or CronJob are made of.

    It is what proves a schedule, and a job of which no pod is left: nobody can change a Job's.

    Raises:
        Unreadable: it is not what the platform wrote.
    """
    template, name = template_of(workload), workload["metadata"]["name"]
    told = revisions.read(
        (template["metadata"].get("annotations") or {}).get(SPEC), spec.replicas, name
    )
    content = _digest(_container_image(template))
    asked = "" if spec.configuration is None else spec.configuration.hash
    configured = "absent" if spec.configuration and config_map is None else asked
    if spec.configuration is not None and config_map is not None:
        configured = in_force(spec.configuration, digests_in(config_map, spec))
    return LiveProof(
        instance=name,
        revision=told.revision,
        artifact=told.artifact,
        content_digest=content,
        expected_digest=spec.artifact,
        release=told.version,
        release_source="start",
        unit=told.unit,
        checked_at=checked_at,
        departs=departures(
            ("content", content, spec.artifact),
            ("configuration", configured, asked),
            *_differences(template, spec, set_by_others(workload), access),
        ),
    )


async def _content_of(
    api: ClusterApi, pod: Object, spec: RevisionSpec, checked_at: datetime
) -> str:
    """Return the digest of the image that runs: the spec's, where the node says that it is that.

    A container's image has as many digests as there are references to it on the node, of an index
    and of its manifest for example. The pod's status names any of them, the node's status all.

    Raises:
        Unreadable: the pod or its node does not say (yet) which it is.
    """
    name, status = pod["metadata"]["name"], main_status(pod)
    content = _digest(status.get("imageID", ""))
    if not content.startswith("sha256:"):
        raise Unreadable(f"{name} does not say yet which image it runs")
    is_asked = _container_image(pod) == image_of(spec)
    if content == spec.artifact or not is_asked:
        return content
    names = await _references(api, pod, content)
    if any(_digest(each) == spec.artifact for each in names):
        return spec.artifact
    since = began_at(pod)
    is_reported = checked_at - since > _REPORTED_WITHIN
    if 0 < len(names) < _REFERENCES_MAX and is_reported:
        return content
    raise Unreadable(
        f"{name} was told {spec.artifact} and names {content}; its node does not say"
        " whether they are one image"
    )


async def _references(api: ClusterApi, pod: Object, content: str) -> list[str]:
    """Return the references to the image *content* that the node of *pod* reports."""
    try:
        node = await api.get(NODES, pod["spec"]["nodeName"])
    except ApiRefusal as refusal:
        raise Unreadable(
            f"the node of {pod['metadata']['name']} cannot be read: {refusal}"
        ) from refusal
    images: list[Object] = ((node or {}).get("status") or {}).get("images") or []
    found = (each.get("names") or [] for each in images)
    return next((names for names in found if content in map(_digest, names)), [])


def _container_image(pod: Object) -> str:
    containers: list[Object] = pod["spec"]["containers"]
    return next((str(each["image"]) for each in containers if each["name"] == CONTAINER), "")


def _digest(reference: str) -> str:
    return reference.rpartition("@")[2]


def _differences(
    pod: Object, spec: RevisionSpec, others: frozenset[str] | None, access: PlatformAccess | None
) -> tuple[Difference, ...]:
    """Return each part of *pod* that is not as *spec* makes it; a bound that was added is none.

    A LimitRange of its namespace gives a pod limits where its spec has none.
    """
    try:
        expected = pod_spec(spec, {}, access)
        found = without_admission(differences(pod["spec"], expected), others)
    except ValueError as strange:
        raise Unreadable(
            f"a pod of {spec.component.module} cannot be compared: {strange}"
        ) from strange
    labels = pod["metadata"].get("labels") or {}
    acts = access is None and labels.get(USES_IDENTITY) == "true"
    return tuple(
        (path, live, asked)
        for path, live, asked in found
        if asked is not None
        or not (path.startswith("resources/") or (acts and (path, live) in _identity(live)))
    )


def _identity(live: str | None) -> set[tuple[str, str | None]]:
    """Return what a pod that acts as an identity has for that, each with the value *live*."""
    environ = ("CLIENT_ID", "TENANT_ID", "FEDERATED_TOKEN_FILE", "AUTHORITY_HOST")
    named = {(f"environ/AZURE_{name}", live) for name in environ}
    return named | {("serviceAccountName", ACCOUNT), ("mounts/var/run/secrets/azure/tokens", live)}


async def _release_of(
    api: ClusterApi, pod: Object, spec: RevisionSpec, question: ReleaseQuestion
) -> str:
    """Ask the pod through the API server, which reaches it wherever the platform runs."""
    metadata = pod["metadata"]
    asked = f"{metadata['name']}:{spec.port}"
    below, _, query = question.path.partition("?")
    path = PODS.path(metadata["namespace"], asked, f"/proxy{quote(below, safe=_IN_PATHS)}")
    params = dict(parse_qsl(query, keep_blank_values=True))
    try:
        status, body = await api.text(
            path,
            params,
            namespace=metadata["namespace"],
            at_most=ANSWER_BYTES_MAX,
            timeout_s=ANSWER_WITHIN_S,
        )
        return release_in(status, body, question)
    except ReleaseUnknown as unknown:
        raise Unreadable(
            f"{metadata['name']} does not say its release at {question.path}"
            f" ({question.field}): {unknown}"
        ) from unknown
