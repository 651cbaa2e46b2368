"""Checks a release with the contract itself, before anything is uploaded or sent."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exit_codes import ExitCode
from cli.failure import Detail, Failure, refuse_mistakes
from cli.refused_fields import detail_of
from cli.release_mistakes import (
    SOURCES,
    as_sent,
    hidden_mistakes,
    refused_by_plans,
    without_repeats,
)
from cli.release_sections import Sections
from cli.typed import is_elsewhere

if TYPE_CHECKING:
    from shared.contracts.deployments import Deploy


def check_release(
    body: Mapping[str, Any], file: Path | None, sections: Sections, *, is_whole: bool = True
) -> Sequence[str]:
    """Return warnings about *body*, a release with the names that the command line resolves.

    *sections* are what *file* says beside it. One that is not whole gets its artifacts from options
    later.

    Raises:
        Failure: it is no release; each mistake is named by its option or its line in *file*.
    """
    if "services" in body and not body.get("components"):
        raise Failure(
            f"{file} is a Compose file, not a release file",
            ExitCode.USAGE,
            remedy="write one: `runtimectl init`, with a component for each service",
        )
    from shared.contracts.deployments import Deploy  # noqa: PLC0415  slow to import
    from shared.contracts.validation import parse  # noqa: PLC0415
    from shared.kernel.errors import Invalid  # noqa: PLC0415

    sources = _without_source(body)
    details = [*sections.mistakes, *(sources if is_whole else ())]
    warnings = [] if is_whole else [f"{each.text()}: give it with --artifact" for each in sources]
    warnings += sections.warnings
    absent = [] if is_whole else [*_missing_archives(body, file)]
    twice = [*_twice(body)]
    details += twice
    sent = without_repeats(as_sent(body), twice)
    try:
        release = parse(Deploy, json.dumps(sent).encode())
        warnings += release.warnings
        refused = [*refused_by_plans(release)] if details or not is_whole else []
        details += refused
        if not is_whole:
            warnings += [*(each.text() for each in absent), *_beyond_this_machine(release)]
    except Invalid as wrong:
        found = [*map(detail_of, wrong.details)]
        details += [*found, *hidden_mistakes(sent, found)]
        if any(each.target.startswith("/strategy/") for each in details):
            details += _falling_weights(body)
    details += _circles(body)
    # Whoever has to mend the file is told of its archives too; for one that is whole it may wait.
    refuse_mistakes([*details, *absent] if details else [], file)
    return warnings


def _components_of(body: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield each component of *body* that is a mapping, with its index."""
    components = body.get("components")
    for index, component in enumerate(components if isinstance(components, list) else ()):
        if isinstance(component, dict):
            yield index, component


def _missing_archives(body: Mapping[str, Any], file: Path | None) -> Iterator[Detail]:
    """Yield each archive that is not there (yet)."""
    folder = file.parent if file is not None else Path()
    for index, component in _components_of(body):
        written = component.get("artifact")
        archive = archive_of(written, folder) if isinstance(written, str) else None
        if archive is not None and not os.path.isfile(archive):  # noqa: PTH113  no error for a long name
            beside = "" if str(archive) == str(written) else f", and no {archive}"
            yield Detail(
                f"/components/{index}/artifact",
                f"there is no file {written}{beside}: build it before you deploy, or give another"
                " with --artifact",
            )


def _falling_weights(body: Mapping[str, Any]) -> Iterator[Detail]:
    """Yield what is wrong with the weights of steps that have another mistake too.

    The contract looks at them only once each step is right by itself.
    """
    from pydantic import ValidationError  # noqa: PLC0415  slow to import

    from shared.contracts.strategies import Strategy  # noqa: PLC0415

    strategy = body.get("strategy")
    steps = strategy.get("steps") if isinstance(strategy, dict) else None
    given = [each for each in steps if isinstance(each, dict)] if isinstance(steps, list) else []
    weights = [each.get("weight") for each in given]
    if all(type(weight) is int and 1 <= weight <= 100 for weight in weights):  # noqa: PLR2004  percent
        try:
            Strategy.model_validate({"steps": [{"weight": weight} for weight in weights]})
        except ValidationError as wrong:
            yield Detail("/strategy/steps", str(wrong.errors()[0]["ctx"]["error"]))


def _twice(body: Mapping[str, Any]) -> Iterator[Detail]:
    """Yield each module that stands in components or remove once more."""
    removed = body.get("remove")
    named = [
        *(
            (f"/components/{at}/moduleId", each.get("moduleId"))
            for at, each in _components_of(body)
        ),
        *((f"/remove/{at}", each) for at, each in enumerate(_list_of(removed))),
    ]
    seen = set[str]()
    for target, module in named:
        if isinstance(module, str) and module in seen:
            yield Detail(target, f"{module} stands in this release already")
        seen.add(str(module))


def _list_of(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _circles(body: Mapping[str, Any]) -> Iterator[Detail]:
    """Yield each circle of modules that depend on each other, and each module that does on itself.

    Circles that share a module are one by one: the next shows once that one is mended.
    """
    needs = {
        str(component.get("moduleId")): (index, [str(each) for each in component["dependsOn"]])
        for index, component in _components_of(body)
        if isinstance(component.get("dependsOn"), list)
    }
    while circle := _circle_in({module: needed for module, (_, needed) in needs.items()}):
        index, _ = needs[circle[-1]]
        named = " → ".join(reversed(circle))
        yield Detail(
            f"/components/{index}/dependsOn", f"modules depend on each other in a circle: {named}"
        )
        for module in circle:
            needs.pop(module, None)


def _circle_in(needs: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return a circle of *needs*, its first module at both ends; nothing where there is none."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as found:
        circle: Sequence[str] = found.args[1]
        return circle
    return ()


def archive_of(source: object, folder: Path) -> Path | None:
    """Return the archive that *source* names, else below *folder*; None for a digest or nothing."""
    if source is None or re.fullmatch(r"sha256:[0-9a-f]{64}", str(source)):
        return None
    path = Path(str(source))
    return path if path.is_absolute() or os.path.exists(path) else folder / path  # noqa: PTH110  no error for a long name


def _beyond_this_machine(release: "Deploy") -> Iterator[str]:
    """Yield a warning for each limit that this machine cannot enforce, so its plan refuses it."""
    if is_elsewhere():
        return
    from local_agent.capabilities import capabilities  # noqa: PLC0415  slow to import
    from shared.contracts.values import ComputeTargetKind  # noqa: PLC0415
    from shared.surfaces.capabilities import Feature  # noqa: PLC0415
    from shared.surfaces.surface_plan import LIMITS  # noqa: PLC0415

    lacks = capabilities().lacks
    for component in release.components:
        if component.compute_target not in {None, ComputeTargetKind.LOCAL_PROCESS}:
            continue
        limits = component.resources.model_dump(by_alias=True, exclude_none=True)
        needed = {name: feature for _, name, feature in LIMITS if name in limits}
        needed |= {f"requires {word}": Feature(word) for word in component.requires}
        for name, feature in needed.items():
            if feature in lacks:
                yield f"{component.module_id}: {name} is refused on this machine: {lacks[feature]}"


def _without_source(body: Mapping[str, Any]) -> list[Detail]:
    """Return a mistake for each component without anything to run."""
    components = body.get("components")
    return [
        Detail(f"/components/{index}/artifact", "a value is missing", code="Required")
        for index, component in enumerate(components if isinstance(components, list) else ())
        if isinstance(component, dict) and not any(map(component.get, SOURCES))
    ]
