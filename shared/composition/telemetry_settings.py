"""The settings of traces and figures, as a part of the app settings."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator

from shared.composition.metrics_settings import Url
from shared.telemetry.exporters import APPLICATION_INSIGHTS, OTLP, Exporters, headers

TELEMETRY: Final = "RUNTIME_TELEMETRY"
_OTLP_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTLP_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
INSIGHTS: Final = "APPLICATIONINSIGHTS_CONNECTION_STRING"
OF_EXPORTERS: Final[Mapping[str, tuple[str, ...]]] = {
    OTLP: (_OTLP_ENDPOINT, OTLP_HEADERS),
    APPLICATION_INSIGHTS: (INSIGHTS,),
}
"""What each exporter needs first. Azure's host reads the same, so where no exporter of ours is
named they are none of our business."""
EXPECTED: Final[Mapping[str, str]] = {
    _OTLP_ENDPOINT: "the URL of a collector, such as http://127.0.0.1:4318",
    INSIGHTS: "the connection string of an Application Insights resource",
}
_RESOURCE: Final = re.compile(
    r"(?i)(?:[^;]+;)*InstrumentationKey=[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:;[^;]+)*;?"
)

Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Exporter = Literal["otlp", "console", "applicationinsights", "prometheus"]
ExporterNames = Annotated[tuple[Exporter, ...], BeforeValidator(str.split)]


class TelemetrySettings(BaseModel, defer_build=True):
    """Where traces and figures go."""

    telemetry: ExporterNames = Field((), alias=TELEMETRY)
    """Where traces and figures go, separated by spaces: `otlp`, `console`, `applicationinsights`,
    `prometheus`; nowhere without it. See [telemetry](telemetry.md)."""
    telemetry_ratio: Ratio = Field(1.0, alias="RUNTIME_TELEMETRY_RATIO")
    """The share of all traces that is recorded; figures count all."""
    otlp_endpoint: Url | None = Field(None, alias=_OTLP_ENDPOINT)
    """For `otlp`: the URL of a collector, by OTLP over HTTP."""
    otlp_headers: SecretStr | None = Field(None, alias=OTLP_HEADERS)
    """For `otlp`: `name=value,name=value`, a token say."""
    insights: SecretStr | None = Field(None, alias=INSIGHTS)
    """For `applicationinsights`: its connection string."""

    @field_validator("otlp_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                headers(value.get_secret_value())
            except ValueError:
                raise ValueError("name=value,name=value") from None
        return value

    @field_validator("insights")
    @classmethod
    def _names_a_resource(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _RESOURCE.fullmatch(value.get_secret_value()):
            raise ValueError("InstrumentationKey=<UUID>;IngestionEndpoint=https://…")
        return value

    @property
    def exporters(self) -> Exporters:
        """Return where traces and figures go."""
        return Exporters(
            self.telemetry,
            self.telemetry_ratio,
            self.otlp_endpoint or "",
            self.otlp_headers.get_secret_value() if self.otlp_headers else "",
            self.insights.get_secret_value() if self.insights else "",
        )
