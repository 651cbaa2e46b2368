"""A process that sends to a queue and handles its messages until it is killed.

`python queue_worker.py FOLDER ROUND COUNT`: sends COUNT messages in pieces, writes each id to
`FOLDER/acknowledged` once `send` has returned and to `FOLDER/handled` when the function runs. With
COUNT 0 it only handles, and ends when the queue is empty.
"""

import asyncio
import sys
from pathlib import Path

import azure.functions as func

from local_cloud.broker.broker import Broker
from local_cloud.sqlite.database import Database
from local_host.service_bus.message_pumps import pump_for
from local_host.service_bus.settings import ServiceBusSettings
from local_host.service_bus.trigger import ServiceBusListener
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from tests.kit.service_bus import ORDERS, DirectInvoker, deliveries, listens_to, message

PIECE = 5


async def work(folder: Path, life: str, count: int) -> None:
    clock = SystemClock()
    database = Database(folder / "host.db")
    broker = Broker(database, ORDERS, clock=clock, entropy=SystemEntropy())
    await broker.start()
    with (folder / "handled").open("a") as handled, (folder / "acknowledged").open("a") as sent:

        async def handler(message: func.ServiceBusMessage) -> None:
            await clock.sleep(0.001)
            handled.write(f"{message.message_id}\n")
            handled.flush()

        pump = pump_for(
            listens_to(handler, queueName="orders"),
            ServiceBusSettings(),
            broker=broker,
            invoker=DirectInvoker(),
            clock=clock,
        )
        listener = ServiceBusListener([pump], grace_s=5)
        await listener.start()

        async def send_every(sender: int) -> None:
            for number in range(sender, count, 4 * PIECE):
                piece = [f"{life}-{number + offset}" for offset in range(PIECE)]
                await broker.send("orders", [message("x", message_id=each) for each in piece])
                sent.write("".join(f"{each}\n" for each in piece))
                sent.flush()

        await asyncio.gather(*(send_every(sender * PIECE) for sender in range(4)))
        while deliveries(broker)["held"]:
            await clock.sleep(0.01)
        await listener.stop()
    await broker.stop()
    database.close()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
