"""What the program of an attempt answers, or why its pod does not come to answer."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from shared.contracts.isolation import IsolationLayer
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.instances import condition
from shared.surfaces.aks.pods import CONTAINER
from shared.surfaces.isolation_attempts import TEXT_MAX, LayerAttempts, said_by

_LAYERS: Final = (IsolationLayer.NETWORK, IsolationLayer.IDENTITY)
"""Of which the program answers."""
_REACHED_MAX: Final = 5


def ended(pod: Object) -> Object | None:
    """Return how the container of *pod* ended; None where it has not."""
    found: Object | None = (_main(pod).get("state") or {}).get("terminated")
    return found


def why_not(pods: Sequence[Object]) -> str:
    """Return why none of *pods*, of one Job, has come to what was waited for."""
    if not pods:
        return "no pod is made of it: a quota or a policy of the namespace refuses it"
    pod = pods[-1]
    state = _main(pod).get("state") or {}
    said = state.get("waiting") or state.get("terminated") or condition(pod, "PodScheduled")
    if not said:  # one that was evicted before it began
        said = pod.get("status") or {}
    words = [str(said.get(each) or "") for each in ("reason", "message")]
    return ": ".join(filter(None, words))[:TEXT_MAX] or "its pod does not say why"


def _main(pod: Object) -> Object:
    statuses: list[Object] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in statuses if each.get("name") == CONTAINER), {})


def inconclusive(why: str) -> tuple[LayerAttempts, ...]:
    """Return that nothing is shown of any layer, and *why*."""
    return tuple(LayerAttempts(layer, why[:TEXT_MAX]) for layer in _LAYERS)


def read(terminated: Object) -> tuple[LayerAttempts, ...]:
    """Return what the program says that it reached; of all layers nothing where it says nothing."""
    message = str(terminated.get("message") or "")
    try:
        answer = json.loads(message)
        return tuple(_of(layer, answer[layer]) for layer in _LAYERS)
    except (ValueError, LookupError, TypeError, RecursionError):
        code, said = terminated.get("exitCode"), said_by(message)
        return inconclusive(f"the process that was to try ended with {code}: {said}")


def _of(layer: IsolationLayer, found: Sequence[Any]) -> LayerAttempts:
    why, reached = found
    if not (isinstance(why, str) and isinstance(reached, list)):
        raise TypeError("the program answers a text and a list")
    shown = tuple(str(each)[:TEXT_MAX] for each in reached[:_REACHED_MAX])
    return LayerAttempts(layer, why[:TEXT_MAX], shown)


def came_in(network: LayerAttempts, namespace: str) -> LayerAttempts:
    """Return what a pod of *namespace* says of its attempts to come in, with whose they are."""
    why = network.inconclusive_because
    return replace(
        network,
        inconclusive_because=why and f"a pod of {namespace} could not try to come in: {why}",
        reached=tuple(f"a pod of {namespace} comes in: {each}" for each in network.reached),
    )


def joined(
    outward: Sequence[LayerAttempts], inward: Sequence[LayerAttempts]
) -> tuple[LayerAttempts, ...]:
    """Return both ways as one answer: what was reached counts, whatever the other way shows."""
    coming_in = {each.layer: each for each in inward}
    return tuple(
        _both(each, coming_in[each.layer]) if each.layer in coming_in else each for each in outward
    )


def _both(one: LayerAttempts, other: LayerAttempts) -> LayerAttempts:
    reached = one.reached + other.reached
    why = "" if reached else one.inconclusive_because or other.inconclusive_because
    return LayerAttempts(one.layer, why, reached)
