"""Rules of a subscription, as clients manage them by AMQP.

azure-servicebus manages rules by HTTP only, so requests are made here as the SDKs for JavaScript
and Java make them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import Subscription, Topic, Topology
from local_cloud.sqlite.database import Database
from shared.kernel.errors import Conflict, Invalid, NotFound
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service_bus import ALL, EVENTS, bodies, message, open_broker, queue
from tests.kit.virtual_time import run_virtual

pytest.importorskip("proton", reason="python-qpid-proton is not installed: no C compiler")
REDS: Mapping[str, Any] = {"sql-filter": {"expression": "color = 'red'"}}


async def asked(broker: Broker, operation: str, path: str = ALL, **body: Any) -> tuple[int, Any]:
    from local_cloud.service_bus_endpoint.management import Management

    management = Management(broker, path.lower(), SeededEntropy(1))
    fields = {name.replace("_", "-"): value for name, value in body.items()}
    return await management.answer(f"com.microsoft:{operation}", fields)


async def named(broker: Broker, **page: int) -> list[str]:
    _, body = await asked(broker, "enumerate-rules", **page)
    return [each["rule-description"].value[2] for each in body.get("rules", ())]


def colored(color: str) -> Any:
    return message(color, application_properties={"color": color})


def test_a_rule_that_is_added_or_removed_counts_for_what_is_sent_from_then_on() -> None:
    async def main() -> None:
        broker = await open_broker(EVENTS)
        await asked(broker, "remove-rule", rule_name="$Default")
        await broker.send("events", [colored("red")])
        await asked(broker, "add-rule", rule_name="reds", rule_description=REDS)
        await broker.send("events", [colored("blue"), colored("red")])

        assert bodies(broker.peek(ALL)) == ["red"]
        assert await named(broker) == ["reds"]
        await broker.stop()

    run_virtual(main())


def test_rules_are_listed_in_pages_until_an_empty_one() -> None:
    async def main() -> None:
        broker = await open_broker(EVENTS)
        for number in range(3):
            await asked(broker, "add-rule", rule_name=f"r{number}", rule_description=REDS)

        assert await named(broker, skip=0, top=2) == ["$Default", "r0"]
        assert await named(broker, skip=2, top=2) == ["r1", "r2"]
        assert await asked(broker, "enumerate-rules", skip=4, top=2) == (204, {})
        await broker.stop()

    run_virtual(main())


def test_a_filter_is_listed_as_it_was_given() -> None:
    correlation = {"correlation-id": "c", "label": "s", "properties": {"n": 5, "on": True}}

    async def main() -> None:
        broker = await open_broker(EVENTS)
        await asked(
            broker, "add-rule", rule_name="c", rule_description={"correlation-filter": correlation}
        )
        await asked(broker, "add-rule", rule_name="reds", rule_description=REDS)
        _, body = await asked(broker, "enumerate-rules")
        filters = [each["rule-description"].value[0] for each in body["rules"]]

        assert [int(each.descriptor) for each in filters] == [
            0x1370000007, 0x1370000009, 0x1370000006,
        ]  # fmt: skip
        assert filters[1].value == ["c", None, None, None, "s", *[None] * 3, {"n": 5, "on": True}]
        assert filters[2].value[0] == "color = 'red'"
        await broker.stop()

    run_virtual(main())


@pytest.mark.parametrize(
    ("name", "description", "refusal"),
    [
        ("$default", REDS, Conflict),
        ("", REDS, Invalid),
        ("x" * 51, REDS, Invalid),
        ("bad", {"sql-filter": {"expression": "color ="}}, Invalid),
        ("bad", {"sql-filter": {}}, Invalid),
        ("bad", {}, Invalid),
        ("bad", None, Invalid),
        ("bad", {"correlation-filter": {"properties": {"a": [1]}}}, Invalid),
    ],
)
def test_what_is_no_new_rule_is_refused(
    name: str, description: Any, refusal: type[Exception]
) -> None:
    async def main() -> None:
        broker = await open_broker(EVENTS)
        with pytest.raises(refusal):
            await asked(broker, "add-rule", rule_name=name, rule_description=description)

        assert await named(broker) == ["$Default"]
        await broker.stop()

    run_virtual(main())


def test_an_action_is_refused_by_name() -> None:
    from local_cloud.service_bus_endpoint.conditions import AmqpRefused

    action = {**REDS, "sql-rule-action": {"expression": "SET color = 'blue'"}}

    async def main() -> None:
        broker = await open_broker(EVENTS)
        with pytest.raises(AmqpRefused, match="actions of rules"):
            await asked(broker, "add-rule", rule_name="paint", rule_description=action)
        await broker.stop()

    run_virtual(main())


def test_a_queue_has_no_rules_and_a_rule_that_is_not_there_cannot_be_removed() -> None:
    async def main() -> None:
        broker = await open_broker(queue())
        with pytest.raises(NotFound):
            await asked(broker, "enumerate-rules", "orders")
        await broker.stop()
        broker = await open_broker(EVENTS)
        with pytest.raises(NotFound, match="no rule 'none'"):
            await asked(broker, "remove-rule", rule_name="none")
        await broker.stop()

    run_virtual(main())


def test_changed_rules_outlive_the_process_and_its_declaration(tmp_path: Path) -> None:
    async def main() -> None:
        database = Database(tmp_path / "broker.db")
        broker = await open_broker(EVENTS, database)
        await asked(broker, "remove-rule", rule_name="$Default")
        await asked(broker, "add-rule", rule_name="reds", rule_description=REDS)
        await broker.stop()
        again = Topology(topics=(Topic("events", (Subscription("all"), Subscription("b"))),))
        broker = await open_broker(again, database)
        kept = await named(broker)
        await broker.stop()
        database.close()

        assert kept == ["reds"]

    run_virtual(main())
