"""Opens the providers of measurements that the settings name, each when it is first asked for."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.composition.identity import Identity
from shared.composition.metrics_settings import LOGS_WORKSPACE, MONITOR_URL
from shared.composition.parts import PartNotSupported
from shared.composition.settings import Settings
from shared.contracts.metrics import MetricSource
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import Clock
from shared.metrics.port import Metrics
from shared.metrics.surface_metrics import SurfaceMetrics
from shared.surfaces.joined_readers import joined
from shared.surfaces.port import ComponentReader

if TYPE_CHECKING:
    from shared.metrics.credentials import Authorization


def open_metrics(
    source: MetricSource,
    settings: Settings,
    clock: Clock,
    app: Identity,
    surfaces: Callable[[], Mapping[ComputeTargetKind, ComponentReader]],
) -> Metrics:
    """Return the provider *source*, connected as *settings* say and as the identity *app*.

    Raises:
        PartNotSupported: a setting that it needs is missing.
    """
    match source:
        case MetricSource.SURFACE:
            return SurfaceMetrics(joined([*surfaces().values()]), clock)
        case MetricSource.PROMETHEUS:
            return _prometheus(settings, clock, app)
        case MetricSource.AZURE_MONITOR:
            return _azure_monitor(settings, clock, app)
        case MetricSource.LOG_ANALYTICS:
            return _log_analytics(settings, clock, app)
        case MetricSource.KUBERNETES:
            return _kubernetes(settings, clock, app)


def _prometheus(settings: Settings, clock: Clock, app: Identity) -> Metrics:
    from shared.metrics.prometheus import PrometheusMetrics  # noqa: PLC0415  when used
    from shared.metrics.provider_client import ProviderClient  # noqa: PLC0415  when used

    if settings.prometheus_url is None:
        raise PartNotSupported("RUNTIME_PROMETHEUS_URL is not set")
    client = ProviderClient(
        settings.prometheus_url, clock, _shown_to_prometheus(settings, app), settings.ca_file
    )
    return PrometheusMetrics(
        client,
        scrape_interval=timedelta(seconds=settings.prometheus_scrape_s),
        tenant_header=settings.prometheus_tenant_header,
    )


def _shown_to_prometheus(settings: Settings, app: Identity) -> "Authorization":
    from shared.metrics.credentials import basic, identity, nobody, token_in  # noqa: PLC0415

    if settings.prometheus_basic is not None:
        return basic(settings.prometheus_basic.get_secret_value())
    if settings.prometheus_token_file is not None:
        return token_in(settings.prometheus_token_file)
    if settings.prometheus_audience is not None:
        return identity(app, settings.prometheus_audience)
    return nobody


def _azure_monitor(settings: Settings, clock: Clock, app: Identity) -> Metrics:
    from shared.metrics.azure_monitor import AzureMonitorMetrics  # noqa: PLC0415  when used

    if settings.monitor_url is None:
        raise PartNotSupported(f"{MONITOR_URL} is not set")
    return AzureMonitorMetrics(
        settings.monitor_url, app, settings.monitor_scopes, clock, ca_file=settings.ca_file
    )


def _log_analytics(settings: Settings, clock: Clock, app: Identity) -> Metrics:
    from shared.metrics.log_analytics import LogAnalyticsMetrics  # noqa: PLC0415  when used

    if settings.logs_workspace is None:
        raise PartNotSupported(f"{LOGS_WORKSPACE} is not set")
    return LogAnalyticsMetrics(
        settings.logs_workspace, app, clock, endpoint=settings.logs_url, ca_file=settings.ca_file
    )


def _kubernetes(settings: Settings, clock: Clock, app: Identity) -> Metrics:
    from shared.composition.cluster import open_cluster  # noqa: PLC0415  when used
    from shared.metrics.kubernetes_metrics import KubernetesMetrics  # noqa: PLC0415  when used

    cluster = open_cluster(settings, app, clock)
    return KubernetesMetrics(cluster.client, cluster.close, clock)
