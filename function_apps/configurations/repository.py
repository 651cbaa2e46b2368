"""The stored documents of configurations: heads, versions, environments and adoptions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from function_apps.configurations.errors import ConfigurationNotFound
from function_apps.configurations.model.adoption import ModuleAdoption
from function_apps.configurations.model.configuration import (
    Configuration,
    Layer,
    Version,
    version_id,
)
from function_apps.configurations.model.environment import EnvironmentProjection
from function_apps.configurations.ports import ConfigurationsApp
from shared.contracts.configuration_merge import LayerContent, Merge, merge
from shared.contracts.configurations import ConfigurationLayer
from shared.contracts.retention import Kept
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import (
    EnvironmentKey,
    ModuleId,
    TenantId,
    configuration_id,
    module_key,
    parse_id,
    tenant_key,
)
from shared.persistence.codec import DocumentCodec
from shared.persistence.store import (
    Comparison,
    Document,
    Partition,
    Prefix,
    Query,
    Where,
    pages,
    partition_of,
)

PAGE_MAX: Final = 100


def _head_queried(head: Configuration) -> Mapping[str, Any]:
    """Return the time from which the adoption of a version is judged, while it is not synced."""
    return {} if head.due_at is None else {"dueAt": head.due_at}


HEADS: Final = DocumentCodec(
    Configuration,
    "configuration",
    key="configuration_id",
    document="configuration/{}",
    missing=ConfigurationNotFound,
    queried=_head_queried,
    overwritten=lambda head: [head.created_at, head.version, head.last],
)
VERSIONS: Final = DocumentCodec(Version, "version", key="id")
ENVIRONMENTS: Final = DocumentCodec(
    EnvironmentProjection, "environment", key="environment_id", document="environment/{}"
)
ADOPTIONS: Final = DocumentCodec(
    ModuleAdoption,
    "adoption",
    key="service_id",
    document="adoption/{}",
    kept=Kept.RETIRED,
    has_ended=lambda adoption: not adoption.released,
)


def id_of(layer: Layer, tenant: TenantId) -> str:
    """Return the id of the configuration of *layer*."""
    if layer.environment_id is None:
        return configuration_id(tenant_key(tenant), layer.kind)
    m = module_key(tenant, ModuleId(layer.module_id)) if layer.module_id else None
    return configuration_id(parse_id(layer.environment_id, "env").environment, layer.kind, m)


async def load_head(
    identity: str, ctx: Context, app: ConfigurationsApp
) -> tuple[Configuration, str]:
    """Return a head with its etag. Raises ConfigurationNotFound."""
    parse_id(identity, "cfg")
    partition = partition_of(ctx.tenant, identity)
    document = await app.service.store.read(partition, HEADS.document_id(identity))
    if document is None:
        raise ConfigurationNotFound(identity)
    return HEADS.decode(document.body), HEADS.etag(document)


async def load_version(identity: str, number: int, ctx: Context, app: ConfigurationsApp) -> Version:
    """Return one version. Raises ConfigurationNotFound."""
    partition = partition_of(ctx.tenant, identity)
    document = await app.service.store.read(partition, version_id(identity, number))
    if document is None:
        raise ConfigurationNotFound(identity, number)
    return VERSIONS.decode(document.body)


async def read_merge(
    environment_id: str,
    module_id: str,
    ctx: Context,
    app: ConfigurationsApp,
    *,
    instead: Mapping[ConfigurationLayer, LayerContent] | None = None,
    pinned: Mapping[ConfigurationLayer, int] | None = None,
) -> Merge:
    """Return what a module is given: the versions in force, or those of *pinned*.

    *instead* stands for the layers that it names: what would be published.

    Raises:
        ConfigurationNotFound: a pinned version is not there.
    """
    contents: dict[ConfigurationLayer, LayerContent] = dict(instead or {})
    for layer in layers_of(environment_id, module_id):
        if layer.kind in contents:
            continue
        identity = id_of(layer, ctx.tenant)
        if pinned is not None:
            number = pinned[layer.kind]
        else:
            head = await app.service.work.find(HEADS, identity, ctx.tenant)
            number = head.version if head else 0
        if number:
            contents[layer.kind] = (await load_version(identity, number, ctx, app)).content
    return merge(contents)


def layers_of(environment_id: str, module_id: str) -> Sequence[Layer]:
    """Return the three layers that a module is given."""
    return (
        Layer(ConfigurationLayer.TENANT),
        Layer(ConfigurationLayer.ENVIRONMENT, environment_id),
        Layer(ConfigurationLayer.MODULE, environment_id, module_id),
    )


@dataclass(frozen=True)
class ReportPartitions:
    """The partitions of what the instances of a service say they run, by the time they say it.

    Three partitions are used in turn, each for a *period*: one is written, the one before is read
    too, and the third is emptied. So who reports no more, or never was an instance, is kept for
    two periods.
    """

    tenant: TenantId
    service_id: str
    period: timedelta

    def written(self, now: datetime) -> str:
        return self._at(now, 0)

    def read(self, now: datetime) -> tuple[str, str]:
        return self._at(now, -1), self._at(now, 0)

    def emptied(self, now: datetime) -> str:
        return self._at(now, 1)

    def _at(self, now: datetime, later: int) -> str:
        number = int(now.timestamp() // self.period.total_seconds()) + later
        return f"{self.tenant}|{self.service_id}|{number % 3}"


async def adoptions_below(
    layer: Layer, ctx: Context, app: ConfigurationsApp
) -> Sequence[ModuleAdoption]:
    """Return what the modules were given that *layer* reaches, in all its environments."""
    documents = await _all(ADOPTIONS, layer, ctx, app)
    found = (value for _, value in ADOPTIONS.readable(documents))
    return [each for each in found if each.released and layer.module_id in {None, each.module_id}]


async def heads_of(
    environment_id: str, ctx: Context, app: ConfigurationsApp
) -> Sequence[tuple[Document, Configuration]]:
    """Return the heads of the layers of an environment, that of all modules and theirs."""
    of_all = Layer(ConfigurationLayer.ENVIRONMENT, environment_id)
    documents = await _all(HEADS, of_all, ctx, app)
    return [*HEADS.readable(documents)]


async def versions_of(
    partition: Partition, identity: str, app: ConfigurationsApp
) -> Sequence[Document]:
    """Return the versions of a configuration, also those that cannot be read."""
    query = Query(
        where=[
            *VERSIONS.conditions,
            Where("configuration_id", Comparison.EQ, identity),
        ],
        limit=PAGE_MAX,
    )
    return [each async for each in pages(app.service.store, partition, query)]


async def modules_below(layer: Layer, ctx: Context, app: ConfigurationsApp) -> Iterable[Layer]:
    """Return the module layers that *layer* reaches: those with a layer, or a release.

    An environment that has ended has none.
    """
    documents = await _all(HEADS, layer, ctx, app)
    is_open = await open_environments(layer, ctx, app)
    with_layer = [
        value.layer
        for _, value in HEADS.readable(documents)
        if value.layer.kind is ConfigurationLayer.MODULE
    ]
    released = [
        Layer(ConfigurationLayer.MODULE, each.environment_id, each.module_id)
        for each in await adoptions_below(layer, ctx, app)
    ]
    return {
        (each.environment_id, each.module_id): each
        for each in (*with_layer, *released)
        if each.environment_id in is_open
    }.values()


async def open_environments(layer: Layer, ctx: Context, app: ConfigurationsApp) -> frozenset[str]:
    """Return the environments that *layer* reaches and that have not ended."""
    documents = await _all(ENVIRONMENTS, layer, ctx, app)
    environments = [value for _, value in ENVIRONMENTS.readable(documents)]
    return frozenset(each.environment_id for each in environments if each.is_open)


async def _all(
    codec: DocumentCodec[Any], layer: Layer, ctx: Context, app: ConfigurationsApp
) -> Sequence[Document]:
    """Return all documents of a type in the environment of *layer*, or in the whole tenant."""
    key: EnvironmentKey | None = None
    if layer.environment_id is not None:
        key = parse_id(layer.environment_id, "env").environment
    documents: list[Document] = []
    continuation = None
    while True:
        page = await app.service.store.query(
            Prefix(ctx.tenant, key),
            Query(
                where=codec.conditions,
                limit=PAGE_MAX,
                continuation=continuation,
            ),
        )
        documents += page.documents
        continuation = page.continuation
        if continuation is None:
            return documents
