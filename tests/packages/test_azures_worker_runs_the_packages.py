"""The packages at work under Azure's worker: everything but triggers by the official SDKs.

The test stands in for the Functions host: it takes requests, messages, changes and timers to the
worker in the form that the host gives them (FunctionRpc), from a local cloud that runs.
"""

import base64
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pytest
from azure.cosmos import CosmosClient
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage

from shared.contracts.environments import RuntimeEnvironmentStatusChanged
from shared.contracts.events import RUNTIME_EVENTS, subscription
from shared.contracts.values import Service
from shared.messaging.envelope import TYPE_PROPERTY
from shared.persistence.cosmos_account import string_parts
from tests.kit.apps import sampled
from tests.kit.durable_endpoint import DurableEndpoint
from tests.kit.packaged_apps import Invoked, Worker
from tools.package import APPS

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("packages")]
ORIGIN: Final = "https://app.test"
ENVIRONMENT: Final = {
    "projectId": "proj-web",
    "name": "shop",
    "stage": "test",
    "region": "local",
    "computeTargets": [{"kind": "LocalProcess"}],
}
TICK: Final = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}


class Driven:
    """One app under Azure's worker, reached through its triggers."""

    def __init__(self, app: str, worker: Worker, durable: DurableEndpoint) -> None:
        self.app = app
        self._worker = worker
        self._client = {"string": durable.binding}

    def asks(
        self, name: str, method: str, path: str, *,
        body: object = None, content: bytes = b"", token: str | None = None,
    ) -> Invoked:  # fmt: skip
        """Send a request to the route of the function *name*, with *body* as JSON or *content*."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        content = json.dumps(body).encode() if body is not None else content
        http = {
            "method": method,
            "url": f"{ORIGIN}/{path}",
            "headers": {**headers, "content-length": str(len(content))},
            "body": {"bytes": base64.b64encode(content).decode()},
        }
        return self._invoked(name, req={"http": http})

    def ticks(self, timer: str) -> Invoked:
        return self._invoked(timer, tick={"json": json.dumps(TICK)})

    def hears(self, message: ServiceBusReceivedMessage) -> Invoked:
        """Hand over *message* with the metadata that the trigger gives."""
        properties = {_text(key): _text(of) for key, of in message.application_properties.items()}
        metadata = {
            "MessageId": {"string": message.message_id},
            "DeliveryCount": {"string": "1"},
            "SequenceNumber": {"string": str(message.sequence_number)},
            "ContentType": {"string": message.content_type or "application/json"},
            "ApplicationProperties": {"json": json.dumps(properties)},
            "UserProperties": {"json": json.dumps(properties)},
        }
        content = {"bytes": base64.b64encode(b"".join(message.body)).decode()}
        return self._invoked("on_runtime_event", metadata, message=content)

    def sees(self, changes: Sequence[Mapping[str, Any]]) -> Invoked:
        return self._invoked("relay_changes", documents={"json": json.dumps(changes)})

    def runs(self, activity: str, request: str) -> Invoked:
        return self._invoked(activity, request={"string": request})

    def replays(self, orchestration: str, instance: str, argument: object) -> Mapping[str, Any]:
        """Run the first episode of an instance; return what the orchestrator asks for."""
        first = {"EventId": -1, "IsPlayed": False, "Timestamp": "2026-11-28T12:00:00.0000000Z"}
        started = {
            "Name": f"{self.app}_{orchestration}",
            "Version": "",
            "Input": json.dumps(argument),
            "OrchestrationInstance": {"InstanceId": instance, "ExecutionId": "execution"},
        }
        context = {
            "history": [{"EventType": 12, **first}, {"EventType": 0, **first, **started}],
            "input": argument,
            "instanceId": instance,
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
        }
        function = f"{self.app}_{orchestration}"
        ended = self._worker.invoke(function, context={"json": json.dumps(context)})
        assert ended.failure == ""
        return dict(json.loads(ended.answer["return_value"]["json"]))

    def _invoked(
        self, name: str, metadata: Mapping[str, Any] | None = None, **inputs: Mapping[str, Any]
    ) -> Invoked:
        return self._worker.invoke(f"{self.app}_{name}", metadata, client=self._client, **inputs)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _body(answer: Invoked) -> Any:
    return json.loads(base64.b64decode(answer.http["body"]["bytes"]))


@pytest.fixture
def driven(worker: Callable[[str], Worker], durable: DurableEndpoint) -> Callable[[str], Driven]:
    return lambda app: Driven(app, worker(app), durable)


def received(
    settings: Mapping[str, str], subscription: str, event_type: str
) -> ServiceBusReceivedMessage:
    """Return the next event of *event_type* in *subscription*; those before are completed too."""
    with (
        ServiceBusClient.from_connection_string(settings["ServiceBus"]) as client,
        client.get_subscription_receiver(RUNTIME_EVENTS, subscription) as receiver,
    ):
        while True:
            (message,) = receiver.receive_messages(max_message_count=1, max_wait_time=20)
            receiver.complete_message(message)
            if event_type in map(_text, message.application_properties.values()):
                return message


def send(settings: Mapping[str, str], event_type: str, body: bytes) -> None:
    message = ServiceBusMessage(body, application_properties={TYPE_PROPERTY: event_type})
    with (
        ServiceBusClient.from_connection_string(settings["ServiceBus"]) as client,
        client.get_topic_sender(RUNTIME_EVENTS) as sender,
    ):
        sender.send_messages(message)


def changes(settings: Mapping[str, str], container: str) -> Sequence[Mapping[str, Any]]:
    """Return the change feed of *container* from its beginning."""
    endpoint, key = string_parts(settings["CosmosDB"])
    with CosmosClient(endpoint, key) as client:
        feed = client.get_database_client("runtime").get_container_client(container)
        return list(feed.query_items_change_feed(start_time="Beginning"))


def environments_in(documents: Sequence[Mapping[str, Any]]) -> Sequence[object]:
    """Return which environments *documents* are about."""
    return [
        each["body"]["environment_id"] for each in documents if "environment_id" in each["body"]
    ]


@pytest.mark.parametrize("app", sampled(APPS))
def test_open_routes_answer(app: str, driven: Callable[[str], Driven]) -> None:
    answers = {
        name: driven(app).asks(
            f"get_{name}", "GET", f"v1/platform/{Service(app).public_name}/{name}"
        )
        for name in ("alive", "health", "openapi")
    }

    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert _body(answers["health"])["status"] == "Healthy"
    assert _body(answers["openapi"])["openapi"].startswith("3.")


@pytest.mark.parametrize("app", sampled(APPS))
def test_timers_run(
    app: str, driven: Callable[[str], Driven], worker: Callable[[str], Worker]
) -> None:
    timers = [name for name, each in worker(app).functions.items() if "tick" in each["bindings"]]

    assert f"{app}_sweep_outbox" in timers
    assert {name: driven(app).ticks(name.removeprefix(f"{app}_")).failure for name in timers} == (
        dict.fromkeys(timers, "")
    )


@pytest.mark.parametrize("app", sampled(APPS))
def test_changes_of_its_container_are_taken(
    app: str, driven: Callable[[str], Driven], settings: Mapping[str, str]
) -> None:
    assert driven(app).sees(changes(settings, app)).failure == ""


@pytest.mark.parametrize("app", sampled(APPS))
def test_a_message_that_is_no_event_is_parked(
    app: str, driven: Callable[[str], Driven], settings: Mapping[str, str], token: str
) -> None:
    event_type = subscription(RUNTIME_EVENTS, Service(app))[0]
    send(settings, event_type, b"{}")
    public_name = Service(app).public_name
    heard = driven(app).hears(received(settings, public_name, event_type))

    path = f"v1/platform/{public_name}/parked?unreadable=true"
    parked = driven(app).asks("list_parked", "GET", path, token=token)

    assert heard.failure == ""
    assert [each["code"] for each in _body(parked)["value"]] == ["MalformedEnvelope"]


def test_an_artifact_is_kept_among_the_blobs(driven: Callable[[str], Driven], token: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("serve.py", "print()")

    answers = [
        driven("deployments").asks(
            "post_artifact", "POST", "v1/runtime/artifacts", content=archive.getvalue(), token=token
        )
        for _ in range(2)
    ]

    assert [answer.status for answer in answers] == [201, 200]


def test_a_command_without_a_token_changes_nothing(driven: Callable[[str], Driven]) -> None:
    refused = driven("environments").asks(
        "post_environment", "POST", "v1/runtime/environments", body={**ENVIRONMENT, "name": "none"}
    )

    assert refused.status == 401


@pytest.fixture(scope="module")
def accepted(
    worker: Callable[[str], Worker], durable: DurableEndpoint, token: str
) -> Mapping[str, Any]:
    """Request an environment once, for the tests below; return what was answered."""
    environments = Driven("environments", worker("environments"), durable)
    answer = environments.asks(
        "post_environment", "POST", "v1/runtime/environments", body=ENVIRONMENT, token=token
    )
    assert answer.status == 202, answer.answer
    return dict(_body(answer))


def test_the_document_of_a_command_is_in_the_account(
    accepted: Mapping[str, Any], settings: Mapping[str, str]
) -> None:
    assert accepted["environmentId"] in environments_in(changes(settings, "environments"))


def test_the_operation_of_a_command_is_started_by_the_durable_client(
    accepted: Mapping[str, Any], durable: DurableEndpoint
) -> None:
    started = f"POST orchestrators/environments_apply_environment/{accepted['lastOperationId']}"

    assert [asked for asked, _ in durable.asked] == [started]


def test_an_orchestration_asks_for_an_activity_that_runs(
    accepted: Mapping[str, Any], driven: Callable[[str], Driven], durable: DurableEndpoint
) -> None:
    environments = driven("environments")
    (_, argument), *_ = durable.asked

    episode = environments.replays("apply_environment", accepted["lastOperationId"], argument)
    ((action, *_),) = episode["actions"]
    call = action.get("compoundActions", [action])[0]
    ended = environments.runs(call["functionName"].removeprefix("environments_"), call["input"])

    assert ended.failure == ""
    assert "return_value" in ended.answer


def test_the_event_of_a_command_reaches_another_app_over_the_topic(
    accepted: Mapping[str, Any], driven: Callable[[str], Driven], settings: Mapping[str, str]
) -> None:
    event = received(settings, "deployments", RuntimeEnvironmentStatusChanged.__name__)
    heard = driven("deployments").hears(event)

    assert heard.failure == ""
    assert accepted["environmentId"] in environments_in(changes(settings, "deployments"))


def test_changes_of_a_container_become_records_of_the_audit(
    accepted: Mapping[str, Any],
    driven: Callable[[str], Driven],
    settings: Mapping[str, str],
    token: str,
) -> None:
    environments = driven("environments")
    seen = environments.sees(changes(settings, "environments"))
    path = "v1/platform/environments/audit"
    told = _body(environments.asks("list_audit", "GET", path, token=token))

    assert seen.failure == ""
    assert [each for each in told["value"] if accepted["environmentId"] in json.dumps(each)]
