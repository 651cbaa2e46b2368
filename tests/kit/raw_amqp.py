"""An AMQP client without manners: proton's engine on a socket, to say what no SDK says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from proton import Collector, Connection, Delivery, Link, Sender, Session, Transport

from tests.kit.patience import PATIENCE_S

TOKEN_NODE = "$cbs"
_READ_BYTES = 64 * 1024


class RawClient:
    """One connection; `pump` carries what the engine wants to say and what the server answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.engine, self.connection = Transport(), Connection()
        self.collector = Collector()
        self.connection.collect(self.collector)
        self.connection.container = "raw"
        self.engine.bind(self.connection)
        self.connection.open()
        self.session: Session = self.connection.session()
        self.session.open()
        self.is_over = False

    async def flush(self) -> None:
        """Send what there is to say."""
        while (pending := self.engine.pending()) > 0:
            content = bytes(self.engine.peek(pending) or b"")
            self.writer.write(content)
            self.engine.pop(len(content))
            await self.writer.drain()

    async def read(self) -> None:
        """Take one piece of what the server says; `is_over` when it has closed."""
        content = await self.reader.read(_READ_BYTES)
        if not content:
            self.is_over = True
            return
        while content:
            part = content[: max(0, self.engine.capacity())]
            if not part:
                self.is_over = True
                return
            self.engine.push(part)
            content = content[len(part) :]
            while self.collector.peek() is not None:
                self.collector.pop()

    async def until(self, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        """Talk until *condition* holds or the server has closed."""
        async with asyncio.timeout(within_s):
            await self.flush()
            while not condition() and not self.is_over:
                await self.read()
                await self.flush()

    def sender(self, address: str, name: str = "out") -> Sender:
        link = self.session.sender(name)
        link.target.address = address
        link.source.address = "raw"
        link.open()
        return link

    async def put_token(self, token: str, name: str) -> None:
        """Put *token*, and return when it is taken."""
        from proton import Message

        link = self.sender(TOKEN_NODE, "token")
        await self.until(lambda: link.credit)
        request = Message(body=token, properties={"operation": "put-token", "name": name}, id=1)
        delivery = self.send(link, request.encode())
        await self.until(lambda: delivery.remote_state)
        assert delivery.remote_state == Delivery.ACCEPTED

    def send(self, link: Sender, encoded: bytes, tag: str = "1") -> Delivery:
        delivery = link.delivery(tag)
        link.send(encoded)
        link.advance()
        return delivery


def is_attached(link: Link) -> bool:
    return bool(link.remote_target.address or link.remote_source.address)


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
