"""What a child process makes of an environment program."""

import asyncio
import os

import psutil
import pytest

from local_cloud.infrastructure.child_evaluator import MESSAGE_MAX, ChildEvaluator
from shared.contracts import values
from shared.contracts.environments import DataResourceKind
from shared.infrastructure import inputs as vocabulary
from shared.infrastructure.errors import EvaluationDefect
from shared.infrastructure.graph import Graph, Urn, reference
from shared.infrastructure.inputs import ComputeTargetInput, EnvironmentInputs
from shared.infrastructure.port import StackName
from shared.kernel.errors import PlanRefused, Unavailable, Violation
from tests.infrastructure.installations import EVALUATOR, STACK, inputs
from tests.kit.memory_engine import local_graph
from tests.kit.patience import PATIENCE_S
from tests.kit.virtual_time import LoopClock

pytestmark = pytest.mark.real


async def evaluate(program: str, **limits: float) -> Graph:
    evaluator = ChildEvaluator(program=f"tests.infrastructure.programs:{program}", **limits)
    return await evaluator.evaluate(STACK, inputs())


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def thing(name: str) -> Urn:
    return Urn(f"urn:pulumi:{STACK}::environment::test:some:Thing::{name}")


@pytest.mark.parametrize("volumes", [(), ("data", "logs")], ids=["no-data", "two-volumes"])
async def test_pulumi_declares_the_same_local_graph_as_plain_python(
    volumes: tuple[str, ...],
) -> None:
    wanted = inputs(*volumes, protected="data", tags={"owner": "shop"})

    assert await EVALUATOR.evaluate(STACK, wanted) == local_graph(STACK, wanted)


async def test_pulumi_declares_a_place_in_a_cluster_as_plain_python_does() -> None:
    targets = (ComputeTargetInput("LocalProcess"), ComputeTargetInput("AKS", {"cpu": 2}))
    wanted = inputs("data", compute_targets=targets, has_cluster=True)

    assert await EVALUATOR.evaluate(STACK, wanted) == local_graph(STACK, wanted)


async def test_pulumi_up_runs_the_same_program_from_the_stacks_configuration() -> None:
    graph = await evaluate("as_pulumi_runs_it")

    assert graph == local_graph(STACK, inputs())


async def test_a_graph_keeps_numbers_references_dependencies_and_the_order_of_declaration() -> None:
    graph = await evaluate("linked")

    first, second = graph.nodes[:2]
    assert dict(first.properties) == {"count": 3, "ratio": 0.5}
    assert isinstance(first.properties["count"], int)
    assert second.properties["label"] == "of " + reference(thing("first"), "id")
    assert second.dependencies == (thing("first"),)
    assert second.protected
    assert [node.name for node in graph.nodes[2:]] == [f"many-{index}" for index in range(12)]
    assert graph.outputs == {
        "isReady": reference(thing("second"), "is_ready"),
        "list": [reference(thing("first"), "id"), 1],
    }


async def test_an_evaluation_is_made_once_for_equal_inputs_however_many_ask() -> None:
    evaluator = ChildEvaluator()

    asked = [evaluator.evaluate(STACK, inputs("data")) for _ in range(3)]
    graphs = await asyncio.gather(*asked)
    again = await evaluator.evaluate(STACK, inputs("data"))
    assert graphs == [again] * 3
    assert evaluator.evaluations == 1

    await evaluator.evaluate(StackName("env-other"), inputs("data"))
    assert evaluator.evaluations == 2


@pytest.mark.long
async def test_a_plan_of_another_tenant_waits_for_none_of_those_that_one_has_asked_for() -> None:
    started: list[str] = []

    class Noting(ChildEvaluator):
        async def _run(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
            started.append(inputs.tenant_id)
            return await super()._run(stack, inputs)

    evaluator = Noting()
    asked = [("acme", number) for number in range(4)] + [("globex", 0)]

    async with asyncio.TaskGroup() as group:
        for tenant, number in asked:
            given = inputs(tenant_id=tenant, name=f"test-{number}")
            group.create_task(evaluator.evaluate(STACK, given))

    assert started[:2] == ["acme", "globex"]


async def test_planning_comes_after_the_requests_that_wait_for_a_processor() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)

    assert (await evaluate("courteous")).outputs["niceness"] == min(before + 10, 19)


async def test_what_a_program_prints_is_not_its_answer() -> None:
    assert (await evaluate("talkative")).outputs == {"name": "test"}


async def test_what_a_program_does_not_accept_is_refused_with_its_violations() -> None:
    with pytest.raises(PlanRefused) as refused:
        await evaluate("refusing")

    assert refused.value.code == "TooSmall"
    assert refused.value.details == (Violation("TooSmall", "/x", "small", "2", "1"),)


async def test_a_program_that_asks_the_world_is_refused() -> None:
    with pytest.raises(PlanRefused) as refused:
        await evaluate("impure")

    assert refused.value.code == "ProgramImpure"


@pytest.mark.parametrize(
    ("program", "place"),
    [("secretive", "vault"), ("with_an_asset", "vault"), ("secretive_in_outputs", "the outputs")],
    ids=["a-property", "an-asset", "an-output"],
)
async def test_a_graph_with_a_secret_in_it_is_refused_because_it_would_be_recorded(
    program: str, place: str
) -> None:
    with pytest.raises(PlanRefused, match=place) as refused:
        await evaluate(program)

    assert refused.value.code == "SecretInGraph"
    assert "canary" not in str(refused.value)


async def test_a_missing_provider_package_is_refused_by_name() -> None:
    with pytest.raises(PlanRefused, match="a_package_that_is_not_here") as refused:
        await evaluate("unimportable")

    assert refused.value.code == "ProgramUnavailable"


async def test_a_program_that_fails_is_a_defect_that_says_where() -> None:
    with pytest.raises(EvaluationDefect, match="ZeroDivisionError: of nobody's input") as defect:
        await evaluate("broken")

    assert "in broken" in defect.value.where


@pytest.mark.parametrize(
    ("program", "limits"), [("endless", {"timeout_s": 2.0}), ("dying", {})], ids=["late", "killed"]
)
async def test_a_child_without_an_answer_is_a_dependency_that_is_away(
    program: str, limits: dict[str, float]
) -> None:
    with pytest.raises(Unavailable):
        await evaluate(program, **limits)


async def test_an_answer_without_end_is_read_to_its_bound_and_the_child_ended() -> None:
    with pytest.raises(EvaluationDefect, match="longer than"):
        await evaluate("flooding")


async def test_of_what_a_program_prints_the_end_is_kept() -> None:
    with pytest.raises(EvaluationDefect) as defect:
        await evaluate("chattering")

    assert "the last words" in defect.value.where
    assert len(defect.value.where) <= MESSAGE_MAX


async def test_what_a_program_started_ends_with_it() -> None:
    graph = await evaluate("forking")

    async with asyncio.timeout(PATIENCE_S):
        while is_alive(graph.outputs["pid"]):
            await LoopClock().sleep(0.01)


async def test_no_setting_of_the_host_reaches_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_SIGNING_KEY", "canary")

    graph = await evaluate("listing")

    assert "FACTORY_SIGNING_KEY" not in graph.outputs["names"]


def test_the_programs_words_are_those_of_the_contracts() -> None:
    targets = {vocabulary.LOCAL_TARGET, *vocabulary.AZURE_TARGETS}
    data = {*vocabulary.LOCAL_DATA, *vocabulary.AZURE_DATA}

    assert targets == {each.value for each in values.ComputeTargetKind}
    assert data == {each.value for each in DataResourceKind}
    assert set(vocabulary.STAGES) == {each.value for each in values.Stage}
    assert set(vocabulary.ISOLATION_MODELS) == {each.value for each in values.IsolationModel}
