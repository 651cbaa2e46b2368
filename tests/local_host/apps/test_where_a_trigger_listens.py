"""A connection whose name is mistyped leads to the host's own cloud, and is seen at the start."""

import io

import azure.functions as func
import pytest

from local_host.apps.configuration import load
from local_host.apps.connection_addresses import place_of
from local_host.boot_report import Terminal
from local_host.model import Binding
from tests.kit.hosting import embedded, hosting, new_app

AWAY = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=hidden="
ACCOUNT = "AccountEndpoint=https://shop.documents.azure.com:443/;AccountKey=hidden="


async def boot_table(values: dict[str, str]) -> str:
    app = new_app()

    @app.service_bus_queue_trigger(arg_name="message", connection="MyBuss", queue_name="orders")
    async def on_order(message: func.ServiceBusMessage) -> None: ...

    @app.cosmos_db_trigger(
        arg_name="documents", connection="MyAccount", database_name="d", container_name="c"
    )
    async def on_change(documents: func.DocumentList) -> None: ...

    stream = io.StringIO()
    async with hosting(embedded(app, values=values)) as host:
        Terminal(stream).report_boot(host, 0.0)
    return stream.getvalue()


@pytest.mark.parametrize(
    "name",
    ["MyBus", "AzureWebJobsMyBus", "ConnectionStrings:MyBus", "MyBus__fullyQualifiedNamespace"],
)
async def test_a_connection_without_a_setting_is_told_with_the_nearest_name(name: str) -> None:
    shown = await boot_table({name: AWAY})

    assert "on_order   Service Bus orders at this host's own (MyBuss is not set)" in shown
    assert "on_change  Cosmos DB d/c at this host's own (MyAccount is not set)" in shown
    assert "did you mean MyBus, which is set?" in shown
    assert shown.count("did you mean") == 1


async def test_a_connection_on_purpose_to_the_own_cloud_has_no_warning() -> None:
    shown = await boot_table({"MyBus": AWAY, "MyBuss": "embedded"})

    assert "Service Bus orders at this host's own (MyBuss is embedded)" in shown
    assert "did you mean" not in shown


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"Bus": AWAY}, "sb://shop.servicebus.windows.net (Bus)"),
        ({"Bus__fullyQualifiedNamespace": "localhost:5671"}, "localhost:5671 (Bus)"),
    ],
)
def test_where_a_trigger_listens_is_shown_without_the_key(
    values: dict[str, str], place: str
) -> None:
    binding = Binding("serviceBusTrigger", "message", "in", {"connection": "Bus"})

    assert place_of(binding, load("app", None, {}, values=values)) == place


def test_an_account_is_shown_without_its_key() -> None:
    binding = Binding("cosmosDBTrigger", "documents", "in", {})
    configuration = load("app", None, {}, values={"CosmosDB": ACCOUNT})

    place = place_of(binding, configuration)

    assert place == "https://shop.documents.azure.com:443 (CosmosDB)"
