"""The world of one seed: that of the crash sweeps, with faults at its ports and a record of all."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from function_apps.catalog.ports import CatalogRules
from local_host.embedded_parts import EmbeddedHost
from local_host.model import HttpAnswer
from shared.composition.embedded import installed_host
from shared.contracts.catalog import CatalogDefaults
from shared.contracts.metrics import MetricSource
from shared.kernel.ids import EnvironmentKey
from shared.messaging.broker import OutgoingMessage
from shared.persistence.store import AnswerLost, BatchOperation, BatchRefused, Etag, Page, Partition
from shared.policies.prod_rules import PROD_POLICY
from shared.vault.port import SecretVault
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.memory_vaults import MemoryVaults
from tests.kit.mortal import Fate, MortalSender, MortalStore
from tests.kit.world import TENANT, World
from tests.simulator.faults import Faults, FaultyFate, faults_of
from tests.simulator.history import History
from tests.simulator.provider import SimulatedProvider
from tests.simulator.surface_checks import RecordedSurface, check_consumers
from tests.simulator.tenant_checks import PROD_REPLICAS_MAX

_READS: Final = frozenset({"read", "read_many", "query", "query_due"})
_SELDOM: Final = timedelta(minutes=1)
_LATE_S: Final = 30.0
"""By which a late message comes later, in the mean."""
_KILLED: Final[Mapping[str, str]] = {
    "after commit": "a host was killed between a commit and its messages",
    "before send": "a host was killed between a commit and its messages",
    "after send": "a host was killed between a message and the end of its row",
    "before surface": "a host was killed before it wrote to a surface",
    "after surface": "a host was killed after it wrote to a surface",
    "before host commit": "a host was killed within a commit of its own",
    "after host commit": "a host was killed within a commit of its own",
}
"""The marks of a host's end, by the point at which it came."""
_PROD_POLICY: Final = {PROD_POLICY: json.dumps({"sizes": {"replicas": PROD_REPLICAS_MAX}})}
_VAULT_WRITES: Final = frozenset({"set", "set_enabled", "delete", "recover", "purge"})


class SimulatedWorld(World):
    """A world whose ports fail as its seed says, and which records what it commits and answers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, requests_per_s=1.0, app_settings=_PROD_POLICY)
        self.configurations_rules = replace(self.configurations_rules, judge_every=_SELDOM)
        self.catalog_rules = CatalogRules(CatalogDefaults(5 * _SELDOM, 15 * _SELDOM))
        self.faults = faults_of(seed, self.clock)
        self.history = History(self.clock, self.surface)
        self.provider = SimulatedProvider(self)
        self.metrics[MetricSource.PROMETHEUS] = self.provider
        self.vaults: Any = FaultyVaults(self.vaults, self.faults, self)

    async def boot(self, fate: Fate | None = None) -> None:
        self.history.idle.begin_again()
        await super().boot(fate or FaultyFate(faults=self.faults))

    def _store(self, inner: Any, name: str) -> Any:
        return RecordedStore(inner, name, self.fate, self.faults, self.history)

    def _mortal(self, cluster: MemoryCluster, lists: asyncio.Event) -> Any:
        inner = MemorySurface(cluster, has_vault=True)
        return RecordedSurface(inner, self.fate, lists, cluster, self.history)

    async def kill(self) -> None:
        if self.fate.is_dead:
            for sign, mark in _KILLED.items():
                if self.fate.points[-1].startswith(sign):
                    self.history.sometimes(mark)
        await super().kill()

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
            idle = self.history.idle
            idle.asked(self.name, arguments)
            try:
                self.faults.fail("store read fails")
                got = await found(*arguments, **named)
            except Exception:
                idle.answered(is_empty=False)
                raise
            idle.answered(is_empty=not (got.documents if isinstance(got, Page) else got))
            return got

        return read

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        await self.fate.pass_by(f"before commit in {self.name}")
        try:
            etags = await self.inner.batch(partition, operations)
        except BatchRefused:
            self.history.sometimes("a batch of a store conflicted")
            raise
        self.history.committed(self.name, partition, operations)
        try:
            await self.fate.pass_by(f"after commit in {self.name}")
        except AnswerLost:
            self.history.sometimes("the answer of a store was lost after its commit")
            raise
        return etags


@dataclass
class RecordedSender(MortalSender):
    """A broker that tells the history what was sent, and delivers late and more than once."""

    faults: Faults
    history: History

    async def send(self, entity: str, messages: Sequence[OutgoingMessage]) -> None:
        await self.fate.pass_by(f"before send to {entity}")
        host = installed_host()
        assert isinstance(host, EmbeddedHost)
        copies = [each for message in messages for each in self._copies(message)]
        await host.sender.send(entity, copies)
        self.history.sent(entity, messages)
        await self.fate.pass_by(f"after send to {entity}")

    def _copies(self, message: OutgoingMessage) -> Sequence[OutgoingMessage]:
        late, doubled = self.faults.occurs("message late"), self.faults.occurs("message doubled")
        if doubled:
            self.history.sometimes("a message was delivered twice")
        if late:
            self.history.sometimes("a message was delivered late")
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
    world: SimulatedWorld

    @property
    def vaults(self) -> Mapping[str, SecretVault]:
        return self.inner.vaults

    def of_environment(self, environment: EnvironmentKey, outputs: Mapping[str, str]) -> str:
        return self.inner.of_environment(environment, outputs)

    def at(self, uri: str) -> Any:
        return FaultyVault(self.inner.at(uri), self.faults, self.world)


@dataclass
class FaultyVault:
    """One of them."""

    inner: SecretVault
    faults: Faults
    world: SimulatedWorld

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)

        async def ask(*arguments: Any, **named: Any) -> Any:
            await self.faults.pass_by("vault", is_after=False)
            answer = await found(*arguments, **named)
            if name == "set":
                self.world.history.secrets.add(arguments[1].reveal())
            if name == "set_enabled" and not named["enabled"]:
                check_consumers(self.world.surface, arguments[1], self.world.history)
            if name in _VAULT_WRITES:
                await self.faults.pass_by("vault", is_after=True)
            return answer

        return ask
