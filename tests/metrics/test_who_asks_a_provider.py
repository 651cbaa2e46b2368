"""What a provider is shown of us, and which settings say so."""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from local_host.embedded_parts import EmbeddedHost, EmbeddedParts
from shared.composition.azure import AzureParts
from shared.composition.metrics import open_metrics
from shared.composition.parts import PartNotSupported
from shared.composition.settings import PROFILE, InvalidSetting, read_settings
from shared.contracts.metrics import MetricSource
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable
from shared.metrics.azure_monitor import AzureMonitorMetrics
from shared.metrics.credentials import identity, token_in
from shared.metrics.log_analytics import LogAnalyticsMetrics
from shared.metrics.port import Measured, Unmeasurable
from shared.metrics.prometheus import PrometheusMetrics
from shared.metrics.provider_client import ProviderClient
from shared.metrics.surface_metrics import SurfaceMetrics
from tests.kit.provider_stand_in import StandIn, stand_in
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import Sent, memory_storage
from tests.metrics.providers import Fault, prometheus_provider

pytestmark = pytest.mark.real


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in(tmp_path) as served:
        yield served


async def measured(server: StandIn, folder: Path, **settings: str) -> Any:
    """Ask the stand-in, as the provider that *settings* describe."""
    provider = prometheus_provider(server, folder)
    await provider.show(Fault.NONE)
    given = {
        PROFILE: "local", "RUNTIME_PROMETHEUS_URL": server.url,
        "RUNTIME_CA_FILE": str(server.ca_file), **settings,
    }  # fmt: skip
    parts = AzureParts(read_settings(given))
    (measurement,) = await parts.metrics(MetricSource.PROMETHEUS).measure([provider.query()])
    return measurement


async def test_a_password_is_shown_as_basic(server: StandIn, tmp_path: Path) -> None:
    server.takes_token = None
    await measured(server, tmp_path, RUNTIME_PROMETHEUS_BASIC="us:p:w")

    shown = b64encode(b"us:p:w").decode()
    assert server.asked[0].headers["authorization"] == f"Basic {shown}"


async def test_the_token_of_a_file_is_read_anew_for_each_request(
    server: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("old\n")
    setting = {"RUNTIME_PROMETHEUS_TOKEN_FILE": str(tmp_path / "mine")}
    before = await measured(server, tmp_path, **setting)
    (tmp_path / "mine").write_text("good\n")
    after = await measured(server, tmp_path, **setting)

    assert isinstance(before, Unmeasurable)
    assert "may have expired (401)" in before.reason
    assert isinstance(after, Measured)


@dataclass
class Token:
    token: str = "good"


@dataclass
class Credential:
    """A credential of azure-identity, as far as anybody here asks it."""

    scopes: list[str] = field(default_factory=list)

    async def get_token(self, scope: str) -> Token:
        self.scopes.append(scope)
        return Token()


async def test_an_identity_has_a_token_for_the_audience_that_is_set() -> None:
    credential: Any = Credential()

    shown = await identity(lambda: credential, "https://prometheus.monitor.azure.com/")()

    assert shown == "Bearer good"
    assert credential.scopes == ["https://prometheus.monitor.azure.com/.default"]


async def test_an_identity_without_a_token_says_so_and_nothing_of_the_answer() -> None:
    from azure.core.exceptions import ClientAuthenticationError

    class Nobody:
        async def get_token(self, _scope: str) -> Token:
            raise ClientAuthenticationError("a secret of the endpoint")

    nobody: Any = Nobody()
    with pytest.raises(Unavailable, match=r"no token for it: ClientAuthenticationError$"):
        await identity(lambda: nobody, "https://prometheus.monitor.azure.com")()


@pytest.mark.parametrize("content", ["", " \n", "two words", "\x00\xff"])
async def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_bytes(content.encode("latin-1"))

    with pytest.raises(Unavailable, match="token"):
        await token_in(tmp_path / "token")()


async def test_a_server_that_keeps_tenants_apart_is_told_the_tenant(
    server: StandIn, tmp_path: Path
) -> None:
    server.takes_token = None
    await measured(server, tmp_path, RUNTIME_PROMETHEUS_TENANT_HEADER="X-Scope-OrgID")

    assert {each.headers["x-scope-orgid"] for each in server.asked} == {"acme"}


async def test_a_certificate_that_is_not_trusted_is_named(server: StandIn) -> None:
    with pytest.raises(Unavailable, match="certificate is not trusted; RUNTIME_CA_FILE"):
        await ProviderClient(server.url, SystemClock()).ask("/")


CONTRADICTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "RUNTIME_PROMETHEUS_BASIC and RUNTIME_PROMETHEUS_AUDIENCE are all set": {
        "RUNTIME_PROMETHEUS_URL": "https://prometheus.test",
        "RUNTIME_PROMETHEUS_BASIC": "a:b", "RUNTIME_PROMETHEUS_AUDIENCE": "https://x.test",
    },
    "RUNTIME_PROMETHEUS_URL is missing": {"RUNTIME_PROMETHEUS_BASIC": "a:b"},
    "RUNTIME_MONITOR_SCOPES is missing": {"RUNTIME_MONITOR_URL": "https://monitor.test"},
    "RUNTIME_PROMETHEUS_URL: expected https": {
        "RUNTIME_PROMETHEUS_URL": "http://prometheus.test", "RUNTIME_PROMETHEUS_BASIC": "a:b",
    },
}  # fmt: skip


@pytest.mark.parametrize(("said", "given"), CONTRADICTIONS.items(), ids=range(len(CONTRADICTIONS)))
def test_settings_that_contradict_or_show_a_token_in_the_clear_stop_the_start(
    said: str, given: Mapping[str, str]
) -> None:
    with pytest.raises(InvalidSetting, match=said) as refused:
        read_settings({"RUNTIME_ISSUERS": "https://login.test", **given})
    assert "a:b" not in refused.value.message


def test_a_source_without_its_setting_is_named() -> None:
    parts = AzureParts(read_settings({PROFILE: "local"}))

    with pytest.raises(PartNotSupported, match="RUNTIME_PROMETHEUS_URL is not set"):
        parts.metrics(MetricSource.PROMETHEUS)


def test_the_surface_is_a_source_without_settings() -> None:
    settings = read_settings({PROFILE: "local"})
    nobody: Any = None

    metrics = open_metrics(MetricSource.SURFACE, settings, SystemClock(), nobody, dict)

    assert isinstance(metrics, SurfaceMetrics)


@pytest.mark.parametrize(
    ("source", "setting"),
    [
        (MetricSource.PROMETHEUS, "RUNTIME_PROMETHEUS_URL"),
        (MetricSource.AZURE_MONITOR, "RUNTIME_MONITOR_URL"),
        (MetricSource.LOG_ANALYTICS, "RUNTIME_LOGS_WORKSPACE"),
        (MetricSource.KUBERNETES, "RUNTIME_AKS_CLUSTER_ID"),
    ],
)
def test_the_embedded_host_gives_its_apps_the_same_sources(
    source: MetricSource, setting: str, tmp_path: Path
) -> None:
    clock = SystemClock()
    host = EmbeddedHost(clock, SeededEntropy(1), Sent(), memory_storage(clock), tmp_path)
    parts = EmbeddedParts(host, read_settings({PROFILE: "local"}))

    assert isinstance(parts.metrics(MetricSource.SURFACE), SurfaceMetrics)
    with pytest.raises(PartNotSupported, match=setting):
        parts.metrics(source)


def test_each_source_that_is_set_up_is_opened_when_it_is_asked_for() -> None:
    given = {
        PROFILE: "local",
        "RUNTIME_PROMETHEUS_URL": "http://127.0.0.1:9090",
        "RUNTIME_MONITOR_URL": "https://westeurope.metrics.monitor.azure.com",
        "RUNTIME_MONITOR_SCOPES": "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590",
        "RUNTIME_LOGS_WORKSPACE": "0b1f6471-1bf0-4dda-aec3-cb9272f09590",
    }
    parts = AzureParts(read_settings(given))

    opened = {
        MetricSource.PROMETHEUS: PrometheusMetrics,
        MetricSource.AZURE_MONITOR: AzureMonitorMetrics,
        MetricSource.LOG_ANALYTICS: LogAnalyticsMetrics,
    }
    assert {source: type(parts.metrics(source)) for source in opened} == opened
