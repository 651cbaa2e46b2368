"""The secrets of a source: in the vault of the first of its environments, which its tenant owns.

A credential is a URL such as `https://user:password@host`, as `.git-credentials` has them: so who
may write a secret says where it goes, and who may only write sources cannot send it elsewhere.
https://git-scm.com/docs/git-credential-store
"""

from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from function_apps.drift.model.git_source import GitSource
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS
from shared.git.port import FetchFailed
from shared.kernel.context import Context
from shared.kernel.errors import NotFound, Refused
from shared.kernel.ids import parse_id
from shared.vault.port import SecretValue

_PORTS: Final = {"https": 443, "http": 80}


async def credential_of(source: GitSource, ctx: Context, app: DriftApp) -> SecretValue | None:
    """Return the credential of *source*, `user:password` or a token; None where it names none.

    Raises:
        FetchFailed: it cannot be read, or is for another host than that of the repository.
        Unavailable: the vault does not answer.
    """
    name = source.credential_ref
    if name is None:
        return None
    found = _credential((await _secret(source, name, ctx, app)).reveal())
    asked = urlsplit(source.repository)
    if found is None or _origin(found) != _origin(asked):
        message = f"{name} is no credential of {asked.hostname}: expected it as"
        expected = f"{asked.scheme}://user:password@{asked.netloc}"
        raise FetchFailed(f"{message} {expected}", code="CredentialOfAnotherHost")
    parts = [found.username, found.password]
    return SecretValue(":".join(unquote(each) for each in parts if each))


async def webhook_key_of(source: GitSource, name: str, ctx: Context, app: DriftApp) -> SecretValue:
    """Return the key *name* of the webhooks of *source*; a credential is none.

    Raises what `credential_of` does.
    """
    key = await _secret(source, name, ctx, app)
    if _credential(key.reveal()) is not None:
        raise FetchFailed(f"{name} is a credential, and no key of webhooks", code="NoSecret")
    return key


def _credential(text: str) -> SplitResult | None:
    """Return the parts of a URL with a user; None of what is no such."""
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in _PORTS and bool(parts.username) and parts.port != 0
    except ValueError:
        return None
    return parts if is_one else None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


async def _secret(source: GitSource, name: str, ctx: Context, app: DriftApp) -> SecretValue:
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
    except NotFound as problem:
        message = f"the vault of {scan.content.name or identity} has no secret {name}"
        raise FetchFailed(message, code="NoSecret") from problem
    except Refused as problem:
        raise FetchFailed(f"{name} cannot be read: {problem.message}", code="NoSecret") from problem
    # Whoever sets it with a shell has a line end after it.
    return SecretValue(secret.value.reveal().strip())
