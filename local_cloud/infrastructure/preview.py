"""Makes a preview: changes, refusals, cost, and the hash that names the plan."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace

from pydantic.alias_generators import to_camel

from local_cloud.infrastructure.difference import planned_changes, without
from local_cloud.infrastructure.provider import Providers
from local_cloud.infrastructure.state import StackState
from shared.infrastructure.graph import Graph, ResourceAction, digest
from shared.infrastructure.inputs import FIXED_INPUTS, EnvironmentInputs
from shared.infrastructure.local_program import STABLE_TAGS, places
from shared.infrastructure.port import MonthlyCost, PlannedChange, Preview
from shared.kernel.errors import Violation


def make_preview(
    state: StackState, inputs: EnvironmentInputs, graph: Graph, providers: Providers
) -> Preview:
    """Compare *graph* with *state*; pure, because providers check and price offline."""
    changes = tuple(planned_changes(state, graph).values())
    # Tags that differ in each request for the same resources make no other plan.
    nodes = [
        replace(node, properties=without(node.properties, STABLE_TAGS)) for node in graph.nodes
    ]
    named = replace(graph, nodes=tuple(nodes))
    return Preview(
        stack=state.stack,
        changes=changes,
        refusals=(
            *_changes_of_fixed_inputs(state, inputs),
            *_deletions_of_protected(state, changes),
            *_refusals_of_providers(graph, providers, places(inputs)),
        ),
        monthly_cost=_monthly_cost(graph, providers),
        plan_hash=digest({"graph": asdict(named), "version": state.version}),
    )


def _refusals_of_providers(
    graph: Graph, providers: Providers, where: Mapping[str, str]
) -> list[Violation]:
    refusals: list[Violation] = []
    for node in graph.nodes:
        if node.type in providers:
            refusals += providers[node.type].check(node, where.get(node.name, ""))
        else:
            refusals.append(
                Violation(
                    "ProviderMissing", "", f"{node.name}: this engine cannot make its type",
                    " | ".join(sorted(providers)), node.type,
                )
            )  # fmt: skip
    return refusals


def _monthly_cost(graph: Graph, providers: Providers) -> MonthlyCost | None:
    costs = [
        providers[node.type].monthly_cost(node) for node in graph.nodes if node.type in providers
    ]
    known = [cost for cost in costs if cost is not None]
    # One unknown makes the sum unknown: a figure without it would be read as the whole.
    if len(known) < len(graph.nodes) or len({cost.currency for cost in known}) != 1:
        return None
    bases = dict.fromkeys(cost.basis for cost in known if cost.basis)
    amount = round(sum(cost.amount for cost in known), 2)
    return MonthlyCost(amount, known[0].currency, "; ".join(bases))


def _changes_of_fixed_inputs(state: StackState, inputs: EnvironmentInputs) -> list[Violation]:
    if not state.resources:
        return []
    wanted = asdict(inputs)
    return [
        Violation(
            "FixedInput",
            f"/{to_camel(name)}",
            "cannot change while the environment exists; create another environment",
            str(state.inputs[name]),
            str(wanted[name]),
        )
        for name in FIXED_INPUTS
        if name in state.inputs and state.inputs[name] != wanted[name]
    ]


def _deletions_of_protected(
    state: StackState, changes: Collection[PlannedChange]
) -> list[Violation]:
    protected = {resource.urn for resource in state.resources if resource.protected}
    return [
        Violation(
            "ProtectedDelete", "",
            f"{change.name} is protected, and the plan would {change.action} it"
            + (f" because of {', '.join(change.paths)}" if change.paths else ""),
            "a plan that keeps it", change.action,
        )
        for change in changes
        if change.urn in protected
        and change.action in {ResourceAction.DELETE, ResourceAction.REPLACE}
    ]  # fmt: skip
