"""The text of a defect is for the log; who asked is given the operation to quote."""

from typing import Any

from tests.environments.driven import OtherEngine, environments
from tests.kit.virtual_time import run_virtual


class DefectiveEngine(OtherEngine):
    async def preview(self, _stack: str, _inputs: object) -> Any:
        msg = "AccountKey=c2VjcmV0"
        raise TypeError(msg)


def test_a_defect_in_an_activity_is_answered_without_its_text() -> None:
    async def main() -> None:
        world = environments()
        world.use_engine(DefectiveEngine)
        identity = await world.request()
        await world.run_started()
        environment = await world.environment(identity)
        operation = await world.operation(environment.operation_id)

        assert environment.reason is not None
        assert environment.reason.code == "ActivityFailed"
        assert operation.operation_id in environment.reason.message
        told = f"{environment} {operation} {world.bench.sent.bodies()}"
        assert "c2VjcmV0" not in told
        assert "TypeError" not in told

    run_virtual(main())
