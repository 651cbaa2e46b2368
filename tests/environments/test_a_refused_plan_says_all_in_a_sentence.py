"""Where only one sentence of a refused plan is shown, it has field, value and code of each."""

from dataclasses import replace
from typing import Any

from shared.infrastructure.port import Preview
from shared.kernel.errors import Violation
from tests.environments.driven import OtherEngine, environments
from tests.kit.virtual_time import run_virtual

TOO_MUCH = Violation(
    "CapacityNotLimited", "/computeTargets/1/capacity/openFiles", "no cluster limits it",
    "cpu | memoryMib", "100",
)  # fmt: skip
UNKNOWN = Violation("ProviderMissing", "", "site: this engine cannot make its type")


class Refusing(OtherEngine):
    """Refuses two things of every plan."""

    async def preview(self, *args: Any) -> Preview:
        return replace(await self.inner.preview(*args), refusals=(TOO_MUCH, UNKNOWN))


def test_a_refused_plan_names_each_field_and_code() -> None:
    async def main() -> None:
        world = environments()
        world.use_engine(Refusing)
        identity = await world.request()

        await world.run_started()

        reason = (await world.environment(identity)).reason
        assert reason is not None
        assert reason.message == (
            "the environment cannot be applied as planned: /computeTargets/1/capacity/openFiles:"
            " no cluster limits it (expected cpu | memoryMib, got 100) [CapacityNotLimited];"
            " site: this engine cannot make its type [ProviderMissing]"
        )

    run_virtual(main())
