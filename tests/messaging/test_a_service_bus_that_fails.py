"""What a sender makes of a Service Bus that throttles, cuts, refuses or is gone."""

import pytest

from shared.kernel.errors import Unavailable
from shared.messaging.service_bus import ServiceBusMessages
from tests.kit.service_bus import bodies, message
from tests.kit.service_bus_wire import BusyDatabase, CuttingDatabase, served

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("collected_connections")]


async def test_a_cut_connection_is_opened_again() -> None:
    async with served() as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        await sender.send("orders", [message("before")])
        bus.endpoint.cut_connections()
        await sender.send("orders", [message("after")])
        await sender.close()

        assert set(bodies(bus.broker.peek("orders"))) == {"before", "after"}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_cut_before_or_after_the_effect_loses_nothing(moment: str) -> None:
    takes_effect = moment == "after"
    database = CuttingDatabase(takes_effect=takes_effect)
    async with served(database=database) as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        await sender.send("orders", [message("before")])
        database.cut = bus.endpoint.cut_connections
        try:
            await sender.send("orders", [message("cut")])
        except Unavailable:
            await sender.send("orders", [message("cut")])
        await sender.close()

        # A message whose answer was lost is there twice, under the id by which consumers know it.
        ids = [each.message_id for each in bus.broker.peek("orders")]
        assert ids == ["id-before", "id-cut", *(["id-cut"] if takes_effect else [])]


async def test_a_namespace_that_is_gone_is_unavailable_and_used_again_once_it_is_back() -> None:
    async with served() as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        await sender.send("orders", [message("before")])
        await bus.endpoint.stop()
        with pytest.raises(Unavailable) as caught:
            await sender.send("orders", [message("lost")])
        await bus.endpoint.start()
        await sender.send("orders", [message("after")])
        await sender.close()

        assert bodies(bus.broker.peek("orders")) == ["before", "after"]
        assert "a key of the test" not in str(caught.value)


async def test_a_busy_service_is_unavailable_with_the_time_to_wait() -> None:
    database = BusyDatabase()
    async with served(database=database) as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        database.is_busy = True
        with pytest.raises(Unavailable) as caught:
            await sender.send("orders", [message("lost")])
        database.is_busy = False
        await sender.send("orders", [message("after")])
        await sender.close()

        assert (caught.value.throttled, caught.value.retry_after_s) == (True, 10)
        assert bodies(bus.broker.peek("orders")) == ["after"]


async def test_a_key_that_is_wrong_is_unavailable_and_in_no_text() -> None:
    async with served() as bus:
        wrong = bus.endpoint.connection_string.replace("a key of the test", "a wrong key")
        sender = ServiceBusMessages(connection_string=wrong)
        with pytest.raises(Unavailable) as caught:
            await sender.send("orders", [message()])
        await sender.close()

        assert "a wrong key" not in f"{caught.value} {sender!r}"
