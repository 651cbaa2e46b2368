"""The attempts of a pod: what it must not reach, what it may take for it, and what it says."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, cast

import pytest

from local_cloud.certificates import LocalCertificates
from shared.contracts.isolation import IsolationLayer
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import TenantId
from shared.surfaces.aks import attempt_program, cluster_attempts
from shared.surfaces.aks.api_errors import ApiRefusal
from shared.surfaces.aks.attempt_answer import read
from shared.surfaces.aks.attempt_jobs import ATTEMPTS, LISTENER, OF_JOB, of_platform, of_tenant
from shared.surfaces.aks.attempt_targets import SLICES, OtherPod, Target, targets
from shared.surfaces.aks.boundary_objects import CAPACITY, GATEWAY_LABEL, NAME, QUOTAS
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.cluster_attempts import ClusterAttempts
from shared.surfaces.aks.kinds import JOBS, NAMESPACES, PODS, Kind
from shared.surfaces.aks.names import MODULE, TENANT, Installation
from shared.surfaces.boundaries import Boundary
from shared.surfaces.isolation_attempts import LayerAttempts
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import ENVIRONMENT

GLOBEX: Final = TenantId("globex")
OURS: Final = Installation().namespace(ENVIRONMENT, GLOBEX)
PLATFORMS: Final = Installation().name
THEIRS: Final = Installation().namespace(ENVIRONMENT, TenantId("acme"))
IMAGE: Final = f"registry.test/python@sha256:{'a' * 64}"
METADATA: Final = Target("the metadata of its node", "169.254.169.254", 80, isMetadata=True)
API: Final[Object] = {
    "metadata": {"name": "kubernetes", "namespace": "default", "labels": {}},
    "endpoints": [{"addresses": ["20.1.1.1"]}],
    "ports": [{"port": 443}],
}
CLOSED: Final = {"network": ["", []], "identity": ["", []]}


class Cluster(MemoryApiServer):
    """Makes a pod of each Job, as a cluster does; its container ends with *message*."""

    def __init__(self, message: str = json.dumps(CLOSED)) -> None:
        super().__init__()
        self.message = message
        self.from_outside = json.dumps(CLOSED)
        """What the pod in the namespace of the platform ends with."""
        self.answers: tuple[int, bytes] | Exception = (204, b"")
        """What the platform gets of the pod that listens."""
        self.made: list[Object] = []
        self.status: Callable[[Object], Object | None] = self.runs

    def runs(self, made: Object) -> Object | None:
        if made["metadata"]["name"].startswith(LISTENER):
            ready = {"type": "Ready", "status": "True"}
            address = "10.0.0.9" if made["metadata"]["namespace"] == OURS else "10.0.7.7"
            return {"podIP": address, "conditions": [ready]}
        message = self.message if made["metadata"]["namespace"] == OURS else self.from_outside
        end = {"exitCode": 0, "message": message}
        return {"containerStatuses": [{"name": "main", "state": {"terminated": end}}]}

    async def create(self, kind: Kind, manifest: Object, *, dry_run: bool = False) -> Object:
        if dry_run:
            self.judge(manifest["spec"])
        made = await super().create(kind, manifest, dry_run=dry_run)
        if kind is JOBS:
            self.made.append(made)
            status = self.status(made)
            if status is not None:
                labels = {OF_JOB: made["metadata"]["uid"]}
                pod = {**made["metadata"], "labels": labels}
                await super().create(PODS, {"metadata": pod, "spec": {}, "status": status})
        return made

    def judge(self, spec: Object) -> None:
        """Refuse a pod as the cluster does; here each that gets at its node."""
        (container,) = spec["containers"]
        is_privileged = container["securityContext"].get("privileged")
        if is_privileged or {"hostPID", "hostNetwork", "volumes"} & spec.keys():
            raise ApiRefusal(403, "Forbidden", 'it violates PodSecurity "restricted:latest"', ())

    async def text(self, path: str, *_: Any, **__: Any) -> tuple[int, bytes]:
        assert path == f"/api/v1/namespaces/{OURS}/pods/{LISTENER}:9000/proxy/"
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    def asked(self, namespace: str) -> Object:
        """Return what the second pod in *namespace* was asked to try."""
        (job,) = (
            each for each in self.made
            if each["metadata"]["namespace"] == namespace
            and each["metadata"]["name"].startswith(ATTEMPTS)
        )  # fmt: skip
        container = job["spec"]["template"]["spec"]["containers"][0]
        asked: Object = json.loads(container["env"][0]["value"])
        return asked

    def jobs(self) -> list[str]:
        return [name for kind, _, name in self.objects if kind is JOBS]


def tried(
    cluster: Cluster, image: str | None = IMAGE, *, may_reach: str = ""
) -> tuple[LayerAttempts, ...]:
    properties = {f"mayReach/{may_reach}": "allowed"} if may_reach else {}
    boundary = Boundary(ENVIRONMENT, GLOBEX, OURS, True, properties=properties)
    api = cast("ClusterApi", cluster)
    attempts = run_virtual(ClusterAttempts(api, Installation(), LoopClock(), image).run(boundary))
    assert attempts[0] == LayerAttempts(IsolationLayer.COMPUTE)
    return attempts[1:]


def why(attempts: tuple[LayerAttempts, ...]) -> str:
    """Return why nothing is shown, which is the same of both layers that pods try."""
    assert [each.layer for each in attempts] == [IsolationLayer.NETWORK, IsolationLayer.IDENTITY]
    (said,) = {each.inconclusive_because for each in attempts}
    assert not any(each.reached for each in attempts)
    return said


async def add_pod(cluster: Cluster, name: str, tenant: str, place: str = THEIRS) -> None:
    labels = {
        **Installation().of_environment(ENVIRONMENT), TENANT: tenant, MODULE: "module-shop",
    }  # fmt: skip
    container = {"ports": [{"containerPort": 8080}]}
    ready = {"type": "Ready", "status": "True"}
    status = {"podIP": "10.0.1.5", "hostIP": "10.9.0.4", "conditions": [ready]}
    metadata = {"name": name, "namespace": place, "labels": labels}
    await cluster.create(
        PODS, {"metadata": metadata, "spec": {"containers": [container]}, "status": status}
    )


def test_pods_of_others_and_what_runs_the_cluster_are_tried() -> None:
    cluster = Cluster()
    run_virtual(add_pod(cluster, "web", "acme"))
    run_virtual(add_pod(cluster, "forged", "acme", "elsewhere"))
    run_virtual(cluster.create(SLICES, API))

    assert {each.inconclusive_because for each in tried(cluster)} == {""}

    asked = cluster.asked(OURS)
    assert asked["control"] == ["10.0.0.9", 9000]
    assert [(each["host"], each["port"]) for each in asked["targets"]] == [
        ("10.0.1.5", 8080), ("10.9.0.4", 10250), ("20.1.1.1", 443), ("169.254.169.254", 80),
    ]  # fmt: skip
    pods = [each["spec"]["template"]["spec"] for each in cluster.made]
    assert {each["automountServiceAccountToken"] for each in pods} == {False}
    of_ours = [each for each in cluster.made if each["metadata"]["namespace"] == OURS]
    assert [each["metadata"]["name"] for each in of_ours] == [LISTENER, ATTEMPTS]
    assert {each["spec"]["template"]["spec"]["serviceAccountName"] for each in of_ours} == {NAME}
    assert cluster.jobs() == []


async def add_own_pod(cluster: Cluster) -> None:
    await add_pod(cluster, "web", GLOBEX, OURS)


def test_a_pod_of_the_platforms_namespace_tries_to_come_in() -> None:
    cluster = Cluster()
    run_virtual(add_own_pod(cluster))

    assert {each.inconclusive_because for each in tried(cluster)} == {""}

    asked = cluster.asked(PLATFORMS)
    assert asked["control"] == ["10.0.7.7", 9000]
    assert [(each["host"], each["port"]) for each in asked["targets"]] == [
        ("10.0.0.9", 9000), ("10.0.1.5", 8080),
    ]  # fmt: skip
    accounts = {
        each["spec"]["template"]["spec"]["serviceAccountName"]
        for each in cluster.made
        if each["metadata"]["namespace"] == PLATFORMS
    }
    assert accounts == {"default"}
    assert cluster.jobs() == []


def network_of(attempts: tuple[LayerAttempts, ...]) -> LayerAttempts:
    (network,) = (each for each in attempts if each.layer is IsolationLayer.NETWORK)
    return network


@pytest.mark.parametrize("outward", [json.dumps(CLOSED), "it ended"])
def test_who_comes_in_is_told_also_where_the_other_way_shows_nothing(outward: str) -> None:
    cluster = Cluster(outward)
    cluster.from_outside = json.dumps({**CLOSED, "network": ["", ["it reaches a pod of it"]]})

    assert network_of(tried(cluster)) == LayerAttempts(
        IsolationLayer.NETWORK,
        reached=(f"a pod of {PLATFORMS} comes in: it reaches a pod of it",),
    )


def test_what_is_reached_outside_is_told_where_nobody_could_try_to_come_in() -> None:
    cluster = Cluster(json.dumps({**CLOSED, "network": ["", ["it reaches the API server"]]}))
    cluster.from_outside = "it ended"

    assert network_of(tried(cluster)).reached == ("it reaches the API server",)


def has_no_place(cluster: Cluster) -> None:
    refusal = ApiRefusal(404, "NotFound", "there is no such namespace", ())
    runs = cluster.runs

    def runs_or_not(made: Object) -> Object | None:
        if made["metadata"]["namespace"] == PLATFORMS:
            raise refusal
        return runs(made)

    cluster.status = runs_or_not


def cannot_connect(cluster: Cluster) -> None:
    said = "it cannot connect to a pod of its own namespace, 10.0.7.7:9000"
    cluster.from_outside = json.dumps({**CLOSED, "network": [said, []]})


def is_not_answered(cluster: Cluster) -> None:
    cluster.answers = (502, b"dial tcp: i/o timeout")


def gets_no_answer(cluster: Cluster) -> None:
    cluster.answers = Unavailable("it takes too long")


def is_a_gateways(cluster: Cluster) -> None:
    labels = {GATEWAY_LABEL: "true"}
    namespace = {"metadata": {"name": PLATFORMS, "labels": labels}}
    cluster.objects[NAMESPACES, None, PLATFORMS] = namespace


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (has_no_place, "could not try to come in: there is no such namespace"),
        (cannot_connect, "could not try to come in: it cannot connect to a pod of its own"),
        (is_not_answered, "the platform does not reach the pod that listens either: 502 dial tcp"),
        (gets_no_answer, "could not try to come in: it takes too long"),
        (is_a_gateways, "has the label factory-runtime/gateway, so its pods are let in"),
    ],
)
def test_without_its_controls_nobody_coming_in_shows_nothing(
    broken: Callable[[Cluster], None], words: str
) -> None:
    cluster = Cluster()
    broken(cluster)

    network, identity = tried(cluster)

    assert words in network.inconclusive_because
    assert identity == LayerAttempts(IsolationLayer.IDENTITY)
    assert cluster.jobs() == []


@pytest.mark.parametrize(
    ("may_reach", "left"),
    [
        ((), ["10.0.1.5", "10.9.0.4", "20.1.1.1", "169.254.169.254"]),
        (("10.0.0.0/8",), ["20.1.1.1", "169.254.169.254"]),
        (("fd00::/8", "20.0.0.0/8"), ["10.0.1.5", "10.9.0.4", "169.254.169.254"]),
        (("0.0.0.0/0",), []),
    ],
)
def test_what_the_tenant_may_reach_is_not_tried(
    may_reach: tuple[str, ...], left: list[str]
) -> None:
    pods = [OtherPod(THEIRS, "10.0.1.5", "10.9.0.4", 8080, True)]

    assert [each.host for each in targets(pods, API, OURS, may_reach)] == left


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(OtherPod(OURS, "10.0.1.5", "", 8080, True), id="its-own"),
        pytest.param(OtherPod(THEIRS, "10.0.1.5", "", None, True), id="without-a-port"),
        pytest.param(OtherPod(THEIRS, "", "", 8080, False), id="that-does-not-run"),
    ],
)
def test_a_pod_that_shows_nothing_is_not_tried(pod: OtherPod) -> None:
    assert targets([pod], None, OURS, ()) == [METADATA]


def test_without_an_image_nothing_is_tried() -> None:
    with pytest.raises(Unavailable, match="no RUNTIME_ISOLATION_IMAGE"):
        tried(Cluster(), None)


@pytest.mark.parametrize(
    ("name", "hard", "used", "room"),
    [
        (NAME, {"pods": "5"}, {"pods": "3"}, True),
        (NAME, {"pods": "5"}, {"pods": "4"}, False),
        (NAME, {"limits.memory": "1Gi"}, {"limits.memory": "896Mi"}, True),
        (NAME, {"limits.memory": "1Gi"}, {"limits.memory": "897Mi"}, False),
        (CAPACITY, {"limits.cpu": "2"}, {"limits.cpu": "1900m"}, False),
    ],
)
def test_a_full_quota_shows_nothing_and_nothing_is_made(
    name: str, hard: Object, used: Object, *, room: bool
) -> None:
    cluster = Cluster()
    metadata = {"name": name, "namespace": OURS, "labels": {}}
    quota = {"metadata": metadata, "spec": {"hard": hard}, "status": {"used": used}}
    run_virtual(cluster.create(QUOTAS, quota))

    said = why(tried(cluster))

    assert (said == "") is room
    assert bool(cluster.made) is room
    if not room:
        assert said.startswith(f"its quota {name} has no room to try: ")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(
            None, "no pod is made of it: a quota or a policy of the namespace refuses it",
            id="no-pod",
        ),
        pytest.param({}, "its pod does not say why", id="nothing"),
        pytest.param(
            {"containerStatuses": [
                {"name": "main", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
            ]},
            "ErrImagePull: no", id="no-image",
        ),
        pytest.param(
            {"conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": "0/3 nodes"}
            ]},
            "Unschedulable: 0/3 nodes", id="no-node",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            "Evicted: low on memory", id="evicted-before-it-began",
        ),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_come_to_try_shows_nothing_and_says_why(
    status: Object | None, words: str
) -> None:
    cluster = Cluster()
    cluster.status = lambda _: status

    said = why(tried(cluster))

    assert said == f"the Job {LISTENER} did not come to try: {words}"
    assert cluster.jobs() == []


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Traceback",
        "[]",
        '{"network": ["", []]}',
        '{"network": 1, "identity": 1}',
        "9" * 5000,
        "[" * 4000,
        '{"network": ["", ""], "identity": ["", []]}',
        '{"network": ["", {}], "identity": ["", []]}',
        '{"network": [0, []], "identity": ["", []]}',
    ],
)
def test_what_is_no_answer_of_the_program_shows_nothing(message: str) -> None:
    said = why(tried(Cluster(message)))

    assert said.startswith("the process that was to try ended with 0: ")
    assert len(said) <= 300


@pytest.mark.parametrize("message", ["", " \n"])
def test_a_program_that_ends_without_a_word_is_said_to_say_nothing(message: str) -> None:
    assert why(tried(Cluster(message))) == (
        "the process that was to try ended with 0: it said nothing"
    )


def test_what_was_reached_is_told_and_bounded() -> None:
    many = [f"{at}{'x' * 400}" for at in range(9)]

    found = read({"message": json.dumps({"network": ["", many], "identity": ["why", []]})})

    network, identity = found
    assert [len(each) for each in network.reached] == [300] * 5
    assert identity == LayerAttempts(IsolationLayer.IDENTITY, "why")


def test_what_an_attempt_that_was_killed_left_is_removed_and_not_believed() -> None:
    cluster = Cluster()

    async def killed() -> None:
        of_both = Installation(), ENVIRONMENT, GLOBEX
        for place in (of_tenant(*of_both), of_platform(*of_both)):
            for name in (ATTEMPTS, LISTENER):
                left = {"name": place.name(name), "namespace": place.namespace, "labels": {}}
                await MemoryApiServer.create(cluster, JOBS, {"metadata": left})

    run_virtual(killed())

    assert {each.inconclusive_because for each in tried(cluster)} == {""}
    assert len(cluster.made) == 4
    assert cluster.jobs() == []


def test_a_caller_that_gives_up_leaves_no_job() -> None:
    cluster = Cluster()
    cluster.status = lambda _: {}
    boundary = Boundary(ENVIRONMENT, GLOBEX, OURS, True)

    async def main() -> list[str]:
        clock = LoopClock()
        attempts = ClusterAttempts(cast("ClusterApi", cluster), Installation(), clock, IMAGE)
        asking = asyncio.ensure_future(attempts.run(boundary))
        await clock.sleep(1)
        begun = cluster.jobs()
        asking.cancel()
        await asyncio.wait([asking])
        return begun

    assert run_virtual(main()) == [LISTENER]
    assert cluster.jobs() == []


def test_a_job_that_changes_while_it_is_removed_is_read_again() -> None:
    cluster = Cluster()

    async def others_write() -> None:
        key = (JOBS, OURS, ATTEMPTS)
        cluster.objects[key]["metadata"]["resourceVersion"] = "changed"

    cluster.before("delete", JOBS, others_write)
    tried(cluster)

    assert cluster.jobs() == []


def test_a_removal_that_is_refused_leaves_the_answer_and_the_other_job_is_removed() -> None:
    cluster = Cluster()

    async def refuse() -> None:
        raise ApiRefusal(500, "InternalError", "not now", ())

    cluster.before("delete", JOBS, refuse)

    assert {each.inconclusive_because for each in tried(cluster)} == {""}
    assert cluster.jobs() == [ATTEMPTS]


@pytest.mark.parametrize(
    "failure", [ApiRefusal(403, "Forbidden", "a webhook denies it", ()), Unavailable("it is away")]
)
def test_where_jobs_are_refused_what_dry_runs_reached_counts(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    cluster = Cluster()
    monkeypatch.setattr(cluster, "judge", lambda _: None)

    def refuse(_: Object) -> None:
        raise failure

    cluster.status = refuse
    api = cast("ClusterApi", cluster)
    boundary = Boundary(ENVIRONMENT, GLOBEX, OURS, True)

    compute, *by_pods = run_virtual(
        ClusterAttempts(api, Installation(), LoopClock(), IMAGE).run(boundary)
    )

    assert len(compute.reached) == 4
    assert why(tuple(by_pods)) == str(failure)


def test_who_comes_in_is_told_also_where_the_other_way_is_refused() -> None:
    cluster = Cluster()
    cluster.from_outside = json.dumps({**CLOSED, "network": ["", ["it reaches a pod of it"]]})
    runs = cluster.runs

    def refuse_to_go_out(made: Object) -> Object | None:
        if made["metadata"]["namespace"] == OURS and made["metadata"]["name"] == ATTEMPTS:
            raise ApiRefusal(403, "Forbidden", "a webhook denies it", ())
        return runs(made)

    cluster.status = refuse_to_go_out

    assert network_of(tried(cluster)).reached


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the program wait for nothing: what it connects to is this machine's."""
    monkeypatch.setattr(attempt_program, "_CONTROLS", 1)
    monkeypatch.setattr(attempt_program, "_AGAIN_AFTER_S", 0.0)


@pytest.fixture
def listening() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as opened:
        yield opened.getsockname()[1]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        return int(closed.getsockname()[1])


def asked(control: int, *ports: int, **of_each: Any) -> dict[str, Any]:
    one: dict[str, Any] = {
        "isMetadata": False,
        "name": "a pod",
        "host": "127.0.0.1",
        "isNode": False,
        "isApiServer": False,
    }
    return {
        "control": ["127.0.0.1", control],
        "targets": [{**one, **of_each, "port": port} for port in ports],
    }


@pytest.mark.usefixtures("patient")
def test_the_program_tells_what_takes_its_connection(listening: int) -> None:
    closed = free_port()

    assert attempt_program.network(asked(listening, closed)) == ("", [])
    assert attempt_program.network(asked(listening, closed, listening)) == (
        "", [f"it reaches a pod at 127.0.0.1:{listening}"],
    )  # fmt: skip


@pytest.mark.usefixtures("patient")
def test_who_does_not_reach_its_own_shows_nothing_of_others(listening: int) -> None:
    said, reached = attempt_program.network(asked(free_port(), listening))

    assert "cannot connect to a pod of its own namespace" in said
    assert reached == []


@pytest.mark.usefixtures("patient")
def test_its_own_node_is_not_tried_as_no_policy_keeps_it_away(
    listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(attempt_program.NODE, "127.0.0.1")

    said, reached = attempt_program.network(asked(listening, listening, isNode=True))

    assert (said, reached) == ("there is nothing that it may not reach", [])


@contextmanager
def answering(status: int, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve *status* to every request at a port of this machine; by TLS with *context*."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(
    ("status", "reached"), [(200, ["it gets a token of its node's identity"]), (403, [])]
)
def test_a_token_of_its_node_is_who_else_it_could_be(status: int, reached: list[str]) -> None:
    with answering(status) as port:
        said = attempt_program.identity(asked(1, port, isMetadata=True), "")

    assert said == ("", reached)


@pytest.mark.parametrize(
    ("status", "reached"), [(200, ["a pod answers without a token"]), (403, [])]
)
def test_an_api_server_that_lets_anybody_in_is_told(
    status: int, reached: list[str], tmp_path: Path
) -> None:
    context = LocalCertificates(tmp_path, SystemClock()).server_context()

    with answering(status, context) as port:
        said = attempt_program.identity(asked(1, port, isApiServer=True), "")

    assert said == ("", reached)


def test_without_a_network_nothing_is_shown_of_who_it_could_be() -> None:
    nobody = asked(1, free_port(), isApiServer=True)

    assert attempt_program.identity(nobody, "no network") == ("no network", [])


def test_a_token_of_the_cluster_that_is_in_it_is_told_also_without_a_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("a token")
    monkeypatch.setattr(attempt_program, "TOKEN", str(token))

    assert attempt_program.identity(asked(1), "no network") == (
        "", ["a token of the cluster is in it"],
    )  # fmt: skip


def test_a_pod_of_an_attempt_goes_before_the_next_proof() -> None:
    cluster = Cluster()
    tried(cluster)

    for made in cluster.made:
        spec = made["spec"]
        goes_after_s = spec["activeDeadlineSeconds"] + spec["ttlSecondsAfterFinished"]
        assert timedelta(seconds=goes_after_s) < timedelta(minutes=5)
    assert cluster.made[0]["spec"]["activeDeadlineSeconds"] > cluster_attempts._WITHIN_S * 3
