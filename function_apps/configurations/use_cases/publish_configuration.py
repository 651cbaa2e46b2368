"""PublishConfiguration: put a new version of a layer in force, or keep it as a draft."""

from dataclasses import replace

from function_apps.configurations import repository
from function_apps.configurations.errors import ConfigurationInvalid
from function_apps.configurations.model.configuration import (
    Layer,
    Version,
    keep_draft,
    new_configuration,
    publish,
    write,
)
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import HEADS, VERSIONS
from function_apps.configurations.resources import answer, difference
from function_apps.configurations.use_cases import put_in_force
from shared.contracts.configuration_merge import LayerContent
from shared.contracts.configuration_schemas import schema_violations
from shared.contracts.configuration_values import value_violations
from shared.contracts.configurations import ConfigurationDiff, PublishConfiguration
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.persistence.store import partition_of


async def publish_configuration(
    command: PublishConfiguration, ctx: Context, app: ConfigurationsApp
) -> Outcome[Json]:
    """Put a version in force, or keep it as a draft; a repeat gets the first answer.

    Raises:
        ConfigurationInvalid: a value, the schema, or the merge of a module that it reaches.
        HeadMoved: `expectedVersion` is not in force.
        EnvironmentNotProvisioned: the layer's environment is not provisioned.
    """
    layer, content = layer_of(command), content_of(command)
    _require_content(content)
    identity = repository.id_of(layer, ctx.tenant)

    async def decide(view: View) -> Decision[Json]:
        head = view.find(HEADS, identity) or new_configuration(
            identity, ctx.tenant, layer, ctx.now()
        )
        put_in_force.require_environment(view, layer)
        last = put_in_force.last_version(view, head, is_draft=command.draft)
        if last is not None and _is_repeat(last, content, is_draft=command.draft):
            return Decision(answer(head), is_repeat=True)
        version = write(head, content, by=ctx.scope.caller, comment=command.comment, now=ctx.now())
        if command.draft:
            version = replace(version, is_draft=True)
            after = keep_draft(head, version, ctx.now())
            return Decision(
                answer(after),
                writes=[HEADS.put(after), VERSIONS.put(version)],
                audited=Audited("DraftConfiguration", identity, reason=command.comment),
            )
        await put_in_force.require_merges(layer, version, ctx, app)
        after = publish(head, version, ctx.now())
        return await put_in_force.decided(head, after, version, "PublishConfiguration", ctx, app)

    return await put_in_force.change(identity, layer, ctx, app, decide)


async def plan_configuration(
    command: PublishConfiguration, ctx: Context, app: ConfigurationsApp
) -> ConfigurationDiff:
    """Return what publishing would change; nothing is written. Raises as publishing does."""
    layer, content = layer_of(command), content_of(command)
    _require_content(content)
    identity = repository.id_of(layer, ctx.tenant)
    partition = partition_of(ctx.tenant, identity)
    reads = (HEADS.document_id(identity), *put_in_force.environment_documents(layer))
    view = await app.service.work.read(partition, *reads)
    put_in_force.require_environment(view, layer)
    head = view.find(HEADS, identity) or new_configuration(identity, ctx.tenant, layer, ctx.now())
    version = write(head, content, by=ctx.scope.caller, comment="", now=ctx.now())
    await put_in_force.require_merges(layer, version, ctx, app)
    before = await put_in_force.values_of(head, ctx, app)
    return difference(identity, (head.version, before.values), (version.number, version.values))


def layer_of(command: PublishConfiguration) -> Layer:
    """Return the layer that *command* is about."""
    asked = command.scope
    return Layer(asked.layer, asked.environment_id, asked.module_id)


def content_of(command: PublishConfiguration) -> LayerContent:
    """Return what *command* says, at the version that it was written against."""
    return LayerContent(command.expected_version, command.values, command.schema_)


def _require_content(content: LayerContent) -> None:
    """Refuse values and a schema that are wrong by themselves."""
    found = [*value_violations(content.values), *schema_violations(content.schema or {})]
    if found:
        raise ConfigurationInvalid(found)


def _is_repeat(last: Version, content: LayerContent, *, is_draft: bool) -> bool:
    """Return whether *last*, as a draft or in force, is what is asked for."""
    asked = Version("", "", 0, content.values, content.schema, "", content.version, "", "")
    return last.is_draft is is_draft and last.says(asked)
