"""Clients that come by TLS with the token of an identity may do what its roles say."""

from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.identity.aio import ManagedIdentityCredential
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusAuthorizationError, ServiceBusError

from local_cloud.broker.broker import Broker
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.token_endpoint.identities import LocalIdentities
from local_cloud.token_endpoint.server import TokenEndpoint
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.messaging.service_bus import ServiceBusMessages
from tests.kit.secured_service_bus import BUS, TOPOLOGY, TokensOf, secured
from tests.kit.service_bus import bodies, message

pytestmark = pytest.mark.real


class GivenToken(TokensOf):
    """A credential that has one token, good or bad."""

    def __init__(self, token: str, ends: int) -> None:
        self._token = AccessToken(token, ends)

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return self._token


async def sends(client: ServiceBusClient, entity: str = "orders") -> None:
    async with client.get_queue_sender(entity) as sender:
        await sender.send_messages(ServiceBusMessage("hello"))


async def cancels(client: ServiceBusClient, number: int) -> None:
    async with client.get_queue_sender("orders") as sender:
        await sender.cancel_scheduled_messages(number)


async def receives(client: ServiceBusClient, entity: str = "orders") -> list[str]:
    async with client.get_queue_receiver(entity) as receiver:
        return [str(each) for each in await receiver.receive_messages(5, max_wait_time=1)]


async def test_a_managed_identity_sends_and_receives_as_our_adapter_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with secured(tmp_path) as secure:
        tokens = TokenEndpoint(secure.identities, ["owner"], 0)
        await tokens.start()
        for name, value in tokens.environ_of("owner").items():
            monkeypatch.setenv(name, value)
        async with ManagedIdentityCredential() as credential:
            sender = ServiceBusMessages(
                secure.bus.endpoint.fully_qualified_namespace,
                credential=lambda: credential,
                ca_file=secure.certificates.ca_file,
            )
            await sender.send("orders", [message("one"), message("two")])
            await sender.close()
            async with secure.client(credential) as client:
                received = await receives(client)
        await tokens.stop()

    assert received == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "may_send", "may_receive"),
    [("owner", True, True), ("sender", True, False), ("receiver", False, True)],
)
async def test_a_role_says_who_sends_and_who_receives(
    tmp_path: Path, name: str, *, may_send: bool, may_receive: bool
) -> None:
    async with secured(tmp_path) as secure, secure.as_(name) as client:
        await secure.bus.broker.send("orders", [message("there")])
        if may_send:
            await sends(client)
        else:
            with pytest.raises(ServiceBusAuthorizationError, match="'Send' claim"):
                await sends(client)
        if may_receive:
            assert await receives(client)
        else:
            with pytest.raises(ServiceBusAuthorizationError, match="'Listen' claim"):
                await receives(client)

        assert len(secure.bus.broker.peek("orders")) == 1 + may_send


async def test_a_role_at_an_entity_reaches_what_lies_in_it_and_nothing_of_a_like_name(
    tmp_path: Path,
) -> None:
    async with secured(tmp_path) as secure:
        async with secure.as_("of-orders") as client:
            await sends(client)
            assert await receives(client) == ["hello"]
            with pytest.raises(ServiceBusAuthorizationError):
                await sends(client, "orders-archive")
        async with secure.as_("of-events") as client:
            await secure.bus.broker.send("events", [message("event")])
            async with client.get_subscription_receiver("events", "all") as receiver:
                received = await receiver.receive_messages(1, max_wait_time=2)
            assert [str(each) for each in received] == ["event"]
            with pytest.raises(ServiceBusAuthorizationError):
                await receives(client)


async def test_a_sender_schedules_and_a_receiver_peeks_and_not_the_other_way_round(
    tmp_path: Path,
) -> None:
    async with secured(tmp_path) as secure:
        later = secure.clock.now()
        async with secure.as_("sender") as client, client.get_queue_sender("orders") as sender:
            assert await sender.schedule_messages(ServiceBusMessage("later"), later)
        async with (
            secure.as_("receiver") as client,
            client.get_queue_receiver("orders") as receiver,
        ):
            peeked = await receiver.peek_messages(1)
            sequence_number = peeked[0].sequence_number
            assert sequence_number is not None
        async with secure.as_("receiver") as client:
            with pytest.raises(ServiceBusAuthorizationError):
                await cancels(client, sequence_number)

        assert bodies(secure.bus.broker.peek("orders")) == ["later"]


async def test_a_link_ends_with_its_token_and_goes_on_with_a_new_one(tmp_path: Path) -> None:
    async with secured(tmp_path) as secure:
        credential = TokensOf(secure.identities, "owner")
        async with (
            secure.client(credential, retry_total=2, retry_backoff_factor=0.05) as client,
            client.get_queue_sender("orders") as sender,
        ):
            await sender.send_messages(ServiceBusMessage("in time"))
            asked = credential.asked
            secure.clock.ahead_s = 2 * 3600
            with pytest.raises(ServiceBusAuthorizationError):
                await sender.send_messages(ServiceBusMessage("too late"))
            await sender.send_messages(ServiceBusMessage("again"))

        assert bodies(secure.bus.broker.peek("orders")) == ["in time", "again"]
        assert credential.asked > asked


async def test_who_does_not_trust_the_authority_of_this_machine_sends_nothing(
    tmp_path: Path,
) -> None:
    async with secured(tmp_path) as secure:
        credential = TokensOf(secure.identities, "owner")
        sender = ServiceBusMessages(
            secure.bus.endpoint.fully_qualified_namespace,
            credential=lambda: credential,  # type: ignore[arg-type,return-value]  # has its methods
        )
        with pytest.raises(Unavailable, match="not trusted; RUNTIME_CA_FILE"):
            await sender.send("orders", [message()])
        await sender.close()

        assert not credential.asked


@pytest.mark.parametrize(
    "damage",
    ["another-resource", "no-signature", "another-machine", "a-stranger", "no-token-at-all"],
)
async def test_a_token_that_proves_nothing_here_is_refused(tmp_path: Path, damage: str) -> None:
    async with secured(tmp_path) as secure:
        identities = secure.identities
        if damage == "another-machine":
            identities = LocalIdentities(tmp_path / "other", secure.clock, SystemEntropy())
        identity = identities.get("stranger" if damage == "a-stranger" else "owner")
        resource = "https://vault.azure.net" if damage == "another-resource" else BUS
        token, _ = identities.token(identity, resource)
        if damage == "no-signature":
            token = token.rpartition(".")[0] + "."
        if damage == "no-token-at-all":
            token = "."
        credential = GivenToken(token, int(secure.clock.now().timestamp()) + 60)
        async with secure.client(credential) as client:
            with pytest.raises(ServiceBusError):
                await sends(client)

        assert not secure.bus.broker.peek("orders")


@pytest.mark.parametrize(
    ("port", "namespace"), [(5671, "localhost"), (5672, "localhost:5672")], ids=str
)
def test_the_port_of_amqp_by_tls_is_not_named(port: int, namespace: str) -> None:
    from local_cloud.service_bus_endpoint.server import ServiceBusEndpoint

    clock, entropy = SystemClock(), SystemEntropy()
    database = Database(MEMORY)
    broker = Broker(database, TOPOLOGY, clock=clock, entropy=entropy)
    endpoint = ServiceBusEndpoint(broker, port, None, clock=clock, entropy=entropy)

    assert endpoint.fully_qualified_namespace == namespace
    database.close()
