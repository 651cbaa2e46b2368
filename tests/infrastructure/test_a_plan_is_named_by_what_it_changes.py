"""Two requests for the same resources have one plan, whoever asked and in which trace."""

from shared.infrastructure.port import StackName
from tests.infrastructure.installations import inputs
from tests.kit.memory_engine import MemoryCloud, memory_engine
from tests.kit.virtual_time import run_virtual


async def _plan(**changed: object) -> str:
    given = inputs("files", **changed)
    stack = StackName(given.environment_id)
    return (await memory_engine(MemoryCloud()).preview(stack, given)).plan_hash


def test_another_trace_is_the_same_plan() -> None:
    async def main() -> None:
        assert await _plan(trace_id="trace-1") == await _plan(trace_id="trace-2")

    run_virtual(main())


def test_another_tag_is_another_plan() -> None:
    async def main() -> None:
        assert await _plan(tags={"team": "a"}) != await _plan(tags={"team": "b"})

    run_virtual(main())
