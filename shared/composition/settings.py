"""The app settings, as one typed model: read once at the start, all mistakes named at once.

Settings below `RUNTIME_` are the platform's own. The others have the names that the Functions
bindings give to a connection, so that triggers and adapters share it. Strict values are the default
everywhere.
https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared.composition import (
    cluster_settings,
    image_settings,
    metrics_settings,
    policy_settings,
    telemetry_settings,
)
from shared.composition.cluster_settings import CLUSTER_ISSUER, ClusterSettings
from shared.composition.connection_strings import expected_instead
from shared.composition.image_settings import ImageSettings, Networks
from shared.composition.metrics_settings import PROMETHEUS_BASIC, MetricsSettings
from shared.composition.policy_settings import ENGINE_KEY, PolicySettings
from shared.composition.retention_settings import RetentionSettings
from shared.composition.telemetry_settings import (
    INSIGHTS,
    OF_EXPORTERS,
    OTLP_HEADERS,
    TELEMETRY,
    TelemetrySettings,
)
from shared.contracts.patterns import GIVEN_VARIABLES
from shared.contracts.validation import invalid
from shared.images.registries import REGISTRIES
from shared.kernel.errors import Invalid, Unavailable, Violation
from shared.kernel.trust import trusting
from shared.vault.vault_uris import AZURE_SUFFIX
from shared.web.discovery import check_issuer
from shared.web.issuer import AUDIENCE, DEV_ISSUER
from shared.web.rate_limit import (
    BURST,
    FOLLOWS_BURST,
    FOLLOWS_PER_S,
    RATE_PER_S,
    WRITES_BURST,
    WRITES_PER_S,
)
from shared.web.tenancy import TENANT_ISSUERS, TENANTS, Tenancy, read_tenancy

PROFILE: Final = "RUNTIME_PROFILE"
LOCAL: Final = "local"
PRODUCTION: Final = "production"
ISSUERS: Final = "RUNTIME_ISSUERS"
ISSUER_KEYS: Final = "RUNTIME_ISSUER_KEYS"
GATEWAY: Final = "RUNTIME_GATEWAY_URL"
CA_FILE: Final = "RUNTIME_CA_FILE"
COSMOS_ENDPOINT: Final = "CosmosDB__accountEndpoint"
_OURS: Final = re.compile("RUNTIME_.+|(?:CosmosDB|ServiceBus|Storage|KeyVault)(?:__.+)?")
_HOSTNAME: Final = "WEBSITE_HOSTNAME"


class InvalidSetting(Invalid):
    """Settings are missing, wrong, unknown or contradict each other; the app does not start."""


class Need(StrEnum):
    """What an app needs in Azure, by address; for an emulator a connection string stands for it."""

    COSMOS_DB = COSMOS_ENDPOINT
    SERVICE_BUS = "ServiceBus__fullyQualifiedNamespace"
    TABLES = "Storage__tableServiceUri"
    BLOBS = "Storage__blobServiceUri"
    VAULT = "KeyVault__vaultUri"
    GATEWAY = GATEWAY


EVERY_APP: Final = (Need.COSMOS_DB, Need.SERVICE_BUS, Need.TABLES)
_EXPECTED: Final[Mapping[str, str]] = {
    ISSUERS: f"issuer URLs, separated by spaces ({PROFILE}={LOCAL} takes this machine's)",
    ISSUER_KEYS: "the path of the issuers' key set",
    Need.COSMOS_DB: "the URL of the account",
    Need.SERVICE_BUS: "the host name of the namespace, such as shop.servicebus.windows.net",
    Need.TABLES: "the URL of the table service of the storage account",
    Need.BLOBS: "the URL of the blob service of the storage account",
    Need.VAULT: "the URL of the vault",
    Need.GATEWAY: "the URL under which all apps answer",
    **telemetry_settings.EXPECTED,
}

_CREDENTIALS: Final = re.compile("//.*@", re.DOTALL)
"""Of a URL, which a refusal does not repeat."""

Identity = Literal["managedidentity"] | None
ClientId = Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$")] | None
Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$")]
HostName = Annotated[str, Field(pattern=r"^[a-z0-9-]+(?:\.[a-z0-9-]+)+$")]
Words = Annotated[tuple[str, ...], BeforeValidator(str.split)]
Rate = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class Settings(
    MetricsSettings,
    ClusterSettings,
    ImageSettings,
    PolicySettings,
    RetentionSettings,
    TelemetrySettings,
):
    """What an app reads. A setting below our prefixes that stands nowhere here is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    profile: Literal["local", "production"] = Field("production", alias=PROFILE)
    """`local` shortens waits for work on one machine, takes the tokens of this machine, and
    connects as whoever azure-identity finds; `production` as the managed or workload identity only,
    triggers too."""
    issuers: Words = Field((), alias=ISSUERS)
    """The issuers whose tokens are taken, separated by spaces."""
    issuer_keys: Path | None = Field(None, alias=ISSUER_KEYS)
    """A key set (JWKS) in a file, for all issuers; without it each issuer is asked for its own."""
    issuer_key_hosts: Words = Field((), alias="RUNTIME_ISSUER_KEY_HOSTS")
    """Hosts that may have an issuer's keys, besides its own and those of Entra."""
    issuer_networks: Networks = Field((), alias="RUNTIME_ISSUER_NETWORKS")
    """Private ranges in which issuers may be, such as `10.1.0.0/16`."""
    ca_file: Path | None = Field(None, alias=CA_FILE)
    """A file of certificate authorities to trust besides the machine's."""
    tenant_issuers: Words = Field((), alias=TENANT_ISSUERS)
    """Of the issuers, those that say the tenant themselves, by the claim `tenantId`."""
    tenants: str = Field("", alias=TENANTS)
    """Which client of an issuer acts for which tenant, as JSON: see [tokens](tokens.md)."""
    audience: str = Field(AUDIENCE, alias="RUNTIME_AUDIENCE", min_length=1)
    """What tokens must name as their audience."""
    gateway_url: Url | None = Field(None, alias=GATEWAY)
    """Where all apps answer under one address; on one machine the own host."""
    rate_per_s: Rate = Field(RATE_PER_S, alias="RUNTIME_RATE_PER_S")
    """Requests of a tenant, in a second, at one instance of an app."""
    rate_burst: Rate = Field(BURST, alias="RUNTIME_RATE_BURST")
    """Requests of a tenant at once."""
    writes_per_s: Rate = Field(WRITES_PER_S, alias="RUNTIME_WRITES_PER_S")
    """Of these, the ones that change something, in a second."""
    writes_burst: Rate = Field(WRITES_BURST, alias="RUNTIME_WRITES_BURST")
    """Writes of a tenant at once."""
    follows_per_s: Rate = Field(FOLLOWS_PER_S, alias="RUNTIME_FOLLOWS_PER_S")
    """configurations: requests of a tenant's workloads that follow their configuration, in a
    second; they count for nothing else. An instance sends one a minute."""
    follows_burst: Rate = Field(FOLLOWS_BURST, alias="RUNTIME_FOLLOWS_BURST")
    """The same at once: after a publish each instance asks again, so their number."""
    reference_probe: Url | None = Field(None, alias="RUNTIME_REFERENCE_PROBE")
    """health: a URL that answers when the network does; probes that fail while it does not count
    for nothing."""
    drift_remediation: Literal["auto", "ask", "never"] = Field(
        "ask", alias="RUNTIME_DRIFT_REMEDIATION"
    )
    """drift: whether a service that is not as released is repaired by itself (`auto`), when
    somebody asks for it (`ask`), or `never`; what nobody released is taken away by nobody."""
    git_networks: Networks = Field((), alias="RUNTIME_GIT_NETWORKS")
    """drift: private ranges in which Git repositories may be, such as `10.1.0.0/16`."""
    agent_folder: Path | None = Field(None, alias="RUNTIME_AGENT_FOLDER")
    """The state folder of the local agent, for workloads on this machine; the embedded host has
    its own."""
    engine_folder: Path | None = Field(None, alias="RUNTIME_ENGINE_FOLDER")
    """environments: the state folder of the local cloud, whose engine makes environments on this
    machine; the embedded host has its own."""
    hostname: str = Field("127.0.0.1:7071", alias=_HOSTNAME)
    """Set by the host: where this app answers."""

    cosmos_endpoint: Url | None = Field(None, alias=Need.COSMOS_DB)
    """The Cosmos DB account, reached by identity."""
    cosmos_credential: Identity = Field(None, alias="CosmosDB__credential")
    """For the triggers, with `CosmosDB__clientId`."""
    cosmos_client_id: ClientId = Field(None, alias="CosmosDB__clientId")
    """The user-assigned identity; one for all connections of an app."""
    cosmos: SecretStr | None = Field(None, alias="CosmosDB")
    """Instead: `AccountEndpoint=…;AccountKey=…` of an emulator."""
    service_bus_namespace: str | None = Field(
        None, alias=Need.SERVICE_BUS, pattern=r"^[^/:@\s]+(?::[0-9]+)?$"
    )
    """The Service Bus namespace, reached by identity; with a port, one on this machine."""
    service_bus_credential: Identity = Field(None, alias="ServiceBus__credential")
    """As of Cosmos DB."""
    service_bus_client_id: ClientId = Field(None, alias="ServiceBus__clientId")
    """As of Cosmos DB."""
    service_bus: SecretStr | None = Field(None, alias="ServiceBus")
    """Instead: `Endpoint=sb://…;UseDevelopmentEmulator=true` of an emulator."""
    storage_tables: Url | None = Field(None, alias=Need.TABLES)
    """The tables of the storage account, reached by identity."""
    storage_blobs: Url | None = Field(None, alias=Need.BLOBS)
    """The blobs of the storage account, reached by identity."""
    storage_credential: Identity = Field(None, alias="Storage__credential")
    """As of Cosmos DB."""
    storage_client_id: ClientId = Field(None, alias="Storage__clientId")
    """As of Cosmos DB."""
    storage: SecretStr | None = Field(None, alias="Storage")
    """Instead: the connection string of an emulator, such as `UseDevelopmentStorage=true`."""
    vault: Url | None = Field(None, alias=Need.VAULT)
    """The Key Vault, reached by identity."""
    vault_suffix: HostName = Field(AZURE_SUFFIX, alias="RUNTIME_VAULT_SUFFIX")
    """Below it are the vaults of environments, one label each: that of the cloud. Not used where
    `KeyVault__vaultUri` is a local cloud."""
    vault_client_id: ClientId = Field(None, alias="KeyVault__clientId")
    """As of Cosmos DB."""

    @field_validator("cosmos", "service_bus", "storage")
    @classmethod
    def _can_connect(cls, value: SecretStr | None, of: ValidationInfo) -> SecretStr | None:
        if value is not None:
            name = str(cls.model_fields[str(of.field_name)].alias)
            form = expected_instead(name, value.get_secret_value())
            if form is not None:
                raise ValueError(form)
        return value

    @field_validator("ca_file")
    @classmethod
    def _has_certificates(cls, value: Path | None) -> Path | None:
        try:
            trusting(value)
        except Unavailable:
            raise ValueError("the path of a file with certificates (PEM)") from None
        return value

    @property
    def is_local(self) -> bool:
        """Whether the profile with the short waits was chosen, for work on one machine."""
        return self.profile == LOCAL

    @property
    def has_connections(self) -> bool:
        """Whether the app is to use connections of its own, rather than what a host brings."""
        return any(
            (
                *(self.cosmos_endpoint, self.cosmos),
                *(self.service_bus_namespace, self.service_bus),
                *(self.storage_tables, self.storage_blobs, self.storage),
                self.vault,
            )
        )

    @property
    def client_id(self) -> str | None:
        """Return the user-assigned identity of the app, None for the system-assigned one."""
        given = (self.cosmos_client_id, self.service_bus_client_id, self.storage_client_id)
        return next((each for each in (*given, self.vault_client_id) if each), None)


_STRINGS: Final[Mapping[str, str]] = {
    Need.COSMOS_DB: "CosmosDB",
    Need.SERVICE_BUS: "ServiceBus",
    Need.TABLES: "Storage",
    Need.BLOBS: "Storage",
}
"""The connection string that stands for each address."""
_SECRET: Final = frozenset(
    {*_STRINGS.values(), OTLP_HEADERS, INSIGHTS, PROMETHEUS_BASIC, REGISTRIES, ENGINE_KEY}
)
_NAMES: Final = tuple(str(field.alias) for field in Settings.model_fields.values())


def read_settings(environ: Mapping[str, str], needs: Collection[Need] = ()) -> Settings:
    """Return the settings in *environ*, in which *needs* must not be missing.

    Raises:
        InvalidSetting: names every setting that is wrong, unknown, missing or contradictory.
    """
    exporters = environ.get(TELEMETRY, "").split()
    others = {_HOSTNAME, *(each for name in exporters for each in OF_EXPORTERS.get(name, ()))}
    given = {
        name: value
        for name, value in environ.items()
        if name in others or (_OURS.fullmatch(name) and not GIVEN_VARIABLES.fullmatch(name))
    }
    wrong = [*_missing(given, needs, exporters), *_contradictions(given)]
    try:
        settings = Settings.model_validate(given, by_alias=True, by_name=False)
    except ValidationError as error:
        wrong = [*(_of_setting(each, given) for each in invalid(error).details), *wrong]
        raise _refusal(wrong) from None  # the error has the values, which may be secrets
    if settings.is_local and not settings.issuers:
        own = {"issuers": (DEV_ISSUER,), "tenant_issuers": (DEV_ISSUER,)}
        settings = settings.model_copy(update=own)
    issuers = settings.with_cluster(settings.issuers)
    settings = settings.model_copy(update={"issuers": issuers})
    if wrong := [*wrong, *_wrong_issuers(settings), *_plain_gateway(settings)]:
        raise _refusal(wrong)
    return settings


def tenancy(settings: Settings) -> Tenancy:
    """Return which tenant a token is for. Raises Invalid, as `read_settings` does before."""
    cluster, installation = settings.cluster_issuer, settings.cluster_installation
    return read_tenancy(
        settings.issuers,
        naming=settings.tenant_issuers,
        mappings=settings.tenants,
        clusters={} if cluster is None else {cluster: installation},
    )


def _wrong_issuers(settings: Settings) -> Sequence[Violation]:
    """Return what is wrong with the issuers, and with whom their tokens are for."""
    wrong = []
    for issuer in settings.issuers:
        try:
            check_issuer(issuer, plain_loopback=settings.is_local)
        except Invalid as problem:
            name = CLUSTER_ISSUER if issuer == settings.cluster_issuer else ISSUERS
            wrong.append(Violation("WrongIssuer", name, f"{name}: {problem.message}"))
    others = settings.without_cluster(settings.issuers)
    if settings.issuer_keys is not None and len(others) > 1:
        message = (
            f"{ISSUER_KEYS} is one key set, by which each of {len(others)} issuers could"
            " sign for the others: remove it, so that each is asked for its own"
        )
        wrong.append(Violation("Contradiction", ISSUER_KEYS, message))
    try:
        tenancy(settings)
    except Invalid as problem:
        wrong += problem.details
    return wrong


def _plain_gateway(settings: Settings) -> Sequence[Violation]:
    """Return what is wrong with a gateway that would be told tokens of callers in the clear."""
    if settings.is_local or not (settings.gateway_url or "").startswith("http:"):
        return []
    message = f"{GATEWAY}: expected https://…, received http ({PROFILE}={LOCAL} takes it)"
    return [Violation("RuleBroken", GATEWAY, message, "https://…", "http")]


def _of_setting(detail: Violation, given: Mapping[str, str]) -> Violation:
    """Return what is wrong with one of the settings *given*, by its name."""
    name = detail.target.strip("/").partition("/")[0]
    if detail.code == "UnknownField":
        import difflib  # noqa: PLC0415  for a start that fails

        near = difflib.get_close_matches(name, _NAMES, 1)
        hint = f"did you mean {near[0]}?" if near else "remove it"
        return Violation("UnknownSetting", name, f"{name}: there is no such setting; {hint}")
    # A URL with an @ is refused everywhere, and what stands before that may be a password.
    is_hidden = name in _SECRET or "@" in given.get(name, "")
    received = "a value that is not shown" if is_hidden else detail.received
    message = f"{name}: expected {detail.expected}, received {received}"
    return Violation(detail.code, name, message, detail.expected, received)


def _missing(
    given: Mapping[str, str], needs: Collection[Need], exporters: Sequence[str]
) -> Sequence[Violation]:
    names: list[str] = [need for need in Need if need in needs]
    names += [each[0] for name, each in OF_EXPORTERS.items() if name in exporters]
    if given.get(PROFILE, PRODUCTION) != LOCAL or ISSUERS in given:
        names = [ISSUERS, *names]
    elif needs:  # the keys of this machine's issuer are in no place that Azure's parts know
        names = [ISSUER_KEYS, *names]
    missing = []
    for name in names:
        if not any(given.get(each, "").strip() for each in (name, _STRINGS.get(name, name))):
            message = f"{name} is missing: expected {_EXPECTED[name]}"
            missing.append(Violation("Required", name, message, _EXPECTED[name], "nothing"))
    return missing


def _contradictions(given: Mapping[str, str]) -> Sequence[Violation]:
    found = [
        *metrics_settings.contradictions(given, is_local=given.get(PROFILE) == LOCAL),
        *cluster_settings.contradictions(given, api=GATEWAY),
        *image_settings.mistakes(given, is_local=given.get(PROFILE) == LOCAL),
        *policy_settings.mistakes(given, is_local=given.get(PROFILE) == LOCAL),
    ]
    for address, string in _STRINGS.items():
        if address in given and string in given:
            message = f"{address} and {string} are both set: remove one, {string} outside emulators"
            found.append(Violation("Contradiction", string, message))
    identities = {name: value for name, value in given.items() if name.endswith("__clientId")}
    if len(set(identities.values())) > 1:
        names = " and ".join(sorted(identities))
        message = f"{names} differ: an app has one identity"
        found.append(Violation("Contradiction", min(identities), message))
    return found


def _refusal(wrong: Sequence[Violation]) -> InvalidSetting:
    wrong = [replace(each, message=_CREDENTIALS.sub("//…@", each.message)) for each in wrong]
    message = "; ".join(each.message for each in wrong)
    return InvalidSetting(message, target=wrong[0].target, details=wrong)
