"""The day of a run: what is done, by whom and when, drawn by its seed."""

import random  # noqa: TID251  the runs of tests are drawn here
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.simulator import disturbances, release_actions, service_actions, tenant_actions
from tests.simulator.operators import HOUR_S, TENANTS, Operator

Action = Callable[[Operator], Awaitable[None]]
ACTIONS: Final[Mapping[Action, int]] = {
    release_actions.provision: 6,
    release_actions.update: 2,
    release_actions.decommission: 1,
    release_actions.deploy: 12,
    release_actions.act_on_deployment: 6,
    release_actions.promote: 2,
    release_actions.publish: 6,
    release_actions.return_configuration: 2,
    release_actions.bind: 4,
    release_actions.rotate: 4,
    release_actions.revoke: 1,
    release_actions.look_at_the_other_tenant: 1,
    tenant_actions.bind_tenant: 4,
    tenant_actions.act_on_binding: 2,
    tenant_actions.act_on_guest: 2,
    tenant_actions.move_tenant: 4,
    service_actions.apply_policy: 3,
    service_actions.act_on_policy: 3,
    service_actions.set_objective: 2,
    service_actions.decide_on_finding: 4,
    service_actions.repair_environment: 2,
    service_actions.order_scan: 1,
    disturbances.break_an_instance: 2,
    disturbances.make_the_surface_unreadable: 1,
    disturbances.tear_the_listing: 1,
    disturbances.make_probes_fail: 1,
    disturbances.tamper: 4,
    disturbances.tamper_with_a_boundary: 1,
    disturbances.change_load: 2,
}
"""How often each is done beside the others, before the seed doubles or drops some."""


MORNING: Final[Sequence[Action]] = (
    release_actions.provision,
    tenant_actions.bind_tenant,
    release_actions.deploy,
)
"""What each tenant begins with: whatever else there is to do needs a service."""


@dataclass
class Day:
    """The actions of a run, drawn by its seed: what, by whom, and how long after the last."""

    seed: int
    actions: int
    hours: float
    drawn: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.drawn = random.Random(f"actions {self.seed}")
        always = {release_actions.provision, release_actions.deploy}
        self.weights = [
            weight if action in always else weight * self.drawn.choice((0, 1, 1, 2))
            for action, weight in ACTIONS.items()
        ]

    def next(self) -> tuple[float, str, Action]:
        """Return how many seconds to wait, whose turn it is, and what is done."""
        hasty = self.drawn.random() < 0.4
        mean_s = 20.0 if hasty else self.hours * HOUR_S / self.actions
        action = self.drawn.choices(tuple(ACTIONS), self.weights)[0]
        return self.drawn.expovariate(1 / mean_s), self.drawn.choice(TENANTS), action
