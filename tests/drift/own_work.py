"""What the platform does itself while somebody changes something: none of it is drift."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared.contracts.scaling import ScalingPolicyApplied
from shared.kernel.ids import ModuleId
from shared.surfaces.scaling import Measure, ScalingRules, UtilizationRule
from tests.drift.generated_environments import NIGHT, Environment, hash_of
from tests.kit.told import ENVIRONMENT, component_of, service_of

RULES: Final = ScalingRules(1, 9, (UtilizationRule(Measure.CPU, 70),))


class Work(StrEnum):
    ROLLOUT = "a rollout"
    ROLLED_BACK = "a rollout that is rolled back"
    ROTATION = "a rotation"
    CONFIGURATION = "a change of configuration"
    SCALING = "a scaling decision"


@dataclass
class OwnWork:
    """One piece of work on one service; its event `is_late` when it comes after what it tells."""

    environment: Environment
    module: ModuleId
    work: Work
    is_late: bool
    candidate: dict[str, Any] | None = None

    @property
    def is_deployment(self) -> bool:
        """Return whether nothing of its service is judged meanwhile."""
        return self.work is not Work.SCALING

    async def begin(self) -> None:
        if not self.is_late:
            await self._tell()
        if not self.is_deployment:
            spec = self.environment.spec(self.module)
            replicas = spec.replicas + self.environment.random.randint(1, 4)
            fence = self.environment.fence_of_scaling(spec.component)
            await self.environment.platform.scale(spec.component, spec.revision, replicas, fence)
            return
        self.candidate = await self.environment.release(self.module, **self._changes())
        if self.candidate["port"] is not None:
            number = self.candidate["releaseRevision"]
            weights, fence = {number - 1: 90, number: 10}, self.environment.fence()
            component = component_of(self.module)
            await self.environment.platform.set_weights(component, weights, fence)

    async def end(self) -> None:
        if self.is_late:
            await self._tell()
        environment, candidate = self.environment, self.candidate
        if candidate is None:
            return
        if self.work is not Work.ROLLED_BACK:
            await environment.promote(candidate)
            await environment.tell_end(candidate)
            return
        number, component = candidate["releaseRevision"], component_of(self.module)
        if candidate["port"] is not None:
            weights = {number - 1: 100}
            await environment.platform.set_weights(component, weights, environment.fence())
        await environment.platform.remove(component, number, environment.fence())
        await environment.tell_end(environment.released[self.module], rolled_back=True)

    async def _tell(self) -> None:
        if self.is_deployment:
            await self.environment.tell_step(self.module)
            return
        await self.environment.hear(policy_of(self.module, "platform"))

    def _changes(self) -> dict[str, Any]:
        random, before = self.environment.random, self.environment.released[self.module]
        if self.work is Work.CONFIGURATION:
            return {"configuration": {"module": 2, "hash": hash_of(random)}}
        if self.work is Work.ROTATION:
            secrets = [{**each, "version": "v9"} for each in before["secrets"]]
            return {"secrets": secrets, "secretVersions": {each["name"]: "v9" for each in secrets}}
        return {
            "environ": {**before["environ"], "SETTING_0": "next", "ADDED": "1"},
            "replicas": before["replicas"] + (self.module != NIGHT),
        }


def policy_of(module: ModuleId, actuator: str) -> ScalingPolicyApplied:
    """Return that a policy has the number of instances of *module*, from 1 to 9."""
    policy = service_of(module).replace("svc", "sp", 1)
    rule = {"signal": "cpu", "target": 70}
    return ScalingPolicyApplied.model_validate(
        {
            "aggregateId": policy, "revision": 1, "policyId": policy,
            "serviceId": service_of(module), "environmentId": ENVIRONMENT, "moduleId": module,
            "min": RULES.minimum, "max": RULES.maximum, "desired": 5, "actuator": actuator,
            "rules": [rule], "status": "Enforced", "reason": "Policy", "policyRevision": 1,
        }
    )  # fmt: skip
