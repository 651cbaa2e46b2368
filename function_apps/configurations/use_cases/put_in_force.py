"""Put a version in force: the part that a publish, a draft and a return have in common."""

from collections.abc import Sequence
from typing import Final

from function_apps.configurations import repository
from function_apps.configurations.errors import (
    ConfigurationInvalid,
    EnvironmentNotProvisioned,
    TooManyModules,
)
from function_apps.configurations.events import published
from function_apps.configurations.model.configuration import (
    Configuration,
    Layer,
    Version,
    version_id,
)
from function_apps.configurations.model.difference import changes
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import ENVIRONMENTS, HEADS, VERSIONS
from function_apps.configurations.resources import answer
from shared.contracts.configuration_merge import LayerContent
from shared.contracts.configuration_schemas import MISFITS_MAX, merge_violations
from shared.contracts.values import ConfigurationMode
from shared.kernel.context import Context
from shared.kernel.errors import Violation
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decide, Decision, Json, Outcome, View


async def change(
    identity: str,
    layer: Layer,
    ctx: Context,
    app: ConfigurationsApp,
    decide: Decide[Json],
    *,
    draft: int = 0,
) -> Outcome[Json]:
    """Commit what *decide* makes of a head, its environment, and its versions.

    Those are the one that it gave last, the one in force, and the *draft* that is to be.
    """

    def newest(view: View) -> Sequence[str]:
        head = view.find(HEADS, identity)
        numbers = {head.last, head.version, draft} - {0} if head else set()
        return [version_id(identity, number) for number in sorted(numbers)]

    outcome = await app.service.work.change(
        ctx, HEADS, identity, decide, also=environment_documents(layer), linked=newest
    )
    app.followers.read_now(ctx.tenant)
    return outcome


def last_version(view: View, head: Configuration, *, is_draft: bool) -> Version | None:
    """Return the version that *head* gave last, or the one in force; None where there is none."""
    number = head.last if is_draft else head.version
    return view.find(VERSIONS, version_id(head.configuration_id, number))


def environment_documents(layer: Layer) -> Sequence[str]:
    """Return the document of the environment of *layer*; none of the tenant's layer."""
    environment_id = layer.environment_id
    return () if environment_id is None else (ENVIRONMENTS.document_id(environment_id),)


def require_environment(view: View, layer: Layer) -> None:
    """Refuse a layer whose environment is not there. Raises EnvironmentNotProvisioned."""
    if layer.environment_id is None:
        return
    known = view.find(ENVIRONMENTS, layer.environment_id)
    if known is None:
        raise EnvironmentNotProvisioned(layer.environment_id, "is not known here")
    if not known.is_open:
        raise EnvironmentNotProvisioned(layer.environment_id, "was decommissioned")


MERGES_MAX: Final = 1000
"""Modules whose merges one publish checks, each by some six reads."""


async def require_merges(
    layer: Layer, version: Version, ctx: Context, app: ConfigurationsApp
) -> None:
    """Refuse *version* where a module that it reaches would be given what its schemas refuse.

    Raises:
        ConfigurationInvalid: with a violation per value.
        TooManyModules: it reaches more than are checked.
    """
    instead = {layer.kind: version.content}
    found: list[Violation] = []
    is_of_module = layer.module_id is not None
    below = [layer] if is_of_module else await repository.modules_below(layer, ctx, app)
    reached = [*below]
    if len(reached) > MERGES_MAX:
        raise TooManyModules(layer.label, len(reached), MERGES_MAX)
    for each in reached:
        assert each.environment_id, each
        assert each.module_id, each
        merged = await repository.read_merge(
            each.environment_id, each.module_id, ctx, app, instead=instead
        )
        found += merge_violations(merged, f"{each.module_id} in {each.environment_id}")
    if found:
        raise ConfigurationInvalid(found[:MISFITS_MAX])


async def values_of(head: Configuration, ctx: Context, app: ConfigurationsApp) -> LayerContent:
    """Return what the version in force of *head* says; nothing where there is none."""
    if not head.version:
        return LayerContent()
    found = await repository.load_version(head.configuration_id, head.version, ctx, app)
    return found.content


async def decided(
    before: Configuration,
    after: Configuration,
    version: Version,
    action: str,
    ctx: Context,
    app: ConfigurationsApp,
) -> Decision[Json]:
    """Return the decision that puts *version* in force: the head, its row, and the event."""
    changed = [*changes((await values_of(before, ctx, app)).values, version.values)]
    adoptions = await repository.adoptions_below(after.layer, ctx, app)
    floating = {each.module_id for each in adoptions if each.mode is ConfigurationMode.FLOATING}
    return Decision(
        answer(after),
        writes=[HEADS.put(after), VERSIONS.put(version)],
        outbox=[published(after, version.content, before.version, changed, floating)],
        audited=Audited(
            action, after.configuration_id, f"version {after.version}",
            reason=version.comment,
        ),
    )  # fmt: skip
