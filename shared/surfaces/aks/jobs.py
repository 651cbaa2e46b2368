"""Workloads that end: the spec of a Job or CronJob, and what its live object says of its runs."""

from collections.abc import Iterable, Iterator
from typing import Final

from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.instances import condition
from shared.surfaces.aks.pods import time_limit_s
from shared.surfaces.observed_state import FAILED_RUNS_MAX
from shared.surfaces.spec import RevisionSpec

ENDS_LATER_S: Final = 30
"""After its time limit a Job deletes its pods, and their output goes with them. So the kubelet
ends a pod at the limit, which stays, and the Job a grace later what was tried again."""
STARTS_WITHIN_S: Final = 10
"""The least that a CronJob is served by. What was due while it was suspended is not made up for."""
_DEFAULTS: Final = {
    "completions": 1, "parallelism": 1, "suspend": False, "completionMode": "NonIndexed",
    "podReplacementPolicy": "TerminatingOrFailed", "concurrencyPolicy": "Allow", "timeZone": None,
    "startingDeadlineSeconds": None, "ttlSecondsAfterFinished": None,
}  # fmt: skip
"""What decides how often something runs, with what it is where it is not said."""


def job_spec(spec: RevisionSpec, template: Object) -> Object:
    """Return the `spec` of a Job; one of a schedule is not tried again."""
    limit_s = time_limit_s(spec)
    assert limit_s is not None, spec.component.module
    return {
        "backoffLimit": spec.runs_once.retries if spec.runs_once else 0,
        "activeDeadlineSeconds": limit_s + ENDS_LATER_S,
        # Of two tries one has ended before the other begins, also where a node is drained.
        "podReplacementPolicy": "Failed",
        "template": template,
    }


def cron_job_spec(spec: RevisionSpec, cron: str, template: Object) -> Object:
    """Return the `spec` of a CronJob that starts no runs yet."""
    return {
        "schedule": cron,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "suspend": True,
        "startingDeadlineSeconds": STARTS_WITHIN_S,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": FAILED_RUNS_MAX,
        "jobTemplate": {
            "metadata": {"labels": template["metadata"]["labels"]},
            "spec": job_spec(spec, template),
        },
    }


def is_run(job: Object) -> bool:
    """Return whether a CronJob made *job*, so that it is no revision."""
    owners: list[Object] = job["metadata"].get("ownerReferences") or []
    return any(owner.get("kind") == "CronJob" for owner in owners)


def is_true(found: Object, kind: str) -> bool:
    return condition(found, kind).get("status") == "True"


def failed_runs(runs: Iterable[Object]) -> list[Object]:
    """Return the runs that failed after the last one that went well, the newest first."""
    failed = []
    for run in sorted(runs, key=lambda each: str(each["metadata"]["creationTimestamp"]))[::-1]:
        if is_true(run, "Complete"):
            break
        if is_true(run, "Failed"):
            failed.append(run)
    return failed


def words_of(workload: Object) -> Iterator[tuple[str, str]]:
    """Yield how a Job or CronJob runs, in the words of properties where they have one."""
    spec: Object = workload["spec"]
    job: Object = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    path = "runsOnce" if job is spec else "schedule"
    if "schedule" in spec:
        yield "schedule/cron", str(spec["schedule"])
    limit = job.get("activeDeadlineSeconds")
    yield f"{path}/timeLimitS", "" if limit is None else str(int(limit) - ENDS_LATER_S)
    yield f"{path}/retries", str(job.get("backoffLimit", 6))
    for name, default in _DEFAULTS.items():
        is_schedule = name == "suspend" and job is not spec  # which is a property of its own
        said = (job if is_schedule else {**spec, **job}).get(name)
        value = default if said is None else said
        if value is not None:
            yield f"{path}/{name}", str(value)
