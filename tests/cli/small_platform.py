"""A platform with one of each: environment, deployment, service, operation, parked message."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from cli.main import main
from shared.contracts.deployments import DeploymentAccepted
from tests.cli.small_server import Asked, Server, serving
from tests.kit.route_answers import require_answer

ENVIRONMENT = "env-w5ekllr23tyb"
DEPLOYMENT = "dep-w5ekllr23tyb-0123456789abcdef"
SERVICE = "svc-w5ekllr23tyb-abcdefghij"
OPERATION = "op-deployments-w5ekllr23tyb-0123456789abcdef"
EVENT = "evt-0a1b2c3d-0000-4000-8000-000000000001"
DIGEST = "sha256:" + "a" * 64
RUNTIME = "/v1/runtime"
NOON = "2026-11-28T12:00:00.000000Z"

THE_ENVIRONMENT: Mapping[str, Any] = {
    "environmentId": ENVIRONMENT, "name": "test", "stage": "test", "status": "Provisioned",
    "projectId": "proj-default", "isolationModel": "shared", "protected": False,
    "tags": {"team": "web"}, "computeTargets": [{"kind": "LocalProcess"}], "updatedAt": NOON,
    "provisioned": [{"kind": "LocalProcess", "endpoint": "http://127.0.0.1:9000"}],
}  # fmt: skip
THE_DEPLOYMENT: Mapping[str, Any] = {
    "deploymentId": DEPLOYMENT, "environmentId": ENVIRONMENT, "releaseRef": "shop-1",
    "kind": "release", "status": "Completed", "weight": 100, "waitingFor": None, "holder": None,
    "requestedBy": "user:ann", "createdAt": NOON, "endedAt": NOON, "previousDeploymentId": None,
    "operationId": OPERATION, "components": [{"moduleId": "module-shop"}], "steps": [],
    "reason": None, "proof": None,
}  # fmt: skip
THE_ACCEPTED: Mapping[str, Any] = {
    name: THE_DEPLOYMENT[name]
    for name in (each.alias or "" for each in DeploymentAccepted.model_fields.values())
    if name in THE_DEPLOYMENT
}
"""What a command of a deployment answers: less than the deployment."""
THE_SERVICE: Mapping[str, Any] = {
    "serviceId": SERVICE, "environmentId": ENVIRONMENT, "moduleId": "module-shop",
    "version": "1.0", "releaseRevision": 3, "status": "Running", "replicas": 2,
    "instances": [
        {"status": "Ready", "releaseRevision": 3, "restarts": 0, "startedAt": NOON},
        {
            "status": "Starting", "releaseRevision": 3, "restarts": 2, "restartedAt": NOON,
            "startedAt": "2026-07-30T13:00:00Z", "reason": "Starting: GET /health answered 404",
        },
        {"status": "Ready", "releaseRevision": 2, "restarts": 7, "startedAt": NOON},
    ],
    "endpointUrl": "http://127.0.0.1:9000/",
}  # fmt: skip
THE_OPERATION: Mapping[str, Any] = {
    "operationId": OPERATION, "kind": "rollOut", "state": "Running", "percent": 40,
    "steps": [{"name": "analyze"}], "waitingFor": None, "owner": "user:ann", "createdAt": NOON,
    "endedAt": None,
}  # fmt: skip
THE_MESSAGE: Mapping[str, Any] = {
    "eventId": EVENT, "eventType": "SecretRotated", "code": "UnknownSecret", "parkedAt": NOON,
    "reason": "no such secret", "place": "Parked",
}  # fmt: skip
DEAD_LETTER: Final = "dl-deployments-events-17"
THE_DEAD_LETTER: Mapping[str, Any] = {
    "eventId": DEAD_LETTER, "eventType": "SecretBound", "code": "MaxDeliveryCountExceeded",
    "enqueuedAt": NOON, "reason": "20 deliveries", "place": "DeadLettered",
}  # fmt: skip
THE_EVENT: Mapping[str, Any] = {
    "eventId": EVENT, "eventType": "RuntimeDeploymentCompleted", "occurredAt": NOON, "number": 1,
    "actor": "user:ann", "action": "Deploy", "aggregateId": DEPLOYMENT, "target": DEPLOYMENT,
    "cause": f"request {OPERATION}",
}  # fmt: skip
ANSWERS: Mapping[str, Any] = {
    f"GET {RUNTIME}/environments": [THE_ENVIRONMENT],
    f"GET {RUNTIME}/environments/{ENVIRONMENT}": THE_ENVIRONMENT,
    f"POST {RUNTIME}/environments": THE_ENVIRONMENT,
    f"PUT {RUNTIME}/environments/{ENVIRONMENT}": THE_ENVIRONMENT,
    f"DELETE {RUNTIME}/environments/{ENVIRONMENT}": THE_ENVIRONMENT,
    f"GET {RUNTIME}/deployments": [THE_DEPLOYMENT],
    f"GET {RUNTIME}/deployments/{DEPLOYMENT}": THE_DEPLOYMENT,
    f"GET {RUNTIME}/services": [THE_SERVICE],
    f"GET {RUNTIME}/services/{SERVICE}": THE_SERVICE,
    f"GET {RUNTIME}/services/{SERVICE}/health": {"status": "Degraded", "since": NOON},
    f"GET {RUNTIME}/services/{SERVICE}/history": [],
    f"GET {RUNTIME}/operations/{OPERATION}": THE_OPERATION,
    **{
        f"GET /v1/platform/{app}/alerts": []
        for app in ("deployments", "secret-bindings", "scaling", "drift")
    },
    "GET /v1/platform/deployments/operations": [THE_OPERATION],
    "GET /v1/platform/deployments/events": [THE_EVENT],
    "GET /v1/platform/deployments/parked": [THE_MESSAGE],
    "GET /v1/platform/deployments/parked?deadLettered=true": [THE_DEAD_LETTER],
    f"GET /v1/platform/deployments/parked/{EVENT}": THE_MESSAGE,
    f"GET /v1/platform/deployments/parked/{DEAD_LETTER}": THE_DEAD_LETTER,
}
"""By method and path; a list is a collection of one page. What is not here is 404.

Another query than the page's size is part of the path where it is here so.
"""


@dataclass
class Ran:
    """What one line of `runtimectl` exited with, printed and asked."""

    code: int
    out: str
    err: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def written(self) -> tuple[str, Any]:
        """Return the one write: method, path and query as text, and the body.

        It is the last one: what only planned it before is none.
        """
        *plans, only = [asked for asked in self.asked if asked.method != "GET"]
        assert all(json.loads(asked.body)["dryRun"] for asked in plans)
        return f"{only.method} {only.path}", json.loads(only.body) if only.body else None

    def query_of(self, path: str) -> Mapping[str, str]:
        """Return the query of the first request for *path*."""
        match = next(asked for asked in self.asked if urlsplit(asked.path).path == path)
        return dict(parse_qsl(urlsplit(match.path).query))


def answer_of(asked: Asked, more: Mapping[str, Any] | None = None) -> tuple[int, Any]:
    """Return what the platform answers."""
    answers, parts = {**ANSWERS, **(more or {})}, urlsplit(asked.path)
    query = urlencode([each for each in parse_qsl(parts.query) if each[0] != "top"])
    path = f"{asked.method} {parts.path}"
    body = answers.get(f"{path}?{query}", answers.get(path))
    if body is None:
        return 404, {"error": {"code": "NotFound", "message": "nothing here"}}
    return 200, {"value": body, "nextLink": None} if isinstance(body, list) else body


@contextmanager
def platform(more: Mapping[str, Any]) -> Iterator[Server]:
    with serving(lambda asked: answer_of(asked, more), keeps_connections=False) as server:
        yield server


class RuntimeCtl:
    """`runtimectl`, logged in to a platform that has *more* answers for one line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def run(self, line: str, more: Mapping[str, Any] | None = None) -> Ran:
        """Run *line* where *more* is answered too; each is as its route answers."""
        for request, body in (more or {}).items():
            require_answer(request, body)
        with platform(more or {}) as server:
            return self.run_at(server, line)

    def run_at(self, server: Server, line: str) -> Ran:
        return self.run_words(server, line.split())

    def run_words(self, server: Server, words: Sequence[str]) -> Ran:
        self._monkeypatch.setenv("RUNTIMECTL_URL", server.url)
        self._monkeypatch.setenv("RUNTIMECTL_TOKEN", "a-token")
        code = main(words)
        printed = self._capsys.readouterr()
        return Ran(code, printed.out, printed.err, server.asked)
