"""The layers of configuration that Git states, compared with those in force. Pure.

A layer is published whole, so a key that is in force and not in Git is a difference too. Layers
that Git does not state are not compared.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.classification import GIT, VALUES
from function_apps.drift.model.configuration_layers import PublishedLayer
from function_apps.drift.model.environment_scan import AdoptedValue
from function_apps.drift.model.git_comparison import DesiredByGit
from function_apps.drift.model.git_state import DesiredLayer
from function_apps.drift.model.plane_scan import Part, PlaneReading
from shared.contracts.drift import Plane
from shared.contracts.values import Reason

_PUBLISHED: Final = "published"
"""The word of a layer as a whole, where Git states it and nobody ever published it."""


def is_pinned(name: str, services: Iterable[ServiceBaseline]) -> bool:
    """Return whether a release in force was given a version of the layer *name*.

    Then it was published, before drift kept what was.
    """
    layer, _, module = name.partition("/")
    pins = [
        each.component.configuration
        for each in services
        if each.component is not None and module in {"", each.module_id}
    ]
    return any(getattr(pin, layer) for pin in pins)


def configuration_reading(
    git: DesiredByGit,
    in_force: Mapping[str, PublishedLayer],
    unheard: Collection[str],
    adopted: Mapping[str, AdoptedValue],
) -> PlaneReading:
    """Return the plane as *git* states it beside the layers *in_force*, by name.

    Those that are *unheard* were published, and nobody told drift what they say.
    """
    desired: dict[str, str] = {}
    live: dict[str, str] = {}
    said_by: dict[str, str] = {}
    unread: dict[str, Reason] = {}
    for layer in git.environment.layers:
        published = in_force.get(layer.name)
        place = f"{VALUES}/{layer.name}"
        if published is None and layer.name in unheard:
            message = f"{layer.name}: it is compared once it is published again"
            unread[f"{GIT}/{place}"] = Reason(code="NotHeard", message=message)
            continue
        stated = dict(_desired(layer, place, published))
        there = {
            f"{place}/{key}": word for key, word in (published.words if published else {}).items()
        }
        basis = f"{git.said_by(layer.commit)}; {_in_force(published)}"
        said_by |= {f"{GIT}/{path}": basis for path in {*stated, *there}}
        desired |= stated
        live |= there
    not_read = tuple(f"{place}/" for place in unread)
    kept = {
        path
        for path, each in adopted.items()
        if path.startswith(not_read) or _holds(path, each, desired, live)
    }
    for path in kept:
        for words in (desired, live):
            words.pop(_below(path), None)
    parts = (Part(GIT, desired, live),) if desired or live or kept else ()
    return PlaneReading(
        Plane.CONFIGURATION, parts, unread, said_by=said_by, adopted=frozenset(kept)
    )


def _desired(
    layer: DesiredLayer, place: str, published: PublishedLayer | None
) -> Iterator[tuple[str, str]]:
    if published is not None:
        for key, word in layer.words.items():
            yield f"{place}/{key}", word
    elif layer.words:
        # What it lacks besides follows from that, and is not told.
        yield place, _PUBLISHED


def _in_force(published: PublishedLayer | None) -> str:
    if published is None:
        return "nobody published it"
    return f"version {published.version} is in force"


def _holds(
    path: str, adopted: AdoptedValue, desired: Mapping[str, str], live: Mapping[str, str]
) -> bool:
    name = _below(path)
    return (desired.get(name), live.get(name)) == (adopted.desired, adopted.live)


def _below(path: str) -> str:
    return path.removeprefix(f"{GIT}/")
