"""The revisions that run to their end, from their live Job or CronJob and its pods."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from shared.kernel.clock import parse_instant
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.instances import (
    condition,
    ended_instance,
    has_ended,
    has_succeeded,
    instance,
    is_stopping,
    oldest_first,
)
from shared.surfaces.aks.jobs import failed_runs, is_true
from shared.surfaces.observed_state import (
    FAILED_RUNS_MAX,
    Instance,
    LiveRevision,
    Phase,
    live_revision,
)
from shared.surfaces.spec import RevisionSpec

_RUN: Final = "batch.kubernetes.io/job-name"
"""The label of pods with the Job that made them."""
_WAITS: Final = frozenset({"", "Starting", "ProbeFailed"})
"""Why a pod that runs to its end is not ready where nothing is wrong: it has not ended."""
_MESSAGE_MAX: Final = 500


def job_revision(
    job: Object, spec: RevisionSpec, pods: Sequence[Object], now: datetime
) -> LiveRevision:
    """Return the revision that *job* is, with the try that decides on it, or goes on."""
    tries = [_try(pod, spec, now) for pod in oldest_first(pods)]
    if is_true(job, "Complete"):
        well = [found for found in tries if found.is_ready]
        return live_revision(spec, Phase.COMPLETE, well[-1:] or [_of_job(job, spec, is_ready=True)])
    if is_true(job, "Failed"):
        failed = condition(job, "Failed")
        reason = str(failed.get("reason", ""))
        told = [found for found in tries if not found.is_live]
        last = told[-1:] or [_of_job(job, spec, reason=reason, message=failed.get("message", ""))]
        return live_revision(spec, Phase.FAILED, last, reason)
    phase = Phase.DRAINING if is_stopping(job) else Phase.STARTING
    going_on = [found for found in tries if found.is_live or found.reason == "CannotStart"]
    shown = going_on[-1:] or tries[-1:] or [_of_job(job, spec, reason="Starting")]
    return live_revision(spec, phase, shown, shown[0].reason)


def schedule_revision(
    cron_job: Object, spec: RevisionSpec, runs: Sequence[Object], pods: Sequence[Object]
) -> LiveRevision:
    """Return the revision that *cron_job* is: one instance, which tells of the *runs* that failed.

    A run that failed leaves it ready, `FAILED_RUNS_MAX` in a row do not.
    """
    failed = failed_runs(runs)
    found = _of_job(cron_job, spec, is_ready=len(failed) < FAILED_RUNS_MAX)
    if failed:
        last = str(failed[0]["metadata"]["name"])
        of_last = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(_RUN) == last]
        why = _why(of_last, spec) or str(condition(failed[0], "Failed").get("message", ""))
        runs_failed = f"the last {len(failed)} runs" if len(failed) > 1 else "the last run"
        message = f"{runs_failed} failed; {last}: {why}"[:_MESSAGE_MAX]
        found = replace(found, reason="RunFailed", message=message)
    phase = Phase.DRAINING if is_stopping(cron_job) else Phase.READY
    revision = live_revision(spec, phase, [found], found.reason)
    return replace(revision, is_active=not cron_job["spec"].get("suspend", False))


def _why(pods: Sequence[Object], spec: RevisionSpec) -> str:
    ended = [ended_instance(pod, spec) for pod in oldest_first(pods) if has_ended(pod)]
    if not ended:
        return ""
    said = f": {ended[-1].message}" if ended[-1].message else ""
    return f"{ended[-1].last_exit or ended[-1].reason}{said}"


def _try(pod: Object, spec: RevisionSpec, now: datetime) -> Instance:
    if has_succeeded(pod):
        ended = ended_instance(pod, spec)
        well = replace(ended, is_ready=True, is_live=True, reason="", message="")
        return replace(well, exit_code=None, exit_reason="")
    if has_ended(pod):
        return ended_instance(pod, spec)
    found = replace(instance(pod, spec, now), is_ready=False)
    return replace(found, reason="Running", message="") if _is_well(found) else found


def _is_well(found: Instance) -> bool:
    return found.is_live and found.reason in _WAITS


def _of_job(
    job: Object, spec: RevisionSpec, *, is_ready: bool = False, reason: str = "", message: str = ""
) -> Instance:
    """Return an instance for a Job or CronJob itself, where no pod stands for it."""
    return Instance(
        id=job["metadata"]["name"],
        revision=spec.revision,
        is_ready=is_ready,
        is_live=is_ready,
        started_at=parse_instant(job["metadata"]["creationTimestamp"]),
        reason=reason,
        message=message[:_MESSAGE_MAX],
    )
