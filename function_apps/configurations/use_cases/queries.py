"""Reads of configurations: heads, versions, differences, adoption, and what a module is given."""

from collections.abc import Mapping

from function_apps.configurations import repository
from function_apps.configurations.errors import (
    ConfigurationGone,
    ConfigurationUnusable,
    EnvironmentNotProvisioned,
)
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ADOPTIONS, ENVIRONMENTS
from function_apps.configurations.resources import (
    adoption_resource,
    configuration_resource,
    difference,
    version_resource,
)
from function_apps.configurations.use_cases.judge_adoption import count_adoption
from shared.contracts.configuration_merge import Merge, versions_of
from shared.contracts.configuration_schemas import merge_violations
from shared.contracts.configurations import (
    Adoption,
    ConfigurationDiff,
    ConfigurationLayer,
    ConfigurationVersion,
    RuntimeConfiguration,
)
from shared.kernel.context import Context
from shared.kernel.dataclass import dataclass
from shared.kernel.ids import ModuleId, module_key, parse_id, service_id
from shared.persistence.store import Partition


async def get_configuration(
    identity: str, ctx: Context, app: ConfigurationsApp
) -> tuple[RuntimeConfiguration, str]:
    """Return a configuration with its etag. Raises ConfigurationNotFound."""
    head, etag = await repository.load_head(identity, ctx, app)
    return configuration_resource(head), etag


async def get_version(
    identity: str, number: int, ctx: Context, app: ConfigurationsApp
) -> ConfigurationVersion:
    """Return one version with its values. Raises ConfigurationNotFound."""
    head, _ = await repository.load_head(identity, ctx, app)
    return version_resource(head, await repository.load_version(identity, number, ctx, app))


async def get_difference(
    identity: str, before: int | None, after: int | None, ctx: Context, app: ConfigurationsApp
) -> ConfigurationDiff:
    """Return what differs between two versions: by default the one in force, and its predecessor.

    Version 0 says nothing. Raises ConfigurationNotFound.
    """
    head, _ = await repository.load_head(identity, ctx, app)
    last = head.version if after is None else after
    newer = await repository.load_version(identity, last, ctx, app) if last else None
    first = before if before is not None else newer.against if newer else 0
    older = await repository.load_version(identity, first, ctx, app) if first else None
    return difference(
        identity,
        (first, older.values if older else {}),
        (last, newer.values if newer else {}),
    )


async def get_adoption(
    identity: str, after: str, ctx: Context, app: ConfigurationsApp
) -> tuple[Adoption, str | None]:
    """Return who is to run the version in force, and who does: one page, as `adoption_resource`.

    Raises:
        ConfigurationNotFound: there is none.
    """
    head, _ = await repository.load_head(identity, ctx, app)
    return adoption_resource(head, await count_adoption(head, ctx, app), after)


@dataclass(frozen=True)
class Question:
    """The question of a workload: the content in force, or that of a hash or of versions."""

    environment_id: str
    module_id: str
    hash: str | None = None
    pinned: Mapping[ConfigurationLayer, int] | None = None


async def get_effective(question: Question, ctx: Context, app: ConfigurationsApp) -> Merge:
    """Return what a module is given.

    Raises:
        EnvironmentNotProvisioned: the environment was never provisioned, or is gone.
        ConfigurationGone: no release was given the content of that hash.
        ConfigurationUnusable: the layers, each published by itself, do not fit together.
    """
    await _require_environment(question.environment_id, ctx, app)
    ids = (question.environment_id, question.module_id)
    if question.pinned is not None:
        merged = await repository.read_merge(*ids, ctx, app, pinned=question.pinned)
        if question.hash not in {None, merged.hash}:
            raise ConfigurationGone(question.module_id, question.hash or "")
        return merged
    merged = await repository.read_merge(*ids, ctx, app)
    if question.hash not in {None, merged.hash}:
        return await _earlier(question, question.hash or "", ctx, app)
    if found := merge_violations(merged, question.module_id):
        raise ConfigurationUnusable(found)
    return merged


async def _earlier(
    question: Question, content_hash: str, ctx: Context, app: ConfigurationsApp
) -> Merge:
    """Return the merge of that hash, which a release of the module was given."""
    key = parse_id(question.environment_id, "env").environment
    identity = service_id(key, module_key(ctx.tenant, ModuleId(question.module_id)))
    view = await app.service.work.read(Partition(ctx.tenant, key), ADOPTIONS.document_id(identity))
    adoption = view.find(ADOPTIONS, identity)
    pins = [pin for pin in (adoption.pins if adoption else ()) if pin.hash == content_hash]
    if not pins:
        raise ConfigurationGone(question.module_id, content_hash)
    return await repository.read_merge(
        question.environment_id, question.module_id, ctx, app, pinned=versions_of(pins[0])
    )


async def _require_environment(environment_id: str, ctx: Context, app: ConfigurationsApp) -> None:
    known = await app.service.work.find(ENVIRONMENTS, environment_id, ctx.tenant)
    if known is None or not known.is_open:
        raise EnvironmentNotProvisioned(
            environment_id, "is not known here" if known is None else "was decommissioned"
        )
