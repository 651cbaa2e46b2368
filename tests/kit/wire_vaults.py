"""The vaults of a local cloud, asked by Microsoft's SDK over https while virtual time stands still.

Endpoint, proxy and SDK have an event loop on a thread of their own, with the machine's time.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pytest

from shared.kernel.ids import EnvironmentKey
from shared.vault.port import SecretVault
from shared.vault.vault_uris import LOCAL_SUFFIX, vault_name
from tests.kit.cut_proxy import CutProxy
from tests.kit.key_vault import VaultWire, wired_vault
from tests.kit.stores import HandClock
from tests.kit.virtual_time import LoopClock

T = TypeVar("T")


@dataclass
class WireVaults:
    """The Vaults port. The clock of the vaults is that of the loop that asks."""

    wire: VaultWire
    clock: HandClock
    loop: asyncio.AbstractEventLoop

    @property
    def proxy(self) -> CutProxy:
        return self.wire.proxy

    def at(self, uri: str) -> SecretVault:
        return self._asked_on_its_loop(self.wire.vaults.at(uri))

    def of_environment(self, environment: EnvironmentKey, outputs: Mapping[str, str]) -> str:
        return self.wire.vaults.of_environment(environment, outputs)

    async def itself(self, uri: str) -> SecretVault:
        """Return the vault at *uri* as whoever works in it has it: no connection is between."""
        opened = self.wire.others.opened(vault_name(uri, LOCAL_SUFFIX))
        return self._asked_on_its_loop(await self.ask(opened))

    async def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Return what *question* comes to on the loop of the vaults; no virtual time passes."""
        self.clock.at = LoopClock().now()
        asked = asyncio.run_coroutine_threadsafe(question, self.loop)
        return await asyncio.get_running_loop().run_in_executor(None, asked.result)

    def _asked_on_its_loop(self, vault: SecretVault) -> SecretVault:
        asked: Any = _AskedVault(vault, self)
        return asked  # type: ignore[no-any-return]  # each method of the port is passed on


@dataclass(frozen=True)
class _AskedVault:
    vault: SecretVault
    vaults: WireVaults

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any, **options: Any) -> Any:
            return await self.vaults.ask(getattr(self.vault, name)(*arguments, **options))

        return ask


@contextmanager
def wire_vaults(folder: Path, *, timeout_s: float) -> Iterator[WireVaults]:
    """Serve the vaults of *folder*; a call to one is given up after *timeout_s*."""
    loop, clock = asyncio.new_event_loop(), HandClock()
    thread = Thread(target=loop.run_forever, name="vaults", daemon=True)
    thread.start()
    run = partial(asyncio.run_coroutine_threadsafe, loop=loop)
    with pytest.MonkeyPatch.context() as environ:
        opened = wired_vault(folder, clock, environ, timeout_s=timeout_s)
        wire = run(opened.__aenter__()).result()
        try:
            yield WireVaults(wire, clock, loop)
        finally:
            run(opened.__aexit__(None, None, None)).result()
            run(loop.shutdown_default_executor()).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
