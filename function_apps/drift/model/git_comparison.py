"""The comparison of what is in force with what Git says of it. Pure.

The release that a deployment left is compared, not what is live: whether that is as released is
found by itself. So a finding of Git ends with a deployment, or with a commit.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.classification import GIT
from function_apps.drift.model.comparison import Change
from function_apps.drift.model.environment_scan import (
    EnvironmentScan,
)
from function_apps.drift.model.git_source import GitSource
from function_apps.drift.model.git_state import DesiredEnvironment, DesiredModule
from function_apps.drift.model.rolled_back import (
    RolledBackRelease,
)
from function_apps.drift.model.service_differences import Difference
from shared.contracts.drift import DriftKind, Plane
from shared.contracts.values import Reason
from shared.kernel.dataclass import dataclass

_VERSION: Final = f"{Plane.WORKLOAD}/version"
_DIGEST: Final = f"{Plane.WORKLOAD}/digest"


@dataclass(frozen=True)
class DesiredByGit:
    """The words of a source about one environment, as they were read last."""

    source: GitSource
    environment: DesiredEnvironment

    def basis(self, module_id: str) -> str:
        """Return the words for which commit of which repository says so."""
        desired = self.environment.module(module_id)
        return self.said_by(desired.commit) if desired else ""

    def said_by(self, commit: str) -> str:
        """Return the words for what *commit* of its repository says."""
        return f"commit {commit[:12]} of {self.source.repository} says so"


def git_differences(
    git: DesiredByGit | None, baseline: ServiceBaseline, environment: EnvironmentScan
) -> list[Difference]:
    """Return what is in force otherwise than Git says; nothing of a release that is held."""
    desired = git.environment.module(baseline.module_id) if git else None
    if desired is None or _is_on_hold(desired, environment.rolled_back.get(baseline.module_id)):
        return []
    return [*_differences(desired.words, baseline)]


def rolled_back_reasons(environment: DesiredEnvironment, scan: EnvironmentScan) -> list[Reason]:
    """Return the modules that are not compared, as what Git says was rolled back and is held."""
    return [
        Reason(
            code="Held",
            message=f"{each.module_id} {each.words[_VERSION]} was rolled back and is held",
        )
        for each in environment.modules
        if _is_on_hold(each, scan.rolled_back.get(each.module_id))
    ]


def _is_on_hold(desired: DesiredModule, rolled_back: RolledBackRelease | None) -> bool:
    if rolled_back is None or rolled_back.has_ended:
        return False
    if desired.words.get(_VERSION) != rolled_back.version:
        return False
    return desired.words.get(_DIGEST, rolled_back.digest) == rolled_back.digest


def _differences(desired: Mapping[str, str], baseline: ServiceBaseline) -> Iterator[Difference]:
    if baseline.is_retired or not baseline.is_known:
        change = Change(f"{GIT}/version", DriftKind.MISSING, desired[_VERSION], None)
        yield Difference(Plane.WORKLOAD, change)
        return
    recorded = _recorded(baseline)
    for name, word in desired.items():
        if name in recorded and recorded[name] != word:
            plane, _, path = name.partition("/")
            actual = recorded[name]
            kind = DriftKind.MISSING if actual is None else DriftKind.CHANGED
            yield Difference(Plane(plane), Change(f"{GIT}/{path}", kind, word, actual))


def _recorded(baseline: ServiceBaseline) -> Mapping[str, str | None]:
    """Return what is in force, as far as it is known.

    Nothing of the number of instances where a scaling policy has it, whatever the release asked
    for.
    """
    component = baseline.component
    if component is None:
        return {_VERSION: baseline.inventory.get("version")}
    pin = component.configuration
    words: dict[str, str | None] = {
        _VERSION: component.version,
        _DIGEST: component.digest,
        f"{Plane.WORKLOAD}/image": component.image,
        f"{Plane.CONFIGURATION}/tenant": str(pin.tenant),
        f"{Plane.CONFIGURATION}/environment": str(pin.environment),
        f"{Plane.CONFIGURATION}/module": str(pin.module),
    }
    if baseline.is_scaled:
        return words
    asked = component.asked_replicas or component.replicas
    return {**words, f"{Plane.REPLICAS}/replicas": str(asked)}
