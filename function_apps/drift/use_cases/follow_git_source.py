"""POST and DELETE /git-sources: which repository says what environments are to run."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from function_apps.drift.errors import (
    EnvironmentNotOwned,
    GitSourceExists,
    GitSourceNotFound,
    TooManyGitSources,
)
from function_apps.drift.model.git_source import GitSource, new_source
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import FOLLOWED, SOURCES, load_scan
from function_apps.drift.resources import source_answer
from shared.contracts.drift import FollowGitSource
from shared.kernel.context import Context
from shared.kernel.ids import git_source_id, parse_id
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, Remove, View

SOURCES_MAX: Final = 20
"""Of a tenant; each of them is asked every few minutes."""


async def follow_git_source(command: FollowGitSource, ctx: Context, app: DriftApp) -> Outcome[Json]:
    """Compare the environments with a repository from now on; it is fetched at the next look.

    The same source with the same content is a repeat.

    Raises:
        RepositoryNotAllowed: nothing is asked at this URL.
        DriftNotFound: an environment is not known.
        EnvironmentNotOwned: the first, whose vault has the secrets, is another tenant's.
        GitSourceExists: it is followed otherwise, or one of its environments has another source.
        TooManyGitSources.
    """
    source_id = git_source_id(ctx.tenant, command.repository, command.branch, command.path)
    source = new_source(command, source_id, ctx.tenant, ctx.now())

    async def decide(view: View) -> Decision[Json]:
        known = view.find(SOURCES, source_id)
        if known is not None and known.asked == source.asked:
            return Decision(source_answer(known), is_repeat=True)
        if known is not None:
            raise GitSourceExists(source_id, "is followed already, with other content")
        # Not before a repeat is known: its answer stands, also where an environment went since.
        app.repositories.check(command.repository)
        await _require_own(source, ctx, app)
        followed = view.get(FOLLOWED, ctx.tenant)
        _require_free(source, followed.sources)
        sources = {**followed.sources, **dict.fromkeys(source.environment_ids, source_id)}
        return Decision(
            source_answer(source),
            writes=[SOURCES.put(source), FOLLOWED.put(replace(followed, sources=sources))],
            audited=Audited("FollowGitSource", source_id),
        )

    also = [FOLLOWED.document_id(ctx.tenant)]
    return await app.service.work.change(ctx, SOURCES, source_id, decide, also=also)


async def _require_own(source: GitSource, ctx: Context, app: DriftApp) -> None:
    """Refuse environments that are not known, or a vault that is another tenant's."""
    for number, identity in enumerate(source.environment_ids):
        scan, _ = await load_scan(identity, ctx, app)
        if number == 0 and scan.content.owner != ctx.tenant:
            raise EnvironmentNotOwned(identity)


def _require_free(source: GitSource, sources: Mapping[str, str]) -> None:
    """Refuse a second source of an environment, and one too many."""
    for each in source.environment_ids:
        if each in sources:
            raise GitSourceExists(sources[each], f"says already what {each} is to run")
    if len({*sources.values()}) >= SOURCES_MAX:
        raise TooManyGitSources(SOURCES_MAX)


async def remove_git_source(source_id: str, ctx: Context, app: DriftApp) -> Outcome[Json]:
    """Compare with it no more; the next scan ends the findings of it. Raises GitSourceNotFound."""
    parse_id(source_id, "gs")

    def decide(view: View) -> Decision[Json]:
        known = view.find(SOURCES, source_id)
        if known is None:
            raise GitSourceNotFound(source_id)
        followed = view.get(FOLLOWED, ctx.tenant)
        sources = {each: of for each, of in followed.sources.items() if of != source_id}
        return Decision(
            source_answer(known),
            writes=[
                Remove(SOURCES.document_id(source_id)),
                FOLLOWED.put(replace(followed, sources=sources)),
            ],
            audited=Audited("RemoveGitSource", source_id),
        )

    also = [FOLLOWED.document_id(ctx.tenant)]
    return await app.service.work.change(ctx, SOURCES, source_id, decide, also=also)
