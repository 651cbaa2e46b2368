"""Proves what a pod runs: by its image as it was pulled, its own spec, and its own answer."""

from datetime import datetime
from typing import Any, Final

from shared.surfaces.aks import revisions
from shared.surfaces.aks.cluster_api import PODS, ClusterApi, Object
from shared.surfaces.aks.instances import main_status
from shared.surfaces.aks.names import SPEC
from shared.surfaces.aks.pod_differences import Difference, differences
from shared.surfaces.aks.pods import pod_spec
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.observed_state import LiveProof
from shared.surfaces.release_answer import ReleaseUnknown, release_in
from shared.surfaces.rules import departures
from shared.surfaces.spec import ReleaseQuestion, RevisionSpec

ANSWER_BYTES_MAX: Final = 256 * 1024
ANSWER_WITHIN_S: Final = 5.0


def is_running(pod: Object) -> bool:
    return "running" in (main_status(pod).get("state") or {})


async def prove_pod(
    api: ClusterApi, pod: Object, spec: RevisionSpec, checked_at: datetime
) -> LiveProof:
    """Return the release that *pod* runs, and its differences from *spec*.

    Raises:
        Unreadable: it has no image yet, or does not answer.
    """
    name = pod["metadata"]["name"]
    told = revisions.read(
        (pod["metadata"].get("annotations") or {}).get(SPEC), spec.replicas, f"Pod {name}"
    )
    content = str(main_status(pod).get("imageID", "")).rpartition("@")[2]
    if not content.startswith("sha256:"):
        raise Unreadable(f"{name} does not say yet which image it runs")
    release, source = told.version, "start"
    if spec.release is not None:
        release, source = await _release_of(api, pod, spec, spec.release), "answer"
    return LiveProof(
        instance=name,
        revision=told.revision,
        artifact=told.artifact,
        content_digest=content,
        expected_digest=spec.artifact,
        release=release,
        release_source=source,
        unit=told.unit,
        checked_at=checked_at,
        departs=departures(
            ("artifact", told.artifact, spec.artifact),
            ("content", content, spec.artifact),
            ("release", release, spec.version),
            ("release revision", str(told.revision), str(spec.revision)),
            ("unit", dict(told.unit), dict(spec.unit)),
            *_differences(pod, spec),
        ),
    )


def _differences(pod: Object, spec: RevisionSpec) -> tuple[Difference, ...]:
    """Return each part of *pod* that is not as *spec* makes it; a bound that was added is none.

    A LimitRange of its namespace gives a pod limits where its spec has none.
    """
    try:
        found = differences(pod["spec"], pod_spec(spec, {}))
    except ValueError as strange:
        raise Unreadable(f"{pod['metadata']['name']} cannot be compared: {strange}") from strange
    return tuple(
        each for each in found if not (each[0].startswith("resources/") and each[2] is None)
    )


def contains(live: Any, expected: Any) -> bool:
    """Return whether *live* has all of *expected*: defaults and additions of others are more.

    Of a list with names each member of the same name counts, of another the whole.
    """
    if isinstance(expected, dict):
        return all(
            isinstance(live, dict) and contains(live.get(key), value)
            for key, value in expected.items()
            if value not in ({}, 0)  # the API server leaves out what is empty
        )
    if isinstance(expected, list) and all(isinstance(e, dict) and "name" in e for e in expected):
        named = {each["name"]: each for each in live or ()}
        return all(contains(named.get(each["name"]), each) for each in expected)
    return bool(live == expected)


async def _release_of(
    api: ClusterApi, pod: Object, spec: RevisionSpec, question: ReleaseQuestion
) -> str:
    """Ask the pod through the API server, which reaches it wherever the platform runs."""
    metadata = pod["metadata"]
    asked = f"{metadata['name']}:{spec.port}"
    path = PODS.path(metadata["namespace"], asked, f"/proxy/{question.path.removeprefix('/')}")
    try:
        status, body = await api.text(path, {}, at_most=ANSWER_BYTES_MAX, timeout_s=ANSWER_WITHIN_S)
        return release_in(status, body, question)
    except ReleaseUnknown as unknown:
        raise Unreadable(
            f"{metadata['name']} does not say its release at {question.path}"
            f" ({question.field}): {unknown}"
        ) from unknown
