"""The secrets of a source: in the vault of the first of its environments, which its tenant owns."""

from function_apps.drift.model.git_source import GitSource
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS
from shared.git.port import FetchFailed
from shared.kernel.context import Context
from shared.kernel.errors import Refused
from shared.kernel.ids import parse_id
from shared.vault.port import SecretValue


async def secret_of(source: GitSource, name: str, ctx: Context, app: DriftApp) -> SecretValue:
    """Return the secret *name* of *source*, without space around it.

    Raises:
        FetchFailed: there is no such vault or secret, or it may not be used.
        Unavailable: the vault does not answer.
    """
    identity = source.environment_ids[0]
    scan = await app.service.work.find(SCANS, identity, ctx.tenant)
    if scan is None or scan.content.owner != ctx.tenant:
        raise FetchFailed(f"the vault of {identity} is not the tenant's", code="NoSecret")
    try:
        key = parse_id(identity, "env").environment
        uri = app.vaults.of_environment(key, scan.content.outputs)
        secret = await app.vaults.at(uri).get(name)
    except Refused as problem:
        raise FetchFailed(f"{name} cannot be read: {problem.message}", code="NoSecret") from problem
    # Whoever sets it with a shell has a line end after it.
    return SecretValue(secret.value.reveal().strip())
