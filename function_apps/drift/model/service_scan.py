"""ServiceScan: one service in a scan, and what becomes of its findings. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime

from function_apps.drift.model.baseline import ServiceBaseline
from function_apps.drift.model.classification import INSTANCES, Circumstances, classify
from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.finding import Finding, clear, new_finding, see_again, with_findings
from function_apps.drift.model.git_comparison import DesiredByGit
from function_apps.drift.model.live_service import LiveService, ServiceReading
from function_apps.drift.model.service_differences import Difference, are_replicas_unconfirmed
from shared.contracts.drift import DriftDefaults, Plane
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import drift_finding_id, module_key, parse_id


@dataclass(frozen=True)
class ServiceScan:
    """One service in a scan: as it was stored when that began, and as it was read."""

    baseline: ServiceBaseline
    environment: EnvironmentScan
    findings: Mapping[str, Finding]
    reading: ServiceReading
    git: DesiredByGit | None = None
    is_mass_absence: bool = False
    """It is absent together with so many others that its absence is not counted."""


def seen_findings(
    baseline: ServiceBaseline,
    found: Collection[Difference],
    active: Mapping[str, Finding],
    known: Circumstances,
    now: datetime,
    authors: Mapping[str, str],
) -> dict[str, Finding]:
    """Return the findings that *found* are, by id, as if each were seen for the first time.

    *authors* are who set a property, by plane and path, as far as that is known.
    Of more than can be open the first, and those that are *active*: what is there still is not
    resolved by what came beside it.
    """
    if not found:
        return {}
    key = parse_id(baseline.service_id, "svc").environment
    module = module_key(baseline.tenant_id, baseline.module_id)
    seen = {}
    for each in found:
        finding_id = drift_finding_id(key, module, each.plane, each.change.path)
        seen[str(finding_id)] = new_finding(
            finding_id,
            tenant_id=baseline.tenant_id,
            environment_id=baseline.environment_id,
            service_id=baseline.service_id,
            module_id=baseline.module_id,
            project_id=baseline.project_id,
            plane=each.plane,
            change=each.change,
            classification=classify(each.plane, each.change, known),
            baseline_revision=baseline.release_revision,
            now=now,
            actor=authors.get(f"{each.plane}/{each.change.path}"),
        )
    told = with_findings([*seen], active)
    return {finding_id: finding for finding_id, finding in seen.items() if finding_id in told}


def judge(
    known: Finding | None,
    seen: Finding | None,
    baseline: ServiceBaseline,
    live: LiveService,
    now: datetime,
    rules: DriftDefaults,
) -> Finding | None:
    """Return a finding after a scan that has *seen* its difference, or not; None without news.

    What the scan could not look at, or does not believe yet, is left as it is.
    """
    if seen is not None:
        return seen if known is None else see_again(known, seen, now, rules)
    if known is None or (known.path == INSTANCES and live.departures is None):
        return None
    if baseline.absences and not baseline.is_retired:
        return None
    if known.plane is Plane.REPLICAS and are_replicas_unconfirmed(baseline, now, rules):
        return None
    is_new_release = known.baseline_revision < baseline.release_revision
    reason = "its service was retired" if baseline.is_retired else "as desired again"
    return clear(known, reason, now, ends_adoption=is_new_release or baseline.is_retired)
