"""ConfigurationReturn and DraftPublication: put what is stored already in force."""

from dataclasses import replace

from function_apps.configurations import repository
from function_apps.configurations.errors import HeadMoved, NotADraft
from function_apps.configurations.model.configuration import (
    State,
    publish,
    put_by,
    require_return,
    write,
)
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.repository import HEADS
from function_apps.configurations.resources import answer
from function_apps.configurations.use_cases import put_in_force
from shared.contracts.configurations import ConfigurationReturn, DraftPublication
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def return_configuration(
    identity: str, command: ConfigurationReturn, ctx: Context, app: ConfigurationsApp
) -> Outcome[Json]:
    """Put the content of an earlier version in force again, as a new version.

    Raises:
        ConfigurationNotFound, HeadMoved, NothingToReturnTo, ConfigurationInvalid,
        EnvironmentNotProvisioned: see there.
    """
    known, _ = await repository.load_head(identity, ctx, app)
    earlier = await repository.load_version(identity, command.to_version, ctx, app)
    content = replace(earlier.content, version=command.expected_version)

    async def decide(view: View) -> Decision[Json]:
        head = view.get(HEADS, identity)
        put_in_force.require_environment(view, head.layer)
        last = put_in_force.last_version(view, head, is_draft=False)
        asked = (head.version, earlier.number, command.expected_version)
        if last is not None and (last.number, last.returns_to, last.against) == asked:
            return Decision(answer(head), is_repeat=True)
        require_return(head, earlier)
        written = write(head, content, by=ctx.scope.caller, comment=command.comment, now=ctx.now())
        version = replace(written, returns_to=earlier.number)
        await put_in_force.require_merges(head.layer, version, ctx, app)
        after = publish(head, version, ctx.now(), is_return=True)
        return await put_in_force.decided(head, after, version, "ReturnConfiguration", ctx, app)

    return await put_in_force.change(identity, known.layer, ctx, app, decide)


async def publish_draft(
    identity: str, number: int, command: DraftPublication, ctx: Context, app: ConfigurationsApp
) -> Outcome[Json]:
    """Put a draft in force; a repeat gets the first answer.

    Raises:
        ConfigurationNotFound, HeadMoved, NotADraft, ConfigurationInvalid,
        EnvironmentNotProvisioned: see there.
    """
    known, _ = await repository.load_head(identity, ctx, app)
    draft = await repository.load_version(identity, number, ctx, app)

    async def decide(view: View) -> Decision[Json]:
        head = view.get(HEADS, identity)
        put_in_force.require_environment(view, head.layer)
        if head.version == number and draft.against == command.expected_version:
            return Decision(answer(head), is_repeat=True)
        if head.status_of(draft) is not State.DRAFT:
            against = draft.against if draft.is_draft else None
            raise NotADraft(identity, draft.number, head.status_of(draft), against)
        if command.expected_version != head.version:
            raise HeadMoved(identity, command.expected_version, head.version)
        await put_in_force.require_merges(head.layer, draft, ctx, app)
        version = put_by(draft, ctx.scope.caller, ctx.now())
        after = publish(head, version, ctx.now())
        return await put_in_force.decided(head, after, version, "PublishDraft", ctx, app)

    return await put_in_force.change(identity, known.layer, ctx, app, decide, draft=number)
