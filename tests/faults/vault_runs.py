"""What is asked of a vault over https, run with faults at its requests, from the same state."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from shared.kernel.errors import NotFound
from shared.vault.port import SecretProperties, SecretValue, SecretVault
from tests.faults.wire_runs import TRIES_MAX, as_text, is_outbox
from tests.kit.cut_proxy import Answer, CutAfter, CutBefore, Drip, Fault, Stall
from tests.kit.stores import all_changes
from tests.kit.virtual_time import run_virtual
from tests.kit.wire_vaults import WireVaults
from tests.secret_bindings.bound import NAME, PASSWORD, VAULT, WEB, SecretBindings, secret_bindings
from tests.secret_bindings.followers import Followers

OTHER: Final = "module-other"
PARTNER: Final = "https://partner.vault.localhost"
AWAY: Final = 10_000
"""Requests that meet a fault which lasts."""
LOOKS_MAX: Final = 12
LOOK_S: Final = 31.0
_ANY: Final = b""


def refusal(status: int, inner: str = "", **headers: str) -> Answer:
    """Return an answer as Key Vault gives it, with the inner code of its error."""
    error = {"code": "Fault", "message": "told by the test", "innererror": {"code": inner}}
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return Answer(_ANY, status, named, json.dumps({"error": error}).encode())


THROTTLED: Final = refusal(429, Retry_After="7")
FORBIDDEN: Final = refusal(403, "ForbiddenByRbac")
CUTS: Final[Sequence[Fault]] = (CutBefore(_ANY), CutAfter(_ANY))
FAULTS: Final[Sequence[Fault]] = (
    *CUTS, CutAfter(_ANY, 200), Drip(_ANY), Stall(_ANY, 0), Stall(_ANY, 200),
    THROTTLED, FORBIDDEN, refusal(401), refusal(408), refusal(409, "ObjectIsBeingDeleted"),
    refusal(409, "ObjectIsBeingRecovered"), refusal(500), refusal(503, Retry_After="3"),
)  # fmt: skip
"""What may happen to a request to a vault."""


@dataclass
class VaultRun:
    """One run: the service, modules that follow, and the vaults as people have them.

    Faults come from when it `begins` on.
    """

    on: SecretBindings
    followers: Followers
    wire: WireVaults
    own: SecretVault
    partner: SecretVault
    begins: Callable[[], Awaitable[None]]
    outcomes: list[Any] = field(default_factory=list)
    met: int = 0
    """Requests that met a fault which was ended."""
    ending: asyncio.Task[None] | None = None

    def have_away(self, fault: Fault, number: int, for_s: float | None) -> None:
        """Let *fault* meet every request from *number* on; end it after *for_s*."""
        self.wire.proxy.will(*[fault] * AWAY, after=number)
        if for_s is not None:
            self.ending = asyncio.ensure_future(self._back_after(for_s))

    async def _back_after(self, delay_s: float) -> None:
        await self.on.app.service.clock.sleep(delay_s)
        self.met = AWAY - self.wire.proxy.heal()

    async def finish(self) -> None:
        self.outcomes += await self.followers.finish()

    async def versions(self) -> Sequence[SecretProperties]:
        """Return all versions of the secret, of both vaults, the oldest first."""
        found = [*await self.own.versions(NAME), *await self.partner.versions(NAME)]
        return sorted(found, key=lambda each: (each.created_at, each.version))

    async def bound(self, *modules: str, **changes: Any) -> str:
        """Bind and release *modules*; return the last binding's id."""
        identity = ""
        for module in modules:
            asked = await self.on.ask(moduleId=module, **changes)
            identity = asked["bindingId"]
            await self.finish()
            binding = await self.on.binding(identity)
            await self.followers.release(module, binding["version"])
        return identity

    async def looked_until(self, told: Callable[[], Any]) -> None:
        """Have the timer look until what it is to tell is *told*: what fails is postponed."""
        for _ in range(LOOKS_MAX):
            await self.on.watch(LOOK_S)
            if told():
                return
        raise AssertionError(f"nothing was told in {LOOKS_MAX} looks")


@dataclass(frozen=True)
class End:
    """What a run left behind, its versions named by their order."""

    outcomes: Sequence[Any]
    documents: Sequence[str]
    messages: Sequence[str]
    versions: Sequence[str]
    running: Mapping[str, str]
    logins: int

    def differences(self, other: "End") -> Iterator[str]:
        for name, expected in vars(self).items():
            found = getattr(other, name)
            if found != expected:
                yield f"{name}: expected {expected}, got {found}"


Scenario = Callable[[VaultRun], Awaitable[None]]
Disturb = Callable[[VaultRun], None]


async def a_first_version_is_made(run: VaultRun) -> None:
    await run.begins()
    await run.bound(WEB, generator=PASSWORD)


async def a_second_module_is_bound(run: VaultRun) -> None:
    await run.bound(WEB, generator=PASSWORD)
    await run.begins()
    await run.bound(OTHER, generator=PASSWORD)


async def a_secret_is_rotated_and_its_old_version_revoked(run: VaultRun) -> None:
    identity = await run.bound(WEB, OTHER, generator=PASSWORD)
    await run.begins()
    await run.on.rotate(identity)
    await run.finish()


async def an_external_secret_follows_its_owner(run: VaultRun) -> None:
    await run.partner.set(NAME, SecretValue("first"))
    identity = await run.bound(WEB, vaultUri=PARTNER, external=True)
    await run.on.app.service.clock.sleep(1)
    await run.partner.set(NAME, SecretValue("second"))
    await run.begins()
    await run.on.rotate(identity)
    await run.finish()


async def a_version_set_by_hand_is_followed(run: VaultRun) -> None:
    await run.bound(WEB, generator={"kind": "random"})
    await run.on.app.service.clock.sleep(1)
    await run.own.set(NAME, SecretValue("by hand"))
    await run.begins()
    await run.looked_until(lambda: run.on.bench.starts.started)
    await run.finish()


async def a_secret_is_deleted_and_recovered_by_hand(run: VaultRun) -> None:
    await run.bound(WEB, generator=PASSWORD)
    await run.own.delete(NAME)
    await run.begins()
    await run.looked_until(lambda: run.on.told("RuntimeAlertRaised"))
    await run.own.recover(NAME)
    await run.looked_until(lambda: run.on.told("RuntimeAlertCleared"))


async def a_deleted_name_is_bound_again_after_its_recovery(run: VaultRun) -> None:
    await run.own.set(NAME, SecretValue("kept"))
    await run.own.delete(NAME)
    await run.begins()
    asked = await run.on.ask(generator=PASSWORD)
    await run.finish()
    failed = await run.on.operation(asked["lastOperationId"])
    assert failed.error is not None
    assert failed.error["code"] == "SecretDeleted", failed.error
    await run.own.recover(NAME)
    await run.bound(WEB)


async def a_deleted_secret_is_rotated_after_its_recovery(run: VaultRun) -> None:
    identity = await run.bound(WEB, generator={"kind": "random"})
    await run.own.delete(NAME)
    await run.begins()
    asked = await run.on.rotate(identity)
    await run.finish()
    failed = await run.on.rotation(asked["rotationId"])
    assert failed["reason"]["code"] == "SecretDeleted", failed["reason"]
    await run.own.recover(NAME)
    await run.on.rotate(identity)
    await run.finish()


SCENARIOS: Final[Sequence[Scenario]] = (
    a_first_version_is_made,
    a_second_module_is_bound,
    a_secret_is_rotated_and_its_old_version_revoked,
    an_external_secret_follows_its_owner,
    a_version_set_by_hand_is_followed,
    a_secret_is_deleted_and_recovered_by_hand,
    a_deleted_name_is_bound_again_after_its_recovery,
    a_deleted_secret_is_rotated_after_its_recovery,
)


@dataclass(frozen=True)
class VaultRuns:
    """Runs scenarios at one local cloud, each over empty vaults and stores."""

    wire: WireVaults

    def undisturbed(self, scenario: Scenario) -> tuple[End, int]:
        """Return the end without a fault, and how many requests led to it.

        It is run until it makes as many twice: the first one is also asked for a token.
        """
        requests = 0
        for _ in range(TRIES_MAX):
            before, end = requests, self._run(scenario)
            requests = self.wire.proxy.requests
            if requests == before:
                return end, requests
        raise AssertionError(f"{TRIES_MAX} equal runs made different requests")

    def disturbed(self, scenario: Scenario, fault: Fault, number: int) -> End:
        """Return the end with *fault* at the request *number*, from 0."""
        end = self._run(scenario, lambda _run: self.wire.proxy.will(fault, after=number))
        assert self.wire.proxy.is_done, "the fault never came"
        return end

    def during(self, scenario: Scenario, disturb: Disturb, check: Scenario) -> None:
        """Run *scenario*, which *disturb* disturbs from its beginning, and then *check*."""

        async def both(run: VaultRun) -> None:
            await scenario(run)
            self.wire.proxy.forget()
            await check(run)

        self._run(both, disturb)

    def _run(self, scenario: Scenario, disturb: Disturb | None = None) -> End:
        async def main() -> End:
            run = await self._fresh()

            async def begin() -> None:
                await run.on.app.service.clock.sleep(1)  # versions of one second have no order
                self.wire.proxy.forget()
                if disturb is not None:
                    disturb(run)

            run.begins = begin
            await scenario(run)
            return await _end(run)

        return run_virtual(main())

    async def _fresh(self) -> VaultRun:
        wire = self.wire
        wire.proxy.forget()
        own, partner = await wire.itself(VAULT), await wire.itself(PARTNER)
        for vault in (own, partner):
            for remove in (vault.delete, vault.purge):
                with suppress(NotFound):
                    await remove(NAME)
        on = await secret_bindings(asked=wire)

        async def nothing() -> None:
            """No fault is to come."""

        return VaultRun(on, Followers(on), wire, own, partner, nothing)


async def _end(run: VaultRun) -> End:
    on, versions = run.on, await run.versions()
    names = {each.version: f"v{number}" for number, each in enumerate(versions, start=1)}

    def named(text: str) -> str:
        for version, name in names.items():
            text = text.replace(version, name)
        return text

    stored = await all_changes(on.bench.storage.store("runtime", "secret_bindings"))
    documents = as_text([each.id, each.body] for each in stored if not is_outbox(each))
    messages = as_text(on.bench.sent.bodies())
    shown = as_text([each.version, each.enabled, each.tags] for each in versions)
    return End(
        run.outcomes,
        sorted(map(named, documents)),
        sorted(map(named, messages)),
        sorted(map(named, shown)),
        {module: named(version) for module, version in run.followers.versions.items()},
        len(on.passwords.logins),
    )
