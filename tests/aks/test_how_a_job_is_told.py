"""A Job, a CronJob and their pods in the words of the port, as a cluster of 1.37 writes them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.surfaces.aks.ending_revisions import job_revision, schedule_revision
from shared.surfaces.aks.names import REVISION, Installation
from shared.surfaces.aks.pod_differences import differences
from shared.surfaces.aks.pods import pod_spec
from shared.surfaces.aks.revisions import dependents, kind_of, read, workload, written
from shared.surfaces.observed_state import LiveRevision, Phase
from shared.surfaces.spec import RevisionSpec, RunOnce, Schedule
from tests.surfaces.harness import TEMPLATE

BEGAN = datetime(2026, 11, 28, 22, 48, 5, tzinfo=UTC)
NOW = BEGAN + timedelta(minutes=5)
BARE = replace(
    TEMPLATE, image="registry.example/shop", port=None, readiness=None, release=None,
    path_prefix=None,
)  # fmt: skip
JOB = replace(BARE, runs_once=RunOnce(90, retries=2))
NIGHTLY = replace(BARE, schedule=Schedule("0 2 * * *", 60))
INSTALLATION = Installation()


def made(spec: RevisionSpec, *conditions: tuple[str, str, str], **spec_of: Any) -> dict[str, Any]:
    found = workload(spec, INSTALLATION)
    found["metadata"]["creationTimestamp"] = "2026-11-28T22:48:05Z"
    found["spec"] |= spec_of
    found["status"] = {
        "conditions": [
            {"type": kind, "status": "True", "reason": reason, "message": message}
            for kind, reason, message in conditions
        ]
    }
    return found


def pod(name: str, phase: str, state: dict[str, Any], second: int = 6, **whole: Any) -> Any:
    return {
        "metadata": {
            "name": name,
            "labels": {REVISION: "1", "batch.kubernetes.io/job-name": name.rpartition("-")[0]},
            "creationTimestamp": f"2026-11-28T22:48:{second:02d}Z",
        },
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "main", "started": True, "state": state}],
            **whole,
        },
    }


def ended(name: str, code: int, reason: str = "Error", message: str = "", **how: Any) -> Any:
    at = {"startedAt": "2026-11-28T22:48:06Z", "exitCode": code, "reason": reason}
    phase = "Failed" if code else "Succeeded"
    return pod(name, phase, {"terminated": {**at, "message": message}}, **how)


RUNNING = pod("job-b", "Running", {"running": {"startedAt": "2026-11-28T22:48:20Z"}}, 20)
COMPLETE = ("Complete", "CompletionsReached", "")
GAVE_UP = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")


def job(*pods: Any, conditions: Any = ()) -> LiveRevision:
    return job_revision(made(JOB, *conditions), JOB, pods, NOW)


@pytest.mark.parametrize(
    ("pods", "conditions", "phase", "instance"),
    [
        pytest.param((), (), Phase.STARTING, ("module-shop-r1", False, "Starting", ""), id="new"),
        pytest.param((RUNNING,), (), Phase.STARTING, ("job-b", False, "Running", ""), id="runs"),
        pytest.param(
            (ended("job-a", 1, message="no"), RUNNING), (), Phase.STARTING,
            ("job-b", False, "Running", ""), id="tried-again",
        ),
        pytest.param(
            (ended("job-a", 1, message="no"),), (), Phase.STARTING,
            ("job-a", False, "Exited", "exit status 1"), id="between-two-tries",
        ),
        pytest.param(
            (ended("job-a", 1), ended("job-b", 0, "Completed", second=20)), (COMPLETE,),
            Phase.COMPLETE, ("job-b", True, "", ""), id="ended-well",
        ),
        pytest.param(
            (), (COMPLETE,), Phase.COMPLETE, ("module-shop-r1", True, "", ""), id="its-pod-is-gone"
        ),
        pytest.param(
            (ended("job-a", 1), ended("job-b", 3, second=20)), (GAVE_UP,), Phase.FAILED,
            ("job-b", False, "Exited", "exit status 3"), id="failed",
        ),
        pytest.param(
            (ended("job-a", 137, "OOMKilled"),), (GAVE_UP,), Phase.FAILED,
            ("job-a", False, "MemoryExceeded", "memory limit exceeded"), id="too-much-memory",
        ),
        pytest.param(
            (ended("job-a", 137, reason="DeadlineExceeded", message="at row 7"),), (GAVE_UP,),
            Phase.FAILED, ("job-a", False, "DeadlineExceeded", "time limit exceeded"),
            id="too-long",
        ),
        pytest.param(
            (), (LATE,), Phase.FAILED, ("module-shop-r1", False, "DeadlineExceeded", ""),
            id="too-long-and-its-pod-is-gone",
        ),
        pytest.param(
            (ended("job-a", 128, "StartError", "no such file"),), (GAVE_UP,), Phase.FAILED,
            ("job-a", False, "CannotStart", ""), id="no-program",
        ),
    ],
)  # fmt: skip
def test_a_job_shows_the_try_that_decides(
    pods: Any, conditions: Any, phase: Phase, instance: tuple[str, bool, str, str]
) -> None:
    found = job(*pods, conditions=conditions)

    (shown,) = found.instances
    assert found.phase is phase
    assert (shown.id, shown.is_ready, shown.reason, shown.last_exit) == instance


def run(name: str, minute: int, *conditions: tuple[str, str, str]) -> dict[str, Any]:
    found = made(JOB, *conditions)
    found["metadata"] |= {"name": name, "creationTimestamp": f"2026-11-28T22:{minute:02d}:00Z"}
    return found


FAILED = ("Failed", "BackoffLimitExceeded", "gave up")


@pytest.mark.parametrize(
    ("runs", "ready", "words"),
    [
        pytest.param([], True, "", id="none-yet"),
        pytest.param([run("a", 1, COMPLETE)], True, "", id="well"),
        pytest.param([run("a", 1, FAILED), run("b", 2, COMPLETE)], True, "", id="well-again"),
        pytest.param(
            [run("b", 2, FAILED), run("a", 1, COMPLETE), run("c", 3)], True,
            "the last run failed; b: exit status 3: no disk", id="one",
        ),
        pytest.param(
            [run("a", 1, FAILED), run("c", 3, FAILED), run("b", 2, FAILED)], False,
            "the last 3 runs failed; c: gave up", id="three",
        ),
    ],
)  # fmt: skip
def test_a_schedule_tells_of_the_runs_that_failed_since_one_went_well(
    runs: list[dict[str, Any]], words: str, *, ready: bool
) -> None:
    pods = [ended("b-x", 3, message="no disk")]

    found = schedule_revision(made(NIGHTLY, suspend=False), NIGHTLY, runs, pods)

    (shown,) = found.instances
    assert (shown.is_ready, shown.message, found.is_active) == (ready, words, True)
    assert shown.reason == ("RunFailed" if words else "")


def test_a_schedule_begins_suspended_and_misses_what_was_due_before() -> None:
    found = workload(NIGHTLY, INSTALLATION)["spec"]

    assert (found["suspend"], found["startingDeadlineSeconds"]) == (True, 10)
    assert (found["schedule"], found["timeZone"]) == ("0 2 * * *", "Etc/UTC")
    assert found["concurrencyPolicy"] == "Forbid"


def test_a_job_is_tried_as_often_as_it_says_and_stays() -> None:
    found = workload(JOB, INSTALLATION)["spec"]

    assert (found["backoffLimit"], found["activeDeadlineSeconds"]) == (2, 120)
    assert found["podReplacementPolicy"] == "Failed"
    assert "ttlSecondsAfterFinished" not in found
    pods = found["template"]["spec"]
    assert (pods["restartPolicy"], pods["activeDeadlineSeconds"]) == ("Never", 90)
    assert "lifecycle" not in pods["containers"][0]
    assert dependents(JOB, INSTALLATION, {}) == []


def test_a_pod_with_another_time_departs() -> None:
    live = {**pod_spec(JOB, {}), "activeDeadlineSeconds": 7}

    assert differences(live, pod_spec(JOB, {})) == (("activeDeadlineSeconds", "7", "90"),)


@pytest.mark.parametrize("spec", [BARE, JOB, NIGHTLY])
def test_what_runs_is_written_and_read(spec: RevisionSpec) -> None:
    assert read(written(spec), spec.replicas, "it") == spec


def test_the_annotation_of_a_server_is_as_earlier_releases_wrote_it() -> None:
    assert "runs_once" not in written(TEMPLATE)
    assert "schedule" not in written(TEMPLATE)
    assert kind_of(TEMPLATE).name == "Deployment"
