"""Finds the mistakes of a release that are hidden by others.

The contract looks at how fields go together only where each is right by itself, and a plan is made
only of what the contract takes. So what is refused is replaced, and the rest is looked at again.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cli.failure import Detail
from cli.field_names import pointer_parts
from cli.refused_fields import detail_of

if TYPE_CHECKING:
    from shared.contracts.deployments import Deploy

DIGEST: Final = "sha256:" + "0" * 64
_ENVIRONMENT_ID: Final = "env-" + "a" * 12
_RELEASE: Final[Mapping[str, Any]] = {"environmentId": _ENVIRONMENT_ID, "releaseRef": "unnamed"}
_COMPONENT: Final[Mapping[str, Any]] = {
    "componentType": "microservice",
    "version": "unversioned",
    "artifactDigest": DIGEST,
    "schedule": {"cron": "0 0 * * *"},
    "runsOnce": {},
}
"""What is put in place of a field that the contract refuses; a field without one is taken away."""
SOURCES: Final = ("artifact", "artifactDigest", "image")
"""Where what runs comes from, as a release file says it; `artifact` is sent as its digest."""
_SENT_SOURCES: Final = frozenset(SOURCES[1:])
_FROM_OTHERS: Final[Mapping[str, frozenset[str]]] = {
    "command": frozenset({"command", *_SENT_SOURCES}),
    "probes": frozenset({"probes", "port"}),
}
"""Fields whose refusal follows from others: nothing is said of it where one of them is replaced."""
_NOT_SAID: Final = {"CommandMissing", "DependencyCycle"}
"""A command may be given by an option; `release_check` names circles, also where nothing parses."""
_ROUNDS_MAX: Final = 3
Replaced = Mapping[int, frozenset[str]]
"""The fields of a component, by its index, that were replaced."""


def as_sent(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *body* as it will be sent, with stand-ins for what is not looked up yet."""
    resolved = {**_RELEASE, **body}
    resolved.pop("environment", None)
    components = resolved.get("components")
    if isinstance(components, list):
        resolved["components"] = [_with_digest(component) for component in components]
    return resolved


def _with_digest(component: Any) -> Any:
    """Return *component* with a digest where it has an archive, or nothing to run."""
    if not isinstance(component, dict):
        return component
    rest = {name: value for name, value in component.items() if name != "artifact"}
    if component.get("artifact") or not any(map(component.get, SOURCES)):
        rest["artifactDigest"] = DIGEST
    return rest


def without_repeats(sent: Mapping[str, Any], twice: Sequence[Detail]) -> Mapping[str, Any]:
    """Return *sent* with another name for each module that stands *twice*: it hides all others."""
    return _mended(sent, twice, {}) if twice else sent


def refused_by_plans(release: "Deploy", replaced: Replaced | None = None) -> Iterator[Detail]:
    """Yield what every plan refuses of *release*, of which some fields were *replaced*."""
    from function_apps.deployments.model import plan_checks  # noqa: PLC0415  slow to import

    for violation in plan_checks.refused_anywhere(release):
        detail = detail_of(violation)
        if violation.code not in _NOT_SAID and not _follows(detail, replaced or {}):
            yield detail


def hidden_mistakes(sent: Mapping[str, Any], found: Sequence[Detail]) -> Iterator[Detail]:
    """Yield what is wrong in *sent*, as it is sent, beside what the contract *found* in it."""
    from shared.contracts.deployments import Deploy  # noqa: PLC0415  slow to import
    from shared.contracts.validation import parse  # noqa: PLC0415
    from shared.kernel.errors import Invalid  # noqa: PLC0415

    known, replaced = [*found], dict[int, frozenset[str]]()
    news: Sequence[Detail] = found
    for _ in range(_ROUNDS_MAX):
        sent = _mended(sent, news, replaced)
        try:
            release = parse(Deploy, json.dumps(sent).encode())
        except Invalid as wrong:
            news = [each for each in map(detail_of, wrong.details) if each not in known]
            known += news
            yield from (each for each in news if not _follows(each, replaced))
        else:
            yield from refused_by_plans(release, replaced)
            return


def _mended(
    sent: Mapping[str, Any], found: Sequence[Detail], replaced: dict[int, frozenset[str]]
) -> Mapping[str, Any]:
    """Return *sent* with a stand-in for each field that was *found* wrong; note which those are."""
    mended = {**sent}
    components = sent.get("components")
    if isinstance(components, list):
        mended["components"] = [{**c} if isinstance(c, dict) else c for c in components]
    for detail in found:
        match pointer_parts(detail.target):
            case ["components", index, *rest] if index.isdecimal():
                component = mended["components"][int(index)]
                if isinstance(component, dict):
                    # Without a field it is of two kinds, or has two sources.
                    kind = {"schedule"} if "runsOnce" in component else set()
                    fields = {*rest[:1]} or {"image", *kind}
                    stand_ins = {**_COMPONENT, "moduleId": f"module-{index}"}
                    _replace(component, fields, stand_ins if rest else {})
                    replaced[int(index)] = replaced.get(int(index), frozenset()) | fields
                    if not _SENT_SOURCES & component.keys():
                        component["artifactDigest"] = DIGEST
            case [field, *_] if field != "components":
                _replace(mended, [field], _RELEASE)
            case _:
                continue
    return mended


def _replace(part: dict[str, Any], fields: Collection[str], stand_ins: Mapping[str, Any]) -> None:
    for field in fields:
        part.pop(field, None)
        if field in stand_ins:
            part[field] = stand_ins[field]


def _follows(detail: Detail, replaced: Replaced) -> bool:
    """Return whether *detail* may follow from what was replaced."""
    match pointer_parts(detail.target):
        case ["components", index, field, *_]:
            return bool(_FROM_OTHERS.get(field, {field}) & replaced.get(int(index), frozenset()))
        case []:
            return bool(replaced)
        case _:
            return False  # of a whole component too: stand-ins make it of one kind and source
