"""What a trigger does while its namespace throttles, is late or is away."""

import pytest

from local_cloud.broker.message import Disposition
from local_host.service_bus.invocations import Invocations
from local_host.service_bus.namespace_queue import NamespaceQueue
from local_host.service_bus.pump import Pump
from local_host.service_bus.settings import ServiceBusSettings
from shared.kernel.errors import Unavailable
from tests.kit.service_bus import DirectInvoker, Handler, bodies, listens_to, message, open_broker
from tests.kit.service_bus_wire import BusyDatabase, served
from tests.kit.virtual_time import LoopClock, run_virtual


@pytest.mark.real
async def test_what_runs_is_completed_though_a_receive_failed_meanwhile() -> None:
    database = BusyDatabase()
    async with served(database=database) as bus, bus.client() as client:
        await bus.broker.send("orders", [message("running"), message("next")])
        queue = NamespaceQueue(
            "orders", lambda: client, lambda namespace: namespace.get_queue_receiver("orders")
        )
        running = await queue.receive(1)
        database.is_busy = True
        with pytest.raises(Unavailable):
            await queue.receive(1)
        database.is_busy = False

        assert not await queue.settle_all(running, Disposition.COMPLETE)
        assert bodies(bus.broker.peek("orders")) == ["next"]
        assert bodies(await queue.receive(1)) == ["next"]
        await queue.close()


class ThrottledPump(Pump):
    """Is told each time to come again in ten seconds; notes when it came."""

    def __init__(self, invocations: Invocations, clock: LoopClock) -> None:
        super().__init__(invocations, clock)
        self.times: list[float] = []

    async def _receive(self) -> None:
        self.times.append(round(self._clock.monotonic_s()))
        raise Unavailable("busy", retry_after_s=10, throttled=True)


def test_a_pump_comes_again_when_it_was_told_to_and_stops_at_once() -> None:
    async def main() -> None:
        clock, broker = LoopClock(), await open_broker()
        invocations = Invocations(
            listens_to(Handler(), queueName="orders"),
            ServiceBusSettings(),
            settler=broker,
            invoker=DirectInvoker(),
            clock=clock,
        )
        pump = ThrottledPump(invocations, clock)
        await pump.start()
        await clock.sleep(25)
        await pump.stop(60)

        assert pump.times == [0, 10, 20]
        assert clock.monotonic_s() < 26
        await broker.stop()

    run_virtual(main())
