"""The world of one seed: that of the crash sweeps, with faults at its ports and a record of all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from local_host.model import HttpAnswer
from shared.kernel.ids import EnvironmentKey
from shared.messaging.broker import OutgoingMessage
from shared.persistence.store import BatchOperation, Etag, Partition
from shared.vault.port import SecretVault
from tests.kit.memory_vaults import MemoryVaults
from tests.kit.mortal import Fate, MortalSender, MortalStore
from tests.kit.world import TENANT, World
from tests.simulator.faults import Faults, FaultyFate, faults_of
from tests.simulator.history import History

_READS: Final = frozenset({"read", "read_many", "query", "query_due"})
_SELDOM: Final = timedelta(minutes=1)
_LATE_S: Final = 30.0
"""By which a late message comes later, in the mean."""
_VAULT_WRITES: Final = frozenset({"set", "set_enabled", "delete", "recover", "purge"})


class SimulatedWorld(World):
    """A world whose ports fail as its seed says, and which records what it commits and answers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, requests_per_s=1.0)
        self.configurations_rules = replace(self.configurations_rules, judge_every=_SELDOM)
        self.faults = faults_of(seed, self.clock)
        self.history = History(self.clock)
        self.vaults: Any = FaultyVaults(self.vaults, self.faults)

    async def boot(self, fate: Fate | None = None) -> None:
        await super().boot(fate or FaultyFate(faults=self.faults))

    def _store(self, inner: Any, name: str) -> Any:
        return RecordedStore(inner, name, self.fate, self.faults, self.history)

    def _sender(self) -> Any:
        return RecordedSender(self.fate, self.faults, self.history)

    async def send(self, method: str, path: str, body: Any = None, **more: Any) -> HttpAnswer:
        answer = await super().send(method, path, body, **more)
        self.history.answered(more.get("tenant", TENANT), method, path, answer)
        return answer


@dataclass
class RecordedStore(MortalStore):
    """A store that fails at reads and writes, and tells the history what it committed."""

    faults: Faults
    history: History

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in _READS:
            return found

        async def read(*arguments: Any, **named: Any) -> Any:
            self.faults.fail("store read fails")
            return await found(*arguments, **named)

        return read

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        await self.fate.pass_by(f"before commit in {self.name}")
        etags = await self.inner.batch(partition, operations)
        self.history.committed(self.name, partition, operations)
        await self.fate.pass_by(f"after commit in {self.name}")
        return etags


@dataclass
class RecordedSender(MortalSender):
    """A broker that tells the history what was sent, and delivers late and more than once."""

    faults: Faults
    history: History

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        self.history.sent(entity, messages)
        await super().send(entity, [each for message in messages for each in self._copies(message)])

    def _copies(self, message: OutgoingMessage) -> Sequence[OutgoingMessage]:
        late, doubled = self.faults.occurs("message late"), self.faults.occurs("message doubled")
        first = self._later(message) if late else message
        return [first, self._later(message)] if doubled else [first]

    def _later(self, message: OutgoingMessage) -> OutgoingMessage:
        delay = timedelta(seconds=self.faults.drawn.expovariate(1 / _LATE_S))
        return replace(message, scheduled_at=self.faults.clock.now() + delay)


@dataclass
class FaultyVaults:
    """Vaults that refuse, or lose their answers; what is in them stays."""

    inner: MemoryVaults
    faults: Faults

    @property
    def vaults(self) -> Mapping[str, SecretVault]:
        return self.inner.vaults

    def of_environment(self, environment: EnvironmentKey, outputs: Mapping[str, str]) -> str:
        return self.inner.of_environment(environment, outputs)

    def at(self, uri: str) -> Any:
        return FaultyVault(self.inner.at(uri), self.faults)


@dataclass
class FaultyVault:
    """One of them."""

    inner: SecretVault
    faults: Faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)

        async def ask(*arguments: Any, **named: Any) -> Any:
            await self.faults.pass_by("vault", is_after=False)
            answer = await found(*arguments, **named)
            if name in _VAULT_WRITES:
                await self.faults.pass_by("vault", is_after=True)
            return answer

        return ask
