from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from cli.client import Client, HostUnreachable
from cli.deploy_request import DeployOptions, deploy_request
from cli.exit_codes import ExitCode
from cli.failure import Failure
from tests.cli.small_server import Asked, Server, serving
from tests.kit.seeded_entropy import SeededEntropy

pytestmark = pytest.mark.real
DIGEST = "sha256:" + "a" * 64
ENVIRONMENT = "env-w5ekllr23tyb"
COMPONENT = {
    "moduleId": "module-shop", "componentType": "worker", "version": "1", "artifactDigest": DIGEST,
}  # fmt: skip
Answers = Callable[[Asked], tuple[int, Any] | None]
_NOTHING: dict[str, Any] = {"value": [], "nextLink": None}


@contextmanager
def _connected(answer: Answers) -> Iterator[tuple[Client, Server]]:
    with serving(answer) as server:
        client = Client(server.url, "a-token", SeededEntropy(1))
        yield client, server
        # Before the server ends: it waits for connections that are kept.
        client.close()


def test_an_error_of_the_api_keeps_its_code_details_and_trace() -> None:
    error = {
        "code": "Invalid", "message": "the body is invalid", "traceId": "trace-1",
        "details": [{"target": "/name", "message": "too long", "expected": "40", "received": "41"}],
    }  # fmt: skip
    with (
        _connected(lambda _: (400, {"error": error})) as (client, _),
        pytest.raises(Failure) as failed,
    ):
        client.write("POST", "/v1/runtime/environments", {})

    assert failed.value.exit_code is ExitCode.REFUSED
    assert failed.value.code == "Invalid"
    assert failed.value.details[0].text() == "name: too long; expected 40, got 41"
    assert failed.value.trace_id == "trace-1"


def test_a_write_whose_answer_was_lost_is_repeated_under_the_same_key() -> None:
    responses: list[tuple[int, Any] | None] = [(200, {}), None, (200, {"is": "first"})]
    with _connected(lambda _: responses.pop(0)) as (client, server):
        client.get("/kept")

        reply = client.write("POST", "/v1/runtime/deployments", {"a": 1})

    keys = {asked.headers["idempotency-key"] for asked in server.asked[1:]}
    assert reply.body == {"is": "first"}
    assert len(server.asked) == 3
    assert len(keys) == 1


def test_every_request_carries_the_token() -> None:
    with _connected(lambda _: (200, {})) as (client, server):
        client.get("/x")

    assert server.asked[0].headers["authorization"] == "Bearer a-token"


def test_nobody_at_the_address_is_unavailable_and_says_how_to_start() -> None:
    with _connected(lambda _: (200, {})) as (client, _):
        pass

    with pytest.raises(HostUnreachable) as away:
        client.get("/v1/runtime/environments")

    assert away.value.exit_code is ExitCode.UNAVAILABLE
    assert "runtimectl up" in away.value.remedy


CONTINUATION = '[{"token":"+RID:~ab#RT:1","range":{"min":"","max":"FF"}}]&top=9'
"""As Cosmos DB gives them."""


def test_a_collection_is_read_to_its_last_page_by_absolute_links() -> None:
    def page(asked: Asked) -> tuple[int, Any]:
        query = parse_qs(urlsplit(asked.path).query)
        if query.get("continuation") == [CONTINUATION]:
            return 200, {"value": [{"n": 2}], "nextLink": None}
        more = urlencode({"status": "Running", "top": 200, "continuation": CONTINUATION})
        link = f"http://runtime.test/v1/runtime/services?{more}"
        return 200, {"value": [{"n": 1}], "nextLink": link}

    with _connected(page) as (client, server):
        items = list(client.list_all("/v1/runtime/services", {"status": "Running"}))

    assert [item["n"] for item in items] == [1, 2]
    assert all("status=Running" in asked.path for asked in server.asked)


@pytest.mark.parametrize("status", [403, 404])
def test_a_collection_that_the_caller_may_not_read_is_no_empty_one(status: int) -> None:
    error = {"code": "ScopeMissing", "message": "no", "traceId": "t", "details": []}
    with _connected(lambda _: (status, {"error": error})) as (client, _):
        assert client.list_readable("/v1/runtime/services") is None
    with _connected(lambda _: (200, _NOTHING)) as (client, _):
        assert client.list_readable("/v1/runtime/services") == []


def test_a_collection_whose_service_is_away_is_not_taken_for_one_that_may_not_be_read() -> None:
    error = {"code": "Unavailable", "message": "no", "traceId": "t", "details": []}
    with (
        _connected(lambda _: (503, {"error": error})) as (client, _),
        pytest.raises(Failure),
    ):
        client.list_readable("/v1/runtime/services")


def _environments(_: Asked) -> tuple[int, Any]:
    return 200, {"value": [{"environmentId": ENVIRONMENT, "name": "test"}], "nextLink": None}


def _request(options: DeployOptions) -> dict[str, Any]:
    with _connected(_environments) as (client, _):
        body, _, _ = deploy_request(options, client)
        return body


def _file(folder: Path, text: str) -> Path:
    path = folder / "release.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_release_file_is_sent_as_it_is_but_for_names_and_archives(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        f"releaseRef: shop-1\nenvironment: test\nrestart: true\ncomponents:\n"
        f"  - {{moduleId: module-shop, componentType: worker, version: '1',\n"
        f"     artifact: '{DIGEST}'}}\n",
    )

    body = _request(DeployOptions(file=file))

    assert body == {
        "releaseRef": "shop-1",
        "environmentId": ENVIRONMENT,
        "restart": True,
        "components": [{**COMPONENT, "version": "1"}],
    }


def test_options_override_the_one_component_of_a_file(tmp_path: Path) -> None:
    component = "{moduleId: module-shop, componentType: worker, version: '1', replicas: 1}"
    file = _file(tmp_path, f"components: [{component}]\n")

    body = _request(
        DeployOptions(
            file, "test", artifacts=[DIGEST], component={"version": "2", "replicas": None}
        )
    )

    assert body["components"] == [{**COMPONENT, "version": "2", "replicas": 1}]
    assert body["releaseRef"] == "module-shop-2"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (DeployOptions(environment="test"), "nothing to deploy"),
        (DeployOptions(component=COMPONENT), "which environment"),
        (DeployOptions(environment="prod", component=COMPONENT), "prod"),
    ],
    ids=["no-component", "no-environment", "no-such-environment"],
)
def test_options_that_are_not_clear_are_refused_before_they_are_sent(
    options: DeployOptions, reason: str
) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        return _environments(asked) if "name=test" in asked.path else (200, _NOTHING)

    with _connected(answer) as (client, _), pytest.raises(Failure, match=reason):
        deploy_request(options, client)
