"""Modules that follow rotations: deployments in short, which proves what it is told to bring."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.kit.messages import taken
from tests.kit.told import ended
from tests.secret_bindings.bound import NAME, SecretBindings, not_rolled_out, running

QUEUE: Final = "runtime-deployments-commands"
LOOK_S: Final = 0.5
Verdict = Callable[[Mapping[str, Any]], str]
"""What becomes of a roll-out: `follow`, `refuse` (it is rolled back), or `ignore`."""


def follow(_command: Mapping[str, Any]) -> str:
    return "follow"


@dataclass
class Followers:
    """Rolls secrets out while `serving`, as *verdict* has it; `told` has every command."""

    on: SecretBindings
    verdict: Verdict = follow
    told: list[Mapping[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    number: int = 0
    waiting: int = 0
    """Roll-outs that were told and have not ended."""

    async def release(self, module: str, version: str, **how: Any) -> None:
        """Have a deployment of *module* end now, which proves *version*."""
        self.number += 1
        self.versions[module] = version
        event = running(self.number, {NAME: version}, module=module, **how)
        at = self.on.app.service.clock.now()
        content = {**event.model_dump(by_alias=True), "endedAt": at}
        await self.on.hear(type(event).model_validate(content))

    async def retire(self, module: str) -> None:
        """Have a deployment end that removed *module*."""
        self.number += 1
        self.versions.pop(module, None)
        at = self.on.app.service.clock.now()
        await self.on.hear(ended(self.number, [], removed=[module], at=at))

    async def serve(self) -> None:
        """Do what deployments would, until it is cancelled."""
        while True:
            mine = taken(self.on.bench.sent, QUEUE)
            self.waiting += len(mine)
            for command in mine:
                if command.event_type == "WithdrawSecretVersions":
                    self.waiting -= 1
                    await self.on.confirm(command.payload)
                    continue
                self.told.append(command.payload)
                await self.on.app.service.clock.sleep(LOOK_S)
                await self._roll_out(command.payload)
                self.waiting -= 1
            await self.on.app.service.clock.sleep(LOOK_S)

    async def end_without_release(
        self, binding_id: str, status: str, code: str = "", version: str = ""
    ) -> None:
        """Have a roll-out to a consumer end that changed nothing."""
        self.number += 1
        at = self.on.app.service.clock.now()
        event = not_rolled_out(
            self.number, binding_id, status, code=code, at=at, version=version or "1" * 32
        )
        await self.on.hear(event)

    async def _roll_out(self, command: Mapping[str, Any]) -> None:
        module = command["moduleId"]
        verdict = self.verdict(command)
        if verdict == "follow":
            await self.release(module, command["version"])
        elif verdict in {"Failed", "Cancelled"}:
            await self.end_without_release(
                command["bindingId"], verdict, version=command["version"]
            )
        elif verdict == "nothing":
            await self.end_without_release(command["bindingId"], "Cancelled", "NothingToRollOut")
        elif verdict == "refuse":
            rejected = {NAME: command["version"]}
            await self.release(module, self.versions[module], rejected=rejected)

    async def rotate(self, binding_id: str, **order: Any) -> Mapping[str, Any]:
        """Rotate to the end beside these modules; return the rotation."""
        asked = await self.on.rotate(binding_id, **order)
        await self.finish()
        return await self.on.rotation(asked["rotationId"])

    async def finish(self, **how: Any) -> list[Any]:
        """Drive what was started beside these modules; return the outcomes."""
        serving = asyncio.ensure_future(self.serve())
        try:
            return await self.on.run_started(**how)
        finally:
            serving.cancel()


async def consumers(on: SecretBindings, *modules: str, **changes: Any) -> tuple[Followers, str]:
    """Bind the secret to *modules*, and release them; return them, and the last binding's id."""
    followers = Followers(on)
    binding: Mapping[str, Any] = {}
    for module in modules:
        binding = await on.bind(moduleId=module, **changes)
        await followers.release(module, binding["version"])
    return followers, binding["bindingId"]
