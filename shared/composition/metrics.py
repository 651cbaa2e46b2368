"""Opens the providers of measurements that the settings name, each when it is first asked for."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from shared.composition.identity import Identity
from shared.composition.parts import PartNotSupported
from shared.composition.settings import Settings
from shared.contracts.metrics import MetricSource
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import Clock
from shared.metrics.credentials import Authorization, basic, identity, nobody, token_in
from shared.metrics.port import Metrics
from shared.metrics.prometheus import PrometheusMetrics
from shared.metrics.provider_client import ProviderClient
from shared.metrics.surface_metrics import SurfaceMetrics
from shared.surfaces.joined_readers import joined
from shared.surfaces.port import ComponentReader


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
        case _:
            raise PartNotSupported(f"there is no provider {source}")


def _prometheus(settings: Settings, clock: Clock, app: Identity) -> Metrics:
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


def _shown_to_prometheus(settings: Settings, app: Identity) -> Authorization:
    if settings.prometheus_basic is not None:
        return basic(settings.prometheus_basic.get_secret_value())
    if settings.prometheus_token_file is not None:
        return token_in(settings.prometheus_token_file)
    if settings.prometheus_audience is not None:
        return identity(app, settings.prometheus_audience)
    return nobody
