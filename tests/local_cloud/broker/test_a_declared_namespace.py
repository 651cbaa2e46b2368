import json
from pathlib import Path
from typing import Any

import pytest

from local_cloud.broker.declaration import load_topology, topology_of
from local_cloud.broker.rules import CorrelationFilter, SqlFilter
from local_cloud.broker.topology import (
    EVERY_MESSAGE,
    Queue,
    QueueSettings,
    Subscription,
    Topic,
    Topology,
)
from shared.kernel.errors import Invalid


def namespace(**entities: Any) -> dict[str, Any]:
    return {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", **entities}]}}


def queue(**properties: Any) -> dict[str, Any]:
    return namespace(Queues=[{"Name": "orders", "Properties": properties}])


def rule(**properties: Any) -> dict[str, Any]:
    subscription = {"Name": "mine", "Rules": [{"Name": "r", "Properties": properties}]}
    return namespace(Topics=[{"Name": "events", "Subscriptions": [subscription]}])


def test_an_emulator_s_file_is_a_topology(tmp_path: Path) -> None:
    content = namespace(
        Queues=[
            {
                "Name": "queue.1",
                "Properties": {
                    "DeadLetteringOnMessageExpiration": True,
                    "DefaultMessageTimeToLive": "PT1H",
                    "DuplicateDetectionHistoryTimeWindow": "PT20S",
                    "ForwardDeadLetteredMessagesTo": "",
                    "ForwardTo": "",
                    "LockDuration": "PT1M30S",
                    "MaxDeliveryCount": 3,
                    "RequiresDuplicateDetection": False,
                    "RequiresSession": True,
                },
            }
        ],
        Topics=[
            {
                "Name": "topic.1",
                "Properties": {"DefaultMessageTimeToLive": "PT10M"},
                "Subscriptions": [
                    {
                        "Name": "some",
                        "Properties": {"DefaultMessageTimeToLive": "P1D"},
                        "Rules": [
                            {
                                "Name": "rule",
                                "Properties": {
                                    "FilterType": "Correlation",
                                    "CorrelationFilter": {"Label": "s", "Properties": {"a": "b"}},
                                },
                            },
                            {
                                "Name": "reds",
                                "Properties": {
                                    "FilterType": "Sql",
                                    "SqlFilter": {"SqlExpression": "color = 'red'"},
                                },
                            },
                        ],
                    },
                    {"Name": "everything"},
                ],
            }
        ],
    )
    path = tmp_path / "Config.json"
    path.write_text(json.dumps(content))

    assert load_topology(path) == Topology(
        topics=[
            Topic(
                "topic.1",
                [
                    Subscription(
                        "some",
                        [
                            CorrelationFilter(subject="s", properties={"a": "b"}),
                            SqlFilter("color = 'red'"),
                        ],
                        QueueSettings(time_to_live_s=600),
                        ["rule", "reds"],
                    ),
                    Subscription("everything", EVERY_MESSAGE, QueueSettings(time_to_live_s=600)),
                ],
            )
        ],
        queues=[
            Queue(
                "queue.1",
                QueueSettings(90, 3, 3600, dead_letters_expired=True, requires_session=True),
            )
        ],
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param({}, "one namespace", id="no-namespace"),
        pytest.param(queue(ForwardTo="other"), "ForwardTo is 'other'", id="forwarding"),
        pytest.param(queue(MaxDeliverycount=3), "MaxDeliverycount is unknown", id="misspelt"),
        pytest.param(queue(MaxDeliveryCount="3"), "whole number, got '3'", id="text-for-number"),
        pytest.param(queue(LockDuration="1 minute"), "such as PT1M", id="no-duration"),
        pytest.param(queue(LockDuration="P"), "such as PT1M", id="empty-duration"),
        pytest.param(queue(LockDuration="PT6M"), "at most 300", id="lock-too-long"),
        pytest.param(namespace(Queues=[{}]), r"Queues\[0\].Name", id="no-name"),
        pytest.param(
            rule(FilterType="Sql", SqlFilter={"SqlExpression": "color ="}),
            r"Subscriptions\[0\].Rules\[0\].Properties.SqlFilter.SqlExpression: .*expected a value",
            id="no-condition",
        ),
        pytest.param(
            rule(
                FilterType="Sql",
                SqlFilter={"SqlExpression": "1=1"},
                Action={"SqlExpression": "SET a=1"},
            ),
            "without an Action",
            id="rule-action",
        ),
        pytest.param(
            rule(FilterType="Correlation", CorrelationFilter={"Session": "s"}),
            "CorrelationFilter.Session: not served here",
            id="filter-part-not-served",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_place(
    content: dict[str, Any], says: str
) -> None:
    with pytest.raises(Invalid, match=says):
        topology_of(content)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    path.write_text("{")

    with pytest.raises(Invalid, match="is not JSON"):
        load_topology(path)
