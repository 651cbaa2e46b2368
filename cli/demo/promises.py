"""What the whole story promises, each with what was seen of it; and what counts as drift. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.demo.load_process import LoadTotals


@dataclass(frozen=True)
class Promise:
    """One sentence of the story, and the figures that speak for it or against it."""

    text: str
    seen: str
    is_kept: bool


@dataclass
class Promises:
    """Those that were looked at so far, in the order of the story."""

    made: list[Promise] = field(default_factory=list)

    def check(self, text: str, seen: str, *, is_kept: bool) -> None:
        self.made.append(Promise(text, seen, is_kept))

    @property
    def broken(self) -> Sequence[Promise]:
        return [promise for promise in self.made if not promise.is_kept]


@dataclass(frozen=True)
class OutsideChange:
    """What somebody changed from outside, as drift is to name it."""

    environment_id: str
    plane: str
    path: str


def place_of(finding: Mapping[str, Any]) -> OutsideChange:
    """Return what *finding* says was changed, and where."""
    return OutsideChange(finding["environmentId"], finding["plane"], finding["path"])


def unexplained(
    findings: Iterable[Mapping[str, Any]], done: Sequence[OutsideChange]
) -> Sequence[Mapping[str, Any]]:
    """Return the findings that no change from outside explains: own work taken for drift."""
    return [finding for finding in findings if place_of(finding) not in done]


def story_failures(promises: Promises, totals: Mapping[str, LoadTotals]) -> Sequence[str]:
    """Return why the story has failed: no promise, a broken one, or a client without answers."""
    failures = [f"not so: {promise.text} ({promise.seen})" for promise in promises.broken]
    if not promises.made:
        failures.append("nothing was looked at")
    for client, found in totals.items():
        if not found.served:
            failures.append(f"no request of {client} was served")
        elif found.failures:
            count = len(found.failures)
            failures.append(f"{count} of {found.served + count} requests of {client} failed")
    return failures


@dataclass(frozen=True)
class Unit:
    """What of a release unit goes back together."""

    release_revision: int
    version: str
    digest: str
    configuration: str
    secrets: Mapping[str, str]
    scaling_policy: int

    def differs_from(self, other: "Unit") -> tuple[bool, bool, bool]:
        """Return whether image, configuration and secrets are others."""
        return (
            self.digest != other.digest,
            self.configuration != other.configuration,
            self.secrets != other.secrets,
        )


def unit_of(deployment: Mapping[str, Any]) -> Unit:
    """Return the only component of the release unit of *deployment*."""
    (component,) = deployment["releaseUnit"]["components"]
    return Unit(
        component["releaseRevision"],
        component["version"],
        component["digest"],
        component["configuration"]["hash"] or "",
        dict(component["secretVersions"]),
        component["scalingPolicyRevision"],
    )


def departing_parts(instance: Mapping[str, Any], unit: Unit) -> Sequence[str]:
    """Return the parts in which a live *instance* proves to be otherwise than *unit*."""
    proved = {
        "release revision": instance["releaseRevision"],
        "image": instance["digest"],
        "configuration": instance["configurationHash"] or "",
        "secret versions": dict(instance["secretVersions"]),
    }
    recorded = {
        "release revision": unit.release_revision,
        "image": unit.digest,
        "configuration": unit.configuration,
        "secret versions": unit.secrets,
    }
    return [part for part, value in proved.items() if value != recorded[part]]
