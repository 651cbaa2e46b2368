"""Attempts from inside: a process, confined as an instance of a tenant, tries what it must not.

Beside it a neighbour runs, confined the same way, and what that has is what the first one tries to
reach, with the files of the platform.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil

from local_agent.artifacts import Artifacts
from local_agent.attempt_processes import (
    ConfinedProcess,
    ConfinedProcesses,
    end_processes,
    process_spec,
)
from local_agent.instance_folder import SECRETS
from local_agent.observation import Unreadable
from local_agent.sandbox import attempts
from local_agent.secret_values import SecretSource
from local_agent.state_files import SiteFolder
from local_agent.tenant_quota import limits_in_boundary
from shared.contracts.isolation import IsolationLayer
from shared.kernel.clock import Clock
from shared.kernel.concurrency import FairTurns, thread_to_its_end
from shared.kernel.entropy import Entropy
from shared.kernel.ids import TenantId
from shared.surfaces.boundaries import limited
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.isolation_attempts import TEXT_MAX, LayerAttempts, said_by
from shared.surfaces.local_process import ISSUER, RECORD
from shared.surfaces.spec import Resources

_TURN_WITHIN_S: Final = 15.0
_CONFINED_BY: Final[Mapping[IsolationLayer, Feature]] = {
    IsolationLayer.COMPUTE: Feature.OWN_PROCESSES,
    IsolationLayer.DATA: Feature.TENANT_DATA,
    IsolationLayer.SECRETS: Feature.TENANT_SECRETS,
    IsolationLayer.IDENTITY: Feature.TENANT_IDENTITY,
}
_PATHS_MAX: Final = 5
_REACHED_MAX: Final = 5


class AttemptsFromInside:
    """The attempts of the surface in *root*, one tenant's at a time."""

    def __init__(
        self,
        root: Path,
        artifacts: Artifacts,
        secrets: SecretSource,
        capabilities: Capabilities,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._secrets = secrets
        self._capabilities = capabilities
        self._entropy = entropy
        self._processes = ConfinedProcesses(root, artifacts, capabilities, clock, entropy)
        self._turns = FairTurns()

    async def run(self, site: SiteFolder, tenant: TenantId) -> tuple[LayerAttempts, ...]:
        """Return what a process of *tenant* reached in *site*, layer by layer.

        Raises:
            CorruptStateFile.
            Unreadable: nothing could be tried.
        """
        lacking = self._lacking()
        if lacking:
            first = next(iter(lacking.values()))
            return tuple(LayerAttempts(layer, lacking.get(layer, first)) for layer in _CONFINED_BY)
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(_TURN_WITHIN_S):
                    await held.enter_async_context(self._turns.turn(tenant))
                # To its end: the next one ends all processes that it finds.
                return await thread_to_its_end(partial(self._run, site, tenant))
            except TimeoutError:
                raise Unreadable("the attempts of other tenants take all the time") from None
            except (OSError, psutil.Error) as failed:
                raise Unreadable(f"nothing could be tried: {failed}") from failed

    def _lacking(self) -> Mapping[IsolationLayer, str]:
        """Return the layers that this machine does not confine, and why."""
        lacks = self._capabilities.lacks
        return {layer: lacks[each] for layer, each in _CONFINED_BY.items() if each in lacks}

    def _run(self, site: SiteFolder, tenant: TenantId) -> tuple[LayerAttempts, ...]:
        limits = limits_in_boundary(site, tenant)
        processes, marker = self._processes, self._entropy.uuid().hex
        end_processes(site)
        with processes.folder(site) as theirs, processes.folder(site) as own:
            secret = marker + theirs.name
            nobody = TenantId("not-of-this-tenant")
            spec = process_spec(site, nobody, _digest(secret), marker)
            other = processes.start(theirs, spec, secret, argument="wait")
            other.await_kept()
            secret = marker + own.name
            asked = _asked(site, tenant, other, limits, self._secrets.paths()) | {
                "secret": _digest(secret),
                # Backwards, so that its own environ has not what it knows that of the other by.
                "marker": marker[::-1],
                "port": processes.own_port(),
            }
            spec = limited(process_spec(site, tenant, json.dumps(asked)), limits)
            process = processes.start(own, spec, secret)
            code = process.wait()
            return _read(process, code, asked)


def _asked(
    site: SiteFolder,
    tenant: TenantId,
    other: ConfinedProcess,
    limits: Resources,
    vaults: Sequence[Path],
) -> dict[str, Any]:
    """Return what is to be tried: of the neighbour, and of the platform's what is there."""
    state, theirs = site.path.parents[2], other.folder
    keys = [state / ISSUER, *sorted((state / ISSUER).glob("*"))[:_PATHS_MAX]]
    data = [
        theirs / "home" / attempts.KEPT, theirs / "home", theirs / "work",
        site.path / "site.json", state / RECORD, *sorted(site.volumes.glob("*"))[:_PATHS_MAX],
    ]  # fmt: skip
    secrets = [*vaults[: _PATHS_MAX + 1], *_secrets_of(other)]
    return {
        "data": [str(path) for path in data if path.exists()],
        "secrets": [str(path) for path in secrets if _is_there(path)],
        "identity": [str(path) for path in keys if path.exists()],
        "tenant": tenant,
        "pid": other.pid,
        "user": other.user,
        "memoryMib": limits.memory_mb,
    }


def _secrets_of(other: ConfinedProcess) -> Iterator[Path]:
    """Yield the paths of the secret of *other*, which is in memory that only its processes see."""
    own = other.folder / SECRETS / attempts.SECRET
    process = psutil.Process(other.pid)
    yield own
    for each in (process, *process.children(recursive=True)):
        yield Path(f"/proc/{each.pid}/root{own}")


def _is_there(path: Path) -> bool:
    """Return whether *path* exists; not where this process may not know it."""
    try:
        return path.exists()
    except OSError:
        return False


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(
    process: ConfinedProcess, code: int | None, asked: Mapping[str, Any]
) -> tuple[LayerAttempts, ...]:
    """Return what *process* says that it reached; of all layers nothing where it says nothing."""
    layers = [*_CONFINED_BY, *([] if asked["memoryMib"] is None else [IsolationLayer.QUOTA])]
    output = process.output()
    try:
        answer = json.loads(output.splitlines()[-1])
        found = {layer: answer["layers"][layer] for layer in layers}
        user = answer["user"]
    except (ValueError, LookupError, TypeError):
        ended = "did not end in time" if code is None else f"ended with {code}"
        why = f"the process that was to try {ended}: {said_by(output)}"
        return tuple(LayerAttempts(layer, why) for layer in layers)
    failed = {
        IsolationLayer.SECRETS: _why_no_secrets(asked),
        IsolationLayer.IDENTITY: _why_no_identity(asked, process.user, user),
    }
    return tuple(
        _attempts(layer, found[layer][0] or failed.get(layer, ""), found[layer][1])
        for layer in layers
    )


def _why_no_secrets(asked: Mapping[str, Any]) -> str:
    """Return why attempts at secrets show nothing; empty where they could have succeeded."""
    return "" if asked["secrets"] else "there is no secret of others that could be read"


def _why_no_identity(asked: Mapping[str, Any], own: int | None, user: int) -> str:
    """Return why it shows nothing that it ran as *user*; *own*: that of its sandbox, if any."""
    if own not in {None, user}:
        return f"it runs as the user {user}, and not as its own"
    if asked["user"] is None and not asked["identity"]:
        return "there is no identity of another that could be taken"
    return ""


def _attempts(layer: IsolationLayer, why: str, reached: Sequence[str]) -> LayerAttempts:
    shown = tuple(each[:TEXT_MAX] for each in reached[:_REACHED_MAX])
    return LayerAttempts(layer, why[:TEXT_MAX], shown)
