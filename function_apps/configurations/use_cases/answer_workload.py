"""The answer to a workload: its configuration, held until it differs, and its report kept."""

import re
from typing import Final
from zlib import crc32

from function_apps.configurations import repository
from function_apps.configurations.ports import ConfigurationsApp
from function_apps.configurations.resources import effective_resource
from function_apps.configurations.use_cases.queries import Question, get_effective
from shared.contracts.configuration_merge import Merge
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.ids import ModuleId, module_key, parse_id, service_id
from shared.persistence.tables import TableRow
from shared.web.long_polls import Content

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
FOLLOW_MAX_S: Final = 60
"""A front end in between ends connections that are silent for longer."""


async def answer_workload(
    question: Question,
    ctx: Context,
    app: ConfigurationsApp,
    *,
    known: str,
    explain: bool,
    wait_s: float,
    instance: str | None,
) -> Content:
    """Return what *question* asks for; if it is *known* still, after *wait_s*, or a quarter less.

    An *instance* that says what it has is counted among those that run it.
    """

    async def read() -> Content:
        return content_of(question, await get_effective(question, ctx, app), explain=explain)

    key = (ctx.tenant, question.environment_id, question.module_id, str(explain))
    follows = wait_s > 0 and not question.pinned and not question.hash
    # After a publish all ask again at once, with what they were just given: one read is for all.
    newest = app.followers.newest(key) if follows else None
    if newest is None or known not in {"", newest.hash}:
        newest = await app.followers.read(key, read)
    if instance is not None and _DIGEST.fullmatch(known):
        await _report(question, instance, known, ctx, app)
    if newest.hash != known or not follows:
        return newest
    return await app.followers.wait(key, known, read, _spread(wait_s, instance)) or newest


def _spread(wait_s: float, instance: str | None) -> float:
    """Return how long *instance* is held: those that one publish answered do not end as one."""
    return wait_s * (1 - crc32((instance or "").encode()) / 2**34)


def content_of(question: Question, merged: Merge, *, explain: bool) -> Content:
    """Return *merged* as it is answered."""
    resource = effective_resource(
        question.environment_id, question.module_id, merged, explain=explain
    )
    return Content(merged.hash, resource.model_dump_json(by_alias=True).encode())


async def _report(
    question: Question, instance: str, known: str, ctx: Context, app: ConfigurationsApp
) -> None:
    key = parse_id(question.environment_id, "env").environment
    identity = service_id(key, module_key(ctx.tenant, ModuleId(question.module_id)))
    partitions = repository.ReportPartitions(ctx.tenant, identity, app.rules.reported_for)
    row = TableRow(
        partitions.written(ctx.now()), instance, {"hash": known, "at": isoformat(ctx.now())}
    )
    await app.reports.upsert([row])
