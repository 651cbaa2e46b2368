"""The class of a difference: how severe it is, what its repair may cost, who repairs it, and why.

Each judgement is an ordered tuple of small rules; the first that says something decides.
"""

from collections.abc import Callable
from typing import Final

from function_apps.drift.model.comparison import Change
from shared.contracts.drift import (
    DriftKind,
    DriftSeverity,
    Plane,
    Remediation,
    RemediationPolicy,
    RepairRisk,
)
from shared.contracts.values import Service, Stage
from shared.kernel.dataclass import dataclass
from shared.surfaces.boundaries import GATEWAYS, WAY_TO_PLATFORM

REVISION: Final = "revision"
"""The path of the release revision itself."""
INSTANCES: Final = "instances"
"""The path of what the instances prove: their files, and what they say of themselves."""
SERVICE: Final = "service"
"""The path of a service that nobody released."""
GIT: Final = "git"
"""Before the path of what the release in force has otherwise than Git says."""
VALUES: Final = "values"
"""After GIT, before the path of a value of configuration that is in force otherwise than it says.
"""
FOLDER: Final = "folder"
"""The end of the path of a folder of data."""
ENVIRONMENT_PLANES: Final = (Plane.INFRASTRUCTURE, Plane.TENANCY)
"""The planes of the environment itself, which environments owns."""
_WHAT_RUNS: Final = frozenset({"version", "artifact", "image", "command", REVISION, INSTANCES})
_CAUTION: Final = (RemediationPolicy.NEVER, RemediationPolicy.ASK, RemediationPolicy.AUTO)
_ORDER: Final = tuple(DriftSeverity)


@dataclass(frozen=True)
class Circumstances:
    """Facts about the service beside its properties."""

    stage: Stage | None
    is_healthy: bool = True
    failed_deployment: str | None = None
    """That of the module which failed last, after the release in force."""
    since: str = ""
    """The time of the release in force."""
    policy: RemediationPolicy = RemediationPolicy.ASK
    desired_by: str = ""
    """The commit that says so, of what Git says."""


def is_of_git(path: str) -> bool:
    """Return whether *path* is compared with Git, and not with what was released."""
    return path.startswith(f"{GIT}/")


def is_value_of_git(path: str) -> bool:
    """Return whether *path* is a value of configuration, or a layer of it, that Git states."""
    return path.startswith(f"{GIT}/{VALUES}/")


@dataclass(frozen=True)
class Classification:
    severity: DriftSeverity
    risk: RepairRisk
    remediation: Remediation
    cause: str


SeverityRule = Callable[[Plane, Change], DriftSeverity | None]


def _not_deployed(_plane: Plane, change: Change) -> DriftSeverity | None:
    # What runs is as it was released; somebody is to deploy.
    return DriftSeverity.LOW if is_of_git(change.path) else None


def _gone(_plane: Plane, change: Change) -> DriftSeverity | None:
    is_gone = change.path == REVISION and change.kind is DriftKind.MISSING
    return DriftSeverity.CRITICAL if is_gone else None


def _what_runs(plane: Plane, change: Change) -> DriftSeverity | None:
    is_it = plane is Plane.WORKLOAD and change.path.partition("/")[0] in {*_WHAT_RUNS, SERVICE}
    return DriftSeverity.HIGH if is_it else None


def _who_gets_it(plane: Plane, _change: Change) -> DriftSeverity | None:
    return DriftSeverity.HIGH if plane in {Plane.ROUTING, Plane.SECRETS} else None


def _how_many(plane: Plane, _change: Change) -> DriftSeverity | None:
    return DriftSeverity.LOW if plane is Plane.REPLICAS else None


def _who_is_kept_apart(plane: Plane, change: Change) -> DriftSeverity | None:
    is_less = change.path.split("/")[1:2] in (["quota"], [WAY_TO_PLATFORM], [GATEWAYS])
    return DriftSeverity.HIGH if plane is Plane.TENANCY and not is_less else None


def _what_is_around(plane: Plane, _change: Change) -> DriftSeverity | None:
    return DriftSeverity.HIGH if plane is Plane.INFRASTRUCTURE else None


SEVERITIES: Final[tuple[SeverityRule, ...]] = (
    _not_deployed, _gone, _what_runs, _who_gets_it, _how_many, _who_is_kept_apart, _what_is_around,
)  # fmt: skip


def classify(plane: Plane, change: Change, known: Circumstances) -> Classification:
    """Return the class of *change*; in prod, and where the service is unhealthy, one step more."""
    severity = next(
        filter(None, (rule(plane, change) for rule in SEVERITIES)), DriftSeverity.MEDIUM
    )
    steps = (known.stage is Stage.PROD) + (not known.is_healthy)
    raised = _ORDER[min(_ORDER.index(severity) + steps, len(_ORDER) - 1)]
    risk = _risk(plane, change)
    remediation = _remediation(plane, change, risk, known)
    return Classification(raised, risk, remediation, _cause(change, known))


def _risk(plane: Plane, change: Change) -> RepairRisk:
    """Return what a repair may cost: what nobody released would be taken away, for good.

    What is around workloads is put right without touching them; a folder of data that is gone would
    be made anew, and empty.
    """
    if plane is Plane.INFRASTRUCTURE and change.path.endswith(f"/{FOLDER}"):
        return RepairRisk.DESTRUCTIVE
    if plane in ENVIRONMENT_PLANES:
        return RepairRisk.SAFE
    is_foreign = change.path in {REVISION, SERVICE} and change.kind is DriftKind.UNMANAGED
    return RepairRisk.DESTRUCTIVE if is_foreign else RepairRisk.DISRUPTIVE


def _remediation(
    plane: Plane, change: Change, risk: RepairRisk, known: Circumstances
) -> Remediation:
    """Return the owner's command; what would destroy something is never done unasked."""
    policy = known.policy
    if is_value_of_git(change.path):
        # Drift keeps no values that could be published, and Git is its author's.
        return Remediation(
            policy=RemediationPolicy.NEVER,
            command="PublishConfiguration",
            owner=Service.CONFIGURATIONS,
        )
    if is_of_git(change.path):
        return Remediation(
            policy=RemediationPolicy.NEVER, command="Deploy", owner=Service.DEPLOYMENTS
        )
    if plane in ENVIRONMENT_PLANES:
        # It applies the whole environment, which is nothing to do unasked.
        asked = min(policy, RemediationPolicy.ASK, key=_CAUTION.index)
        return Remediation(policy=asked, command="RepairEnvironment", owner=Service.ENVIRONMENTS)
    if change.path == SERVICE:
        policy = RemediationPolicy.NEVER
    elif risk is RepairRisk.DESTRUCTIVE and policy is RemediationPolicy.AUTO:
        policy = RemediationPolicy.ASK
    return Remediation(policy=policy, command="RemediateDrift", owner=Service.DEPLOYMENTS)


def _cause(change: Change, known: Circumstances) -> str:
    if is_of_git(change.path):
        return known.desired_by
    if change.path == SERVICE:
        return "no deployment released it"
    if known.failed_deployment is not None:
        return f"{known.failed_deployment} failed, and may have left it so"
    return f"changed outside the platform, after {known.since or 'its release'}"
