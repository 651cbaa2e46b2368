"""The settings of providers of metrics, as a part of the app settings, and what contradicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from shared.kernel.errors import Violation

_PROMETHEUS: Final = "RUNTIME_PROMETHEUS_URL"
PROMETHEUS_BASIC: Final = "RUNTIME_PROMETHEUS_BASIC"
_CREDENTIALS: Final = (
    PROMETHEUS_BASIC, "RUNTIME_PROMETHEUS_TOKEN_FILE", "RUNTIME_PROMETHEUS_AUDIENCE",
)  # fmt: skip
MONITOR_URL: Final = "RUNTIME_MONITOR_URL"
MONITOR_SCOPES: Final = "RUNTIME_MONITOR_SCOPES"
LOGS_WORKSPACE: Final = "RUNTIME_LOGS_WORKSPACE"
PUBLIC: Final = "https://api.loganalytics.io"

Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$")]
HttpsUrl = Annotated[str, Field(pattern=r"^https://[^/?#@\s]+[^?#@\s]*$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
WorkspaceId = Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$")]
ResourceIds = Annotated[
    tuple[Annotated[str, Field(pattern=r"(?i)^/subscriptions/[^/\s]+(?:/[^/\s]+)*$")], ...],
    BeforeValidator(str.split),
]


class MetricsSettings(BaseModel, defer_build=True):
    """Where measurements are read, besides at the surfaces themselves."""

    prometheus_url: Url | None = Field(None, alias=_PROMETHEUS)
    """health: a server with Prometheus' HTTP API, for gates with `source: prometheus`."""
    prometheus_basic: SecretStr | None = Field(None, alias=PROMETHEUS_BASIC)
    """`user:password` for it."""
    prometheus_token_file: Path | None = Field(None, alias="RUNTIME_PROMETHEUS_TOKEN_FILE")
    """Instead: a file with its token, read before each request."""
    prometheus_audience: HttpsUrl | None = Field(None, alias="RUNTIME_PROMETHEUS_AUDIENCE")
    """Instead: whom tokens of the app's identity are for; `https://prometheus.monitor.azure.com`
    for Azure Monitor's."""
    prometheus_tenant_header: HeaderName | None = Field(
        None, alias="RUNTIME_PROMETHEUS_TENANT_HEADER"
    )
    """The header that names the tenant to a server which keeps each to its own series, such as
    `X-Scope-OrgID`. Without it a gate's query reads whatever the credentials may."""
    prometheus_scrape_s: Annotated[float, Field(ge=1, le=300, allow_inf_nan=False)] = Field(
        15.0, alias="RUNTIME_PROMETHEUS_SCRAPE_S"
    )
    """The seconds between two scrapes of workloads; a window is at least four of them."""
    monitor_url: HttpsUrl | None = Field(None, alias=MONITOR_URL)
    """health: the regional endpoint of Azure Monitor's metrics, such as
    `https://westeurope.metrics.monitor.azure.com`, for gates with `source: azureMonitor`."""
    monitor_scopes: ResourceIds = Field((), alias=MONITOR_SCOPES)
    """The subscriptions, resource groups or resources whose metrics a gate may read, by their
    resource ids, separated by spaces."""
    logs_workspace: WorkspaceId | None = Field(None, alias=LOGS_WORKSPACE)
    """health: the id of the Log Analytics workspace, for gates with `source: logAnalytics`."""
    logs_url: HttpsUrl = Field(PUBLIC, alias="RUNTIME_LOGS_URL")
    """The endpoint of its query API, another one in a sovereign cloud."""


def contradictions(given: Mapping[str, str], *, is_local: bool) -> Sequence[Violation]:
    """Return what contradicts in the settings *given*, and tokens that would go in the clear."""
    wrong = []
    shown = [name for name in _CREDENTIALS if name in given]
    if len(shown) > 1:
        message = f"{' and '.join(shown)} are all set: remove all but one"
        wrong.append(Violation("Contradiction", shown[0], message))
    if shown and _PROMETHEUS not in given:
        message = f"{_PROMETHEUS} is missing: expected its URL, as {shown[0]} is set"
        wrong.append(Violation("Required", _PROMETHEUS, message, "a URL", "nothing"))
    elif shown and not is_local and given[_PROMETHEUS].startswith("http:"):
        message = f"{_PROMETHEUS}: expected https://…, as it is shown {shown[0]}"
        wrong.append(Violation("RuleBroken", _PROMETHEUS, message, "https://…", "http"))
    if MONITOR_URL in given and not given.get(MONITOR_SCOPES, "").strip():
        message = f"{MONITOR_SCOPES} is missing: expected the resource ids that gates may read"
        wrong.append(Violation("Required", MONITOR_SCOPES, message, "resource ids", "nothing"))
    return wrong
