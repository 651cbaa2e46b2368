"""Commands, events and resources of configurations: versioned values in three layers."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.contracts.catalog import ReleaseOfComponent
from shared.contracts.patterns import pattern
from shared.contracts.releases import InstanceProof
from shared.contracts.shape import Command, Event, Resource, Value
from shared.contracts.values import (
    ConfigurationId,
    Count,
    Digest,
    EnvironmentId,
    Instant,
    Json,
    Label,
    ModuleId,
    Percent,
    Reason,
    Revision,
    Slug,
    TenantId,
    Text,
)
from shared.contracts.vault_names import SecretName

VALUES_BYTES_MAX: Final = 128 * 1024
"""A version row with its values stays well below the 1 MB of a batch, and of one long poll."""
CONTENT_BYTES_MAX: Final = 144 * 1024
"""Of values and schema together: one event has both, with names of keys and of modules."""


class ConfigurationLayer(StrEnum):
    """Later layers win: tenant, environment, module."""

    TENANT = "tenant"
    ENVIRONMENT = "environment"
    MODULE = "module"


class ConfigurationStatus(StrEnum):
    """Of one version."""

    DRAFT = "Draft"
    PUBLISHED = "Published"
    SYNCED = "Synced"
    SYNC_FAILED = "SyncFailed"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"


class AdoptionBasis(StrEnum):
    """How it is known that an instance runs a version."""

    REPORTED = "reported"
    OBSERVED = "observed"


def _size(values: Mapping[str, Json]) -> int:
    return len(json.dumps(dict(values), separators=(",", ":"), ensure_ascii=False).encode())


def _fits(values: Mapping[str, Json]) -> Mapping[str, Json]:
    size = _size(values)
    if size > VALUES_BYTES_MAX:
        raise ValueError(f"values take at most {VALUES_BYTES_MAX} bytes as JSON, these take {size}")
    return values


Key = Annotated[
    str,
    StringConstraints(
        pattern=pattern(
            r"^[A-Za-z][A-Za-z0-9_.:-]*$", "a letter, then letters, digits and . _ : -"
        ),
        max_length=128,
    ),
]
Keys = Annotated[tuple[Key, ...], Field(max_length=500)]
Values = Annotated[Mapping[Key, Json], Field(max_length=1000), AfterValidator(_fits)]
"""A secret appears as a reference (`{"secret": "<name>"}`), never as a value."""
Schema = Annotated[Mapping[str, Json], Field(max_length=200), AfterValidator(_fits)]
"""JSON Schema 2020-12 of the merged values."""


def _fit_together(values: Mapping[str, Json], schema: Mapping[str, Json] | None) -> None:
    size = _size(values) + _size(schema or {})
    if size > CONTENT_BYTES_MAX:
        raise ValueError(
            f"values and schema together take at most {CONTENT_BYTES_MAX} bytes as JSON, these take"
            f" {size}"
        )


class SecretReference(Value):
    """A value that says which secret is meant; a workload is given it by its binding."""

    secret: SecretName


class FlagType(StrEnum):
    BOOLEAN = "boolean"
    STRING = "string"
    NUMBER = "number"
    OBJECT = "object"


class FlagRule(Value):
    """To whom another value is given. With neither tenants nor a percentage: to all."""

    tenants: Annotated[tuple[Slug, ...], Field(max_length=200)] = ()
    percent: Percent = 100
    """Of those whom `tenants` leaves, by the first 8 bytes of the SHA-256 of `<key>:<subject>`."""
    value: Json


class FeatureFlag(Value):
    """A value that its readers evaluate: the first rule that fits, else the default."""

    type: FlagType
    default: Json
    rules: Annotated[tuple[FlagRule, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _values_of_its_type(self) -> Self:
        for value in (self.default, *(rule.value for rule in self.rules)):
            if not isinstance(value, _FLAG_VALUES[self.type]) or (
                isinstance(value, bool) and self.type is not FlagType.BOOLEAN
            ):
                raise ValueError(f"the values of a flag of type {self.type} are all of that type")
        return self


_FLAG_VALUES: Final[Mapping[FlagType, tuple[type, ...]]] = {
    FlagType.BOOLEAN: (bool,),
    FlagType.STRING: (str,),
    FlagType.NUMBER: (int, float),
    FlagType.OBJECT: (dict,),
}


class FlagValue(Value):
    """How a flag stands among the values of a configuration."""

    flag: FeatureFlag


class ConfigurationScope(Value):
    """Which layer, and of what: tenant layer has neither id, module layer has both."""

    layer: ConfigurationLayer
    environment_id: EnvironmentId | None = None
    module_id: ModuleId | None = None

    @model_validator(mode="after")
    def _ids_of_its_layer(self) -> Self:
        wanted = {
            ConfigurationLayer.TENANT: (False, False),
            ConfigurationLayer.ENVIRONMENT: (True, False),
            ConfigurationLayer.MODULE: (True, True),
        }[self.layer]
        if (self.environment_id is not None, self.module_id is not None) != wanted:
            raise ValueError(
                "the layer tenant has neither id, environment has environmentId, module has both"
            )
        return self


class PublishConfiguration(Command):
    """POST /configurations."""

    scope: ConfigurationScope
    values: Values
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    expected_version: Revision
    """The head this was written against, 0 for the first; 412 if it moved."""
    draft: bool = False
    dry_run: bool = False
    comment: Text = ""

    @model_validator(mode="after")
    def _content_fits_an_event(self) -> Self:
        _fit_together(self.values, self.schema_)
        return self


class ConfigurationReturn(Command):
    """POST /configurations/{configurationId}/rollback: old content as a new version."""

    to_version: Annotated[int, Field(ge=1)]
    expected_version: Revision
    comment: Text = ""


class ConfigurationFacts(Event):
    """What every event of a configuration says; `aggregate_id` is the configuration's id."""

    configuration_id: ConfigurationId
    environment_id: EnvironmentId | None = None
    """Absent for the tenant layer, which reaches all environments."""
    module_id: ModuleId | None = None
    layer: ConfigurationLayer
    scope: Label
    version: Annotated[int, Field(ge=1)]
    content_hash: Digest
    status: ConfigurationStatus


class ConfigurationPublished(ConfigurationFacts):
    values: Values = Field(default_factory=dict)
    """The content of the version, of which `content_hash` is the digest."""
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    """What the merge of every module that it reaches is to fit."""
    previous_version: Revision = 0
    keys_changed: Keys = ()
    """Names only, at most 500, and fewer long ones; `keys_changed_total` counts all."""
    keys_changed_total: Count = 0
    floating: Annotated[tuple[ModuleId, ...], Field(max_length=200)] = ()
    """Modules that take it by a configuration roll-out; the first two hundred."""


class AdoptionFacts(ConfigurationFacts):
    expected: Count
    """Instances whose unit names this version, or that are live."""
    acknowledged: Count
    missing: Annotated[tuple[Label, ...], Field(max_length=100)] = ()
    """The first hundred instances that do not run it."""
    basis: AdoptionBasis


class ConfigurationSynced(AdoptionFacts):
    """All that should run this version do; at once when nothing consumes it."""


class ConfigurationSyncFailed(AdoptionFacts):
    reason: Reason


class AdoptRelease(ReleaseOfComponent):
    """configurations to itself: note what one service was given by a deployment."""

    proofs: Annotated[tuple[InstanceProof, ...], Field(max_length=100)] = ()
    """Of its instances."""


class DraftPublication(Command):
    """POST /configurations/{configurationId}/versions/{version}/publish."""

    expected_version: Revision
    """The head that it takes the place of; 412 if it moved."""


class ConfigurationVersion(Resource):
    """GET /configurations/{configurationId}/versions/{n}."""

    configuration_id: ConfigurationId
    version: Annotated[int, Field(ge=1)]
    status: ConfigurationStatus
    values: Values
    schema_: Annotated[Schema | None, Field(alias="schema")]
    content_hash: Digest
    published_by: Label
    published_at: Instant
    comment: Text


class RuntimeConfiguration(Resource):
    """GET /configurations/{configurationId}: the head."""

    configuration_id: ConfigurationId
    tenant_id: TenantId
    scope: ConfigurationScope
    version: Revision
    """In force; 0 while there are drafts only."""
    draft: Revision | None = None
    """The newest draft that was written after it."""
    status: ConfigurationStatus
    content_hash: Digest | None
    revision: Revision
    updated_at: Instant


class KeyChangeKind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class KeyChange(Value):
    key: Key
    kind: KeyChangeKind
    before: Json = None
    after: Json = None


class ConfigurationDiff(Resource):
    """GET /configurations/{configurationId}/diff."""

    configuration_id: ConfigurationId
    from_version: Revision
    to_version: Revision
    changes: Annotated[tuple[KeyChange, ...], Field(max_length=2000)]


class InstanceAdoption(Value):
    module_id: ModuleId
    instance: Label
    version: Revision
    basis: AdoptionBasis
    at: Instant | None


class Adoption(Resource):
    """GET /configurations/{configurationId}/adoption."""

    configuration_id: ConfigurationId
    version: Revision
    expected: Count
    acknowledged: Count
    instances: Annotated[tuple[InstanceAdoption, ...], Field(max_length=1000)]
    """A page, by their names; `expected` and `acknowledged` count all."""
    next_link: Annotated[str, StringConstraints(max_length=4096)] | None = None


class EffectiveConfiguration(Resource):
    """GET /effective-configuration: the merge for one module, by its hash; ETag and long poll."""

    environment_id: EnvironmentId
    module_id: ModuleId
    tenant_version: Revision
    environment_version: Revision
    module_version: Revision
    hash: Digest
    values: Annotated[Mapping[Key, Json], Field(max_length=3000)]
    layer_of: Annotated[Mapping[Key, ConfigurationLayer], Field(max_length=3000)]
    """With `explain=true`: which layer gave each value."""
