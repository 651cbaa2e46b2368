"""Attempts from inside: a process, confined as an instance of a tenant, tries what it must not.

Beside it a neighbour runs, confined the same way, and what that has is what the first one tries to
reach, with the files of the platform. Both are `sandbox/attempts.py`; they end with this agent.

    <site>/trials/trial-<random>/    as an instance's folder, while its process runs
"""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil

from local_agent.artifacts import Artifacts, UnpackedArtifact
from local_agent.confined_command import end_command, end_commands
from local_agent.instance_folder import SECRETS, InstanceFolder, link_python
from local_agent.observation import Unreadable
from local_agent.sandbox import attempts
from local_agent.secret_values import SecretSource, SecretValues
from local_agent.state_files import InstanceRecord, SiteFolder
from local_agent.tenant_quota import limits_in_boundary
from shared.connections.loopback_ports import free_port
from shared.contracts.tenants import IsolationLayer
from shared.kernel.clock import Clock
from shared.kernel.concurrency import FairTurns, thread_to_its_end
from shared.kernel.entropy import Entropy
from shared.kernel.ids import EnvironmentId, ModuleId, TenantId
from shared.persistence.file_trees import remove_tree
from shared.persistence.plain_files import read_plain
from shared.surfaces.boundaries import limited
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.isolation_attempts import Attempt
from shared.surfaces.local_process import ISSUER, RECORD
from shared.surfaces.spec import Resources, RevisionSpec, SurfaceComponent

_PREFIX: Final = "trial-"
_FOLDER: Final = "trials"
_TURN_WITHIN_S: Final = 15.0
_WITHIN_S: Final = 5.0
"""Of each of the two processes; with the turn less than a caller waits."""
_CONFINED_BY: Final[Mapping[IsolationLayer, Feature]] = {
    IsolationLayer.COMPUTE: Feature.OWN_PROCESSES,
    IsolationLayer.DATA: Feature.TENANT_DATA,
    IsolationLayer.SECRETS: Feature.TENANT_SECRETS,
    IsolationLayer.IDENTITY: Feature.TENANT_IDENTITY,
}
_PROGRAM: Final = "attempts.py"
_NO_ARTIFACT: Final = f"sha256:{0:064}"
"""What it runs was not uploaded."""
_MODULE: Final = ModuleId("module-isolation-proof")
_LOOK_S: Final = 0.02
_ANSWER_MAX: Final = 2**16
_PATHS_MAX: Final = 5
_REACHED_MAX: Final = 5
_TEXT_MAX: Final = 300


@dataclass(frozen=True)
class _ConfinedProcess:
    """A confined process, and its folder."""

    folder: Path
    pid: int

    @property
    def user(self) -> int | None:
        """The user that its sandbox gave it; None: ours."""
        order = json.loads(read_plain(self.folder / "order.json"))
        user: int | None = (order["sandbox"] or {}).get("user")
        return user

    def output(self) -> str:
        return read_plain(self.folder / "output.log", at_most=_ANSWER_MAX).decode(errors="replace")


class IsolationTrials:
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
        self._root = root
        self._artifacts = artifacts
        self._secrets = secrets
        self._capabilities = capabilities
        self._clock = clock
        self._entropy = entropy
        self._turns = FairTurns()

    async def attempt(self, site: SiteFolder, tenant: TenantId) -> tuple[Attempt, ...]:
        """Return what a process of *tenant* reached in *site*, layer by layer.

        Raises:
            CorruptStateFile.
            Unreadable: nothing could be tried.
        """
        lacking = self._lacking()
        if lacking:
            first = next(iter(lacking.values()))
            return tuple(Attempt(layer, lacking.get(layer, first)) for layer in _CONFINED_BY)
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

    def _run(self, site: SiteFolder, tenant: TenantId) -> tuple[Attempt, ...]:
        limits = limits_in_boundary(site, tenant)
        trials, marker = site.path / _FOLDER, self._entropy.uuid().hex
        end_commands(trials, _PREFIX)
        with self._folder(trials) as theirs, self._folder(trials) as own:
            secret = marker + theirs.name
            other = self._start(
                theirs, _process(site, TenantId("not-of-this-tenant"), _digest(secret), marker),
                secret, argument="wait",
            )  # fmt: skip
            _await_kept(other)
            secret = marker + own.name
            asked = _asked(site, tenant, other, limits, self._secrets.paths()) | {
                "secret": _digest(secret),
                # Backwards, so that its own environ has not what it knows that of the other by.
                "marker": marker[::-1],
                "port": free_port(self._entropy, set()) if self._holds_ports else None,
            }
            spec = limited(_process(site, tenant, json.dumps(asked)), limits)
            tried = self._start(own, spec, secret)
            code = _wait(tried.pid)
            return _read(tried, code, asked)

    @property
    def _holds_ports(self) -> bool:
        return self._capabilities.supports(Feature.OWN_PORTS)

    @contextmanager
    def _folder(self, trials: Path) -> Iterator[Path]:
        """Yield a new folder for one start, and end and remove what is there afterwards."""
        folder = trials / f"{_PREFIX}{self._entropy.uuid().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            end_command(folder)
            remove_tree(folder)

    def _start(
        self, folder: Path, spec: RevisionSpec, secret: str, argument: str = ""
    ) -> _ConfinedProcess:
        """Start the program in *folder* as an instance of *spec* is started, with its *secret*."""
        program = self._root / "tools" / "attempts"
        program.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(attempts.__file__, program / _PROGRAM)
        unpacked = UnpackedArtifact(program, False, (_PROGRAM,), "")
        instance = InstanceFolder(folder)
        instance.prepare(spec, unpacked, self._artifacts)
        command = (*spec.command, argument) if argument else spec.command
        record = InstanceRecord(
            id=folder.name,
            revision=spec.revision,
            token=folder.name,
            port=free_port(self._entropy, set()) if self._holds_ports else None,
            started_at=self._clock.now(),
        )
        pid = instance.start(
            replace(spec, command=command), record, unpacked, {},
            SecretValues(files={attempts.SECRET: secret}), link_python(self._root / "tools"),
            parent=os.getpid(),
        )  # fmt: skip
        return _ConfinedProcess(folder, pid)


def _process(site: SiteFolder, tenant: TenantId, asked: str, marker: str = "") -> RevisionSpec:
    """Return what an instance of *tenant* would be that has the program for its release."""
    component = SurfaceComponent(EnvironmentId(site.path.name), tenant, _MODULE)
    return RevisionSpec(
        component=component,
        revision=1,
        version="1",
        artifact=_NO_ARTIFACT,
        command=("python", "-I", _PROGRAM),
        environ={attempts.ASKED: asked, "NEIGHBOUR": marker},
    )


def _asked(
    site: SiteFolder,
    tenant: TenantId,
    other: _ConfinedProcess,
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


def _secrets_of(other: _ConfinedProcess) -> Iterator[Path]:
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


def _await_kept(other: _ConfinedProcess) -> None:
    """Wait until the neighbour has made what is its own.

    Raises:
        Unreadable: it does not.
    """
    process = psutil.Process(other.pid)
    for _ in range(int(_WITHIN_S / _LOOK_S)):
        if (other.folder / "home" / attempts.KEPT).exists():
            return
        with suppress(psutil.TimeoutExpired):
            process.wait(_LOOK_S)
            raise Unreadable(f"the neighbour ended: {other.output()[-_TEXT_MAX:].strip()}")
    raise Unreadable(f"the neighbour was not ready within {_WITHIN_S:.0f} s")


def _wait(pid: int) -> int | None:
    """Return the exit code of *pid*; None where it does not end."""
    with suppress(psutil.TimeoutExpired):
        return psutil.Process(pid).wait(_WITHIN_S)
    return None


def _read(
    tried: _ConfinedProcess, code: int | None, asked: Mapping[str, Any]
) -> tuple[Attempt, ...]:
    """Return what *tried* says that it reached; of all layers nothing where it says nothing."""
    layers = [*_CONFINED_BY, *([] if asked["memoryMib"] is None else [IsolationLayer.QUOTA])]
    output = tried.output()
    try:
        answer = json.loads(output.splitlines()[-1])
        found = {layer: answer["layers"][layer] for layer in layers}
        user = answer["user"]
    except (ValueError, LookupError, TypeError):
        ended = "did not end in time" if code is None else f"ended with {code}"
        why = f"the process that was to try {ended}: {output[-_TEXT_MAX:].strip()}"
        return tuple(Attempt(layer, why) for layer in layers)
    controls = {
        IsolationLayer.SECRETS: _control_of_secrets(asked),
        IsolationLayer.IDENTITY: _control_of_identity(asked, tried.user, user),
    }
    return tuple(
        _attempt(layer, found[layer][0] or controls.get(layer, ""), found[layer][1])
        for layer in layers
    )


def _control_of_secrets(asked: Mapping[str, Any]) -> str:
    return "" if asked["secrets"] else "there is no secret of others that could be read"


def _control_of_identity(asked: Mapping[str, Any], own: int | None, user: int) -> str:
    """Return why it shows nothing that it ran as *user*; *own*: that of its sandbox, if any."""
    if own not in {None, user}:
        return f"it runs as the user {user}, and not as its own"
    if asked["user"] is None and not asked["identity"]:
        return "there is no identity of another that could be taken"
    return ""


def _attempt(layer: IsolationLayer, control: str, reached: Sequence[str]) -> Attempt:
    shown = tuple(each[:_TEXT_MAX] for each in reached[:_REACHED_MAX])
    return Attempt(layer, control[:_TEXT_MAX], shown)
