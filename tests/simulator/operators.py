"""What people know how to do in a run: ask the platform, and choose among what it shows them."""

import random  # noqa: TID251  the runs of tests are drawn here
from dataclasses import dataclass
from typing import Any, Final

from tests.simulator.simulated_world import SimulatedWorld

TENANTS: Final = ("acme", "globex")
ENVIRONMENTS: Final = ("blue", "green")
MODULES: Final = ("module-a", "module-b", "module-c")
HOUR_S: Final = 3600.0


@dataclass
class Operator:
    """One tenant's people. What they know, they ask for."""

    world: SimulatedWorld
    tenant: str
    drawn: random.Random
    versions: int = 0

    @property
    def other(self) -> str:
        """Return the other tenant."""
        return next(each for each in TENANTS if each != self.tenant)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request, some with a key, and some of these twice."""
        headers = {}
        if method != "GET" and self.drawn.random() < 0.3:
            headers["idempotency-key"] = f"key-{self.drawn.randrange(10**9)}"
        asked = await self.world.call(method, path, body, tenant=self.tenant, headers=headers)
        if headers and self.drawn.random() < 0.5:
            return await self.world.call(method, path, body, tenant=self.tenant, headers=headers)
        return asked

    async def one_of(self, path: str, **holds: Any) -> Any:
        """Return one of the collection at *path* whose fields are as *holds* says, or None."""
        status, answer = await self.ask("GET", path)
        found = answer["value"] if status == 200 else []
        fitting = [
            each for each in found if all(each.get(name) in some for name, some in holds.items())
        ]
        return self.drawn.choice(fitting) if fitting else None

    async def environment(self, *statuses: str) -> str | None:
        """Return one of the tenant's own environments in one of *statuses*, by its id."""
        found = await self.one_of("/runtime/environments", status=statuses or ("Provisioned",))
        return found["environmentId"] if found else None

    async def bound_environment(self) -> str | None:
        """Return an environment of another, to which the tenant is bound."""
        found = await self.one_of(
            "/runtime/tenant-bindings", status=("Enforced",), ownerTenantId=(self.other,)
        )
        return found["environmentId"] if found else None
