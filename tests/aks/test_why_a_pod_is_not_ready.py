"""A pod's status in the words of the port; the statuses are as kubelets of 1.37 wrote them."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.kernel.clock import parse_instant
from shared.surfaces.aks.instances import instance
from shared.surfaces.aks.names import REVISION
from tests.surfaces.harness import TEMPLATE

STARTED = datetime(2026, 11, 28, 22, 48, 6, tzinfo=UTC)
NOW = STARTED + timedelta(seconds=30)
EARLIER, LATER = "2026-11-28T22:47:06Z", "2026-11-28T22:48:06Z"
RUNNING = {"running": {"startedAt": LATER}}
POD: dict[str, Any] = {
    "metadata": {
        "name": "shop-r1-x",
        "labels": {REVISION: "1"},
        "creationTimestamp": "2026-11-28T22:48:05Z",
    },
    "status": {"phase": "Running", "podIP": "10.1.2.3"},
}


def pod(status: dict[str, Any], ready: str = "False", **whole: Any) -> dict[str, Any]:
    made = deepcopy(POD)
    message = "containers with unready status: [main]"
    made["status"]["conditions"] = [
        {"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-28T22:48:06Z",
         "message": message}
    ]  # fmt: skip
    made["status"]["containerStatuses"] = [{"name": "main", **status}]
    made["status"] |= whole
    return made


def ended(reason: str, code: int, message: str = "") -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code, "message": message}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


BACK_OFF = waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
FULL = 'Usage of EmptyDir volume "home" exceeds the limit "256Mi". '
SHORT = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
UNPLACED = {
    "type": "PodScheduled",
    "status": "False",
    "message": "0/2 nodes are available: 2 Insufficient memory.",
}


@pytest.mark.parametrize(
    ("found", "reason", "message"),
    [
        pytest.param(
            pod({"state": waiting("ImagePullBackOff", 'Back-off pulling image "r/x@sha256:0"')}),
            "CannotStart", 'ImagePullBackOff: Back-off pulling image "r/x@sha256:0"',
            id="an-image-that-is-not-there",
        ),
        pytest.param(
            pod({"state": waiting("CreateContainerConfigError", "image will run as root")}),
            "CannotStart", "CreateContainerConfigError: image will run as root",
            id="an-image-that-runs-as-root",
        ),
        pytest.param(
            pod({"state": BACK_OFF, "restartCount": 5,
                 "lastState": ended("StartError", 128, 'exec: "/nothing": no such file')}),
            "CannotStart", 'exec: "/nothing": no such file', id="no-such-program",
        ),
        pytest.param(
            pod({"state": BACK_OFF, "restartCount": 5, "lastState": ended("Error", 3, "no key")}),
            "Exited", "no key", id="it-ends-by-itself",
        ),
        pytest.param(
            pod({"state": BACK_OFF, "restartCount": 5, "lastState": ended("OOMKilled", 137)}),
            "MemoryExceeded", "", id="too-much-memory",
        ),
        pytest.param(
            pod({}, phase="Failed", reason="Evicted", message=FULL),
            "DiskExceeded", FULL, id="too-much-disk",
        ),
        pytest.param(
            pod({}, phase="Failed", reason="Evicted", message=SHORT),
            "Exited", SHORT, id="the-node-was-short-of-memory",
        ),
        pytest.param(
            pod({"state": RUNNING, "started": True}),
            "ProbeFailed", "containers with unready status: [main]", id="its-probe-fails",
        ),
        pytest.param(
            pod({"state": waiting("ContainerCreating")}), "Starting", "", id="it-starts",
        ),
        pytest.param(
            pod({}, conditions=[UNPLACED]), "CannotStart",
            "no node takes it: 0/2 nodes are available: 2 Insufficient memory.",
            id="no-node-has-room",
        ),
    ],
)  # fmt: skip
def test_the_reason_is_what_an_operator_must_know(
    found: dict[str, Any], reason: str, message: str
) -> None:
    made = instance(found, TEMPLATE, NOW)

    assert (made.is_ready, made.reason, made.message) == (False, reason, message)


@pytest.mark.parametrize(
    ("ip", "address"), [("10.1.2.3", "10.1.2.3:80"), ("fd00::2", "[fd00::2]:80")]
)
def test_an_address_is_one_that_a_url_can_have(ip: str, address: str) -> None:
    found = instance(pod(RUNNING, "True", podIP=ip), replace(TEMPLATE, port=80), NOW)

    assert found.address == address


def test_a_signal_is_told_from_an_exit_status() -> None:
    killed = pod({"state": RUNNING, "restartCount": 1, "lastState": ended("OOMKilled", 137)})
    failed = pod({"state": RUNNING, "restartCount": 1, "lastState": ended("Error", 3)})

    assert instance(killed, TEMPLATE, NOW).exit_code == -9
    assert instance(killed, TEMPLATE, NOW).last_exit == "memory limit exceeded"
    assert instance(failed, TEMPLATE, NOW).last_exit == "exit status 3"


@pytest.mark.parametrize(
    ("state", "last"),
    [
        pytest.param(RUNNING, LATER, id="it-runs"),
        pytest.param(BACK_OFF, EARLIER, id="it-waits-for-its-next-start"),
        pytest.param({"terminated": {"startedAt": LATER, "exitCode": 1}}, LATER, id="it-has-ended"),
        pytest.param(
            {"terminated": {"startedAt": "1970-01-01T00:00:00Z", "reason": "StartError"}},
            EARLIER,
            id="it-could-not-start",
        ),
    ],
)
def test_a_restart_was_when_the_process_began_that_was_counted_last(
    state: dict[str, Any], last: str
) -> None:
    before = {"terminated": {**ended("Error", 3)["terminated"], "startedAt": EARLIER}}

    found = instance(pod({"state": state, "restartCount": 2, "lastState": before}), TEMPLATE, NOW)

    assert found.restarted_at == parse_instant(last)


def test_a_pod_that_stops_takes_no_more_requests() -> None:
    found = pod({"state": RUNNING, "started": True}, ready="True")
    assert instance(found, TEMPLATE, NOW).is_ready

    found["metadata"]["deletionTimestamp"] = "2026-11-28T22:49:00Z"

    assert instance(found, TEMPLATE, NOW).unready_because == "Stopping"


def test_a_worker_is_ready_when_it_has_run_for_a_second() -> None:
    worker = replace(TEMPLATE, port=None, readiness=None, release=None, path_prefix=None)
    found = pod({"state": RUNNING, "started": True}, ready="True")

    assert not instance(found, worker, STARTED + timedelta(seconds=0.9)).is_ready
    assert instance(found, worker, STARTED + timedelta(seconds=1)).is_ready
