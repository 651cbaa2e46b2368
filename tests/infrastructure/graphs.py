"""Graphs of any shape, and an engine in memory that is given one instead of a program."""

from collections.abc import Sequence

from hypothesis import strategies as st

from local_cloud.infrastructure.step_engine import StepEngine
from shared.infrastructure.graph import Graph, Node, Resource, digest, reference
from shared.infrastructure.inputs import EnvironmentInputs
from shared.infrastructure.port import StackName
from tests.infrastructure.installations import STACK
from tests.kit.memory_engine import MemoryCloud, MemoryResources, MemoryStates, references, urn
from tests.kit.virtual_time import LoopClock

THING = "test:some:Thing"


def node(
    name: str,
    *,
    needs: Sequence[str] = (),
    replace_on: Sequence[str] = (),
    **properties: object,
) -> Node:
    """Return a Thing; a property `"<-name.output"` refers to another."""
    given = {key: _refer(value) for key, value in properties.items()}
    needed = {to.urn for to in references(given)} | {named(each) for each in needs}
    return Node(
        named(name), THING, name, given, tuple(sorted(needed)), replace_on=tuple(replace_on)
    )


def named(name: str) -> str:
    return urn(STACK, "test", THING, name)


def _refer(value: object) -> object:
    if isinstance(value, str) and value.startswith("<-"):
        name, output = value[2:].split(".")
        return reference(named(name), output)
    return value


class Given:
    """An evaluator that knows one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def evaluate(self, stack: StackName, inputs: EnvironmentInputs) -> Graph:
        return self._graph


def engine_for(
    cloud: MemoryCloud, *nodes: Node, outputs: dict[str, str] | None = None
) -> StepEngine:
    things = MemoryResources(cloud, _outputs)
    graph = Graph(nodes, {key: _refer(value) for key, value in (outputs or {}).items()})
    return StepEngine(Given(graph), MemoryStates(cloud), {THING: things}, LoopClock())


def _outputs(thing: Resource) -> dict[str, str]:
    # `id` stays over an update in place, `print` does not.
    return {"id": thing.name, "print": digest(dict(thing.properties))}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Node, ...]:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, min_size=0, max_size=6))
    nodes: list[Node] = []
    for name in names:
        earlier = [each.name for each in nodes]
        size = st.integers(1, 3)
        link = st.sampled_from([f"<-{each}.{out}" for each in earlier for out in ("id", "print")])
        nodes.append(
            node(
                name,
                needs=draw(st.lists(st.sampled_from(earlier), max_size=2)) if earlier else (),
                replace_on=draw(st.lists(st.sampled_from(["size", "link"]), max_size=1)),
                size=draw(size),
                **({"link": draw(st.one_of(size, link))} if earlier else {}),
            )
        )
    return tuple(nodes)
