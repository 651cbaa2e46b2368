"""The desired properties of a service, in the words in which surfaces say what is live.

Of what is live and may be a secret the digest is said, unless it is the desired value: somebody may
have put a password where none belongs. It is keyed, as a short password is guessed from a plain
one; what changes is another digest, and what is adopted is compared by it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.planes import Planes
from shared.contracts.drift import Plane
from shared.surfaces.shown_words import may_be_secret

COMPARED: Final = (
    Plane.WORKLOAD, Plane.REPLICAS, Plane.CONFIGURATION, Plane.SECRETS, Plane.ROUTING,
)  # fmt: skip
"""The planes of a service that surfaces show."""


def desired_planes(baseline: ServiceBaseline) -> Planes:
    """Return what the service is to be: its release, what was learned of it, what was adopted."""
    if baseline.component is None:
        return {Plane.WORKLOAD: dict(baseline.inventory)}
    planes = {**baseline.release_planes}
    if baseline.configuration:
        of_release = planes.get(Plane.CONFIGURATION, {})
        planes[Plane.CONFIGURATION] = {**of_release, **baseline.configuration}
    if baseline.scaling:
        planes[Plane.REPLICAS] = baseline.scaling
    if baseline.replicas_left is not None:
        number = str(baseline.replicas_left)
        planes[Plane.REPLICAS] = {**planes.get(Plane.REPLICAS, {}), "replicas": number}
    for name, value in baseline.adopted.items():
        plane, _, path = name.partition("/")
        words = {**planes.get(Plane(plane), {})}
        if value is None:
            words.pop(path, None)
        else:
            words[path] = value
        planes[Plane(plane)] = words
    return planes


def live_planes(live: Planes, desired: Planes, baseline: ServiceBaseline) -> Planes:
    """Return what is *live* of its revision, as far as *baseline* has something to compare."""
    planes = without_secrets(live, desired, baseline)
    if baseline.component is not None:
        return planes
    words = planes.get(Plane.WORKLOAD, {})
    return {Plane.WORKLOAD: {path: words[path] for path in baseline.inventory if path in words}}


def without_secrets(live: Planes, desired: Planes, baseline: ServiceBaseline) -> Planes:
    """Return *live* with a digest for what may be secret and is not *desired* of *baseline*.

    Of secrets themselves there is only the version, and in a plane that is as desired nothing is
    looked at.
    """
    return {
        plane: words
        if plane is Plane.SECRETS or words == desired.get(plane)
        else {
            path: _shown(path, word, desired.get(plane, {}).get(path), baseline)
            for path, word in words.items()
        }
        for plane, words in live.items()
    }


def _shown(path: str, word: str, desired: str | None, baseline: ServiceBaseline) -> str:
    if not word or word == desired or not may_be_secret(path, word):
        return word
    if desired == f"sha256:{hashlib.sha256(word.encode()).hexdigest()}":
        return desired  # adopted before digests had a key
    key = baseline.digest_key.encode()
    return f"hmac-sha256:{hmac.digest(key, word.encode(), hashlib.sha256).hex()}"


def learned(baseline: ServiceBaseline, live: Planes) -> Mapping[str, str] | None:
    """Return the digests of its configuration, when what is *live* is the first of its release.

    The unit has the hash of the values, and not what each surface makes of them; its instances
    were proved just before.
    """
    component = baseline.component
    if baseline.configuration is not None or component is None:
        return baseline.configuration
    words = live.get(Plane.CONFIGURATION, {})
    is_recorded = words.get("hash") == component.configuration.hash
    return {path: word for path, word in words.items() if path != "hash"} if is_recorded else None
