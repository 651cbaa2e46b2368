"""Words that several services share: ids, slugs, digests, kinds, and their bounds."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import unquote

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
)

from shared.contracts.patterns import pattern
from shared.contracts.shape import Value
from shared.kernel import ids
from shared.kernel.clock import isoformat

EVENT_BYTES_MAX: Final = 192 * 1024
"""A payload's bound as JSON: a broker message is 256 KB, the rest is envelope and properties."""
COMPONENTS_MAX: Final = 25
"""Components of one deployment, and units of one page when an event is split."""
_SLUG: Final = pattern(
    f"^{ids.TENANT.pattern}$", "lower case letters, digits and inner dashes, at most 63"
)
PATH_PATTERN: Final = pattern(
    r"^/[^\s\x00-\x1f\x7f]*$", "a path that begins with / and has no spaces"
)


def _without_dots(path: str) -> str:
    """Refuse what a client on the way may shorten: the platform asks some paths with its rights."""
    if "." not in path and "%" not in path:
        return path
    segments = re.split(r"[/\\]", unquote(path.partition("?")[0].partition("#")[0]))
    if {".", ".."} & set(segments):
        raise ValueError("a path has no segment of one or two dots")
    return path


RequestPath = Annotated[
    str, StringConstraints(pattern=PATH_PATTERN, max_length=512), AfterValidator(_without_dots)
]
"""What a workload is asked over HTTP."""
NO_NUL: Final = pattern(r"^[^\x00]*$", "text without a NUL")
_YEARS: Final = range(1970, 9000)
"""Near the ends of the calendar a change of offset or the addition of a span overflows."""


def _id(kind: str) -> StringConstraints:
    return StringConstraints(
        pattern=pattern(ids.id_pattern(kind), f"an id as the platform gave it, {kind}-…"),
        max_length=160,
    )


def _utc(instant: datetime) -> datetime:
    if instant.year not in _YEARS:
        raise ValueError(f"an instant from {_YEARS.start} to {_YEARS.stop}")
    return instant.astimezone(UTC)


def is_finite(value: JsonValue) -> bool:
    """Return whether *value* is free of NaN and infinities, which JSON does not have."""
    match value:
        case float():
            return math.isfinite(value)
        case list():
            return all(map(is_finite, value))
        case dict():
            return all(map(is_finite, value.values()))
        case _:
            return True


def _finite(value: JsonValue) -> JsonValue:
    if not is_finite(value):
        raise ValueError("a JSON number is finite")
    return value


Slug = Annotated[str, StringConstraints(pattern=_SLUG)]
"""A DNS label: lower case, digits and inner dashes, 1 to 63 characters."""
EnvironmentName = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            r"^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$",
            "a lower case letter, then letters, digits and inner dashes, at most 40",
        )
    ),
]
"""A slug of at most 40 characters that begins with a letter, so that Azure names can hold it."""
TenantId = Annotated[ids.TenantId, Field(pattern=_SLUG, max_length=63)]
ProjectId = Annotated[
    ids.ProjectId,
    Field(
        pattern=pattern(
            r"^proj-[a-z0-9](?:[a-z0-9-]{0,57})$",
            "proj- and lower case letters, digits and dashes, such as proj-shop",
        )
    ),
]
ModuleId = Annotated[
    ids.ModuleId,
    Field(
        pattern=pattern(
            r"^module-[a-z0-9](?:[a-z0-9-]{0,55})$",
            "module- and lower case letters, digits and dashes, such as module-shop",
        )
    ),
]
EnvironmentId = Annotated[ids.EnvironmentId, _id("env")]
DeploymentId = Annotated[ids.DeploymentId, _id("dep")]
ServiceId = Annotated[ids.ServiceId, _id("svc")]
OperationId = Annotated[ids.OperationId, _id("op")]
TenantBindingId = Annotated[ids.TenantBindingId, _id("tb")]
ConfigurationId = Annotated[ids.ConfigurationId, _id("cfg")]
SecretBindingId = Annotated[ids.SecretBindingId, _id("sec")]
SecretRotationId = Annotated[ids.SecretRotationId, _id("rot")]
ScalingPolicyId = Annotated[ids.ScalingPolicyId, _id("sp")]
DriftFindingId = Annotated[ids.DriftFindingId, _id("df")]
GateId = Annotated[ids.GateId, _id("gate")]

Digest = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^sha256:[0-9a-f]{64}$", "sha256: and 64 hexadecimal digits")
    ),
]
"""The content address of an artifact, an image or a blob."""
Image = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            r"^[a-zA-Z0-9][\w.:/-]*(?:@sha256:[0-9a-f]{64})?$",
            "a container image by tag or digest, such as registry/shop:1.0",
        ),
        max_length=512,
    ),
]
"""A container image by tag or digest; the release unit always pins the digest."""
Version = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^[\w][\w.+-]*$", "letters, digits and . _ + -, such as 1.0.2"),
        max_length=64,
    ),
]
Region = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            r"^[a-z][a-z0-9-]{1,39}$", "a region in lower case, such as westeurope or local"
        )
    ),
]
"""An Azure region as ARM names it (`westeurope`), or `local`."""
Label = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^[^\x00-\x1f\x7f]{1,128}$", "one line of 1 to 128 characters")
    ),
]
"""One line for machines and people: names of steps, owners, codes."""
TEXT_MAX: Final = 2048
Text = Annotated[str, StringConstraints(max_length=TEXT_MAX)]
"""A sentence for people."""
Url = Annotated[
    str,
    StringConstraints(
        pattern=pattern(r"^(?:https?|tcp|grpc)://\S+$", "a URL with http, https, tcp or grpc"),
        max_length=2048,
    ),
]
Port = Annotated[int, Field(ge=1, le=65_535)]
Percent = Annotated[int, Field(ge=0, le=100)]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
"""A fraction, 0.0 to 1.0."""
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Revision = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""0 is "none yet"."""
Milliseconds = Annotated[float, Field(ge=0.0, le=1e9)]
REPLICAS_MAX: Final = 1000
Replicas = Annotated[int, Field(ge=0, le=REPLICAS_MAX)]
Instant = Annotated[
    AwareDatetime,
    AfterValidator(_utc),
    PlainSerializer(isoformat, return_type=str, when_used="json"),
]
"""An aware instant, read with any offset, written as UTC with `Z`."""
Duration = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=400))]
"""ISO 8601, for example `PT5M`."""
Json = Annotated[JsonValue, AfterValidator(_finite)]
"""Any JSON value; the type that holds it bounds its size."""
Tags = Annotated[
    Mapping[
        Annotated[
            str,
            StringConstraints(
                pattern=pattern(
                    r"^[^<>%&\\?/\x00-\x1f]{1,128}$", "1 to 128 characters without < > % & \\ ? /"
                )
            ),
        ],
        Annotated[str, StringConstraints(max_length=256)],
    ],
    Field(max_length=40),
]
"""Azure takes 50 a resource, without `<>%&\\?/` in names; the platform adds its own."""
Settings = Annotated[
    Mapping[
        Annotated[
            str,
            StringConstraints(
                pattern=pattern(r"^[\w.-]{1,64}$", "1 to 64 letters, digits and . _ -")
            ),
        ],
        Annotated[str, StringConstraints(max_length=1024)],
    ],
    Field(max_length=50),
]


class Service(StrEnum):
    """Every service of the specification by its Python name; `BUILT` says which exist."""

    ENVIRONMENTS = "environments"
    DEPLOYMENTS = "deployments"
    CATALOG = "catalog"
    CONFIGURATIONS = "configurations"
    SECRET_BINDINGS = "secret_bindings"  # noqa: S105  a service's name
    TENANTS = "tenants"
    HEALTH = "health"
    SCALING = "scaling"
    DRIFT = "drift"

    @property
    def public_name(self) -> str:
        """The name outside Python, where `_` is written `-`."""
        return self.value.replace("_", "-")


class Stage(StrEnum):
    DEV = "dev"
    TEST = "test"
    STAGING = "staging"
    PROD = "prod"


class IsolationModel(StrEnum):
    SILO = "silo"
    POOL = "pool"
    SHARED = "shared"


class ComputeTargetKind(StrEnum):
    """Where workloads run: four Azure surfaces and real processes on this machine."""

    AKS = "AKS"
    CONTAINER_APPS = "ContainerApps"
    FUNCTIONS = "Functions"
    APP_SERVICE = "AppService"
    LOCAL_PROCESS = "LocalProcess"


class ComponentType(StrEnum):
    GATEWAY = "gateway"
    MICROSERVICE = "microservice"
    WORKER = "worker"
    ADMIN_PORTAL = "admin-portal"
    CUSTOMER_PORTAL = "customer-portal"
    MOBILE_BACKEND = "mobile-backend"


class SecretDelivery(StrEnum):
    """How a workload gets a secret."""

    ENVIRONMENT_VARIABLE = "environmentVariable"
    FILE = "file"
    REFERENCE = "reference"
    """It reads the vault itself, by its identity: which version it should have is recorded."""


class ConfigurationMode(StrEnum):
    """How a module takes configuration changes."""

    PINNED = "pinned"
    """With a deployment."""
    FLOATING = "floating"
    """By a configuration roll-out."""
    LIVE = "live"
    """Follows the head by long poll, last known good on disk."""


class ConfigurationDelivery(StrEnum):
    """How an instance finds its configuration."""

    VARIABLES = "variables"
    """Each key as a variable, with `.`, `:` and `-` written `_`."""
    JSON = "json"
    """The file `configuration.json` in the folder that `RUNTIME_CONFIGURATION` names."""
    DOTENV = "dotenv"
    """The file `configuration.env` there."""


class Severity(StrEnum):
    INFO = "Info"
    WARNING = "Warning"
    CRITICAL = "Critical"


class ProbeKind(StrEnum):
    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"


class Probe(Value):
    """One question put to an instance. HTTP passes on 200 to 399."""

    kind: ProbeKind = ProbeKind.HTTP
    """`command` is refused on one machine."""
    path: RequestPath = "/"
    """HTTP only."""
    port: Port | None = None
    """The component's own port when not given."""
    command: Annotated[tuple[Text, ...], Field(max_length=32)] = ()
    """For kind `command`: exit code 0 passes."""
    period: Annotated[
        timedelta | None, Field(ge=timedelta(milliseconds=100), le=timedelta(hours=1))
    ] = None
    """When not given: the surface's own for traffic, the health sweep's for health."""
    timeout: Annotated[timedelta, Field(ge=timedelta(milliseconds=50), le=timedelta(minutes=5))] = (
        timedelta(seconds=5)
    )
    """For one answer."""
    initial_delay: Annotated[timedelta, Field(ge=timedelta(), le=timedelta(hours=1))] = timedelta()
    failure_threshold: Annotated[int, Field(ge=1, le=20)] = 3
    """Failures in a row that turn it to failing, as in Kubernetes."""
    success_threshold: Annotated[int, Field(ge=1, le=20)] = 1


class Probes(Value):
    """The probes by which an instance is up, gets traffic, or is restarted."""

    startup: Probe | None = None
    """Until it has passed, the others are not asked. Refused on one machine."""
    readiness: Probe | None = None
    """Traffic and gates follow it; without it an open port is ready."""
    liveness: Probe | None = None
    """An instance that fails it is restarted."""


class Resources(Value):
    """Limits of one instance; the plan refuses a limit that the surface cannot enforce."""

    cpu: Annotated[float | None, Field(gt=0, le=128)] = None
    """Cores. Refused on one machine."""
    memory_mib: Annotated[int | None, Field(ge=16, le=1_048_576)] = None
    """MiB of one instance."""
    open_files: Annotated[int | None, Field(ge=16, le=1_048_576)] = None
    """Of each process."""
    processes: Annotated[int | None, Field(ge=1, le=32_768)] = None
    """Processes and threads of one instance together."""


class Isolation(StrEnum):
    """What an instance may be held to, in the words of `runtimectl doctor`: docs/process.md."""

    OWN_USER = "ownUser"
    OWN_PROCESSES = "ownProcesses"
    PRIVATE_FILES = "privateFiles"
    OWN_PORTS = "ownPorts"
    READ_ONLY_PROGRAM = "readOnlyProgram"


Requires = Annotated[tuple[Isolation, ...], Field(max_length=len(Isolation))]


class Reason(Value):
    """Why something is as it is: one word for machines, one sentence for people."""

    code: Label
    message: Text
