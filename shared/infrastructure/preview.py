"""What a preview says: changes, steps, refusals, cost and the hash that names the plan."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from shared.infrastructure.difference import difference
from shared.infrastructure.graph import Graph, digest, graph_to_json
from shared.infrastructure.inputs import FIXED_INPUTS, EnvironmentInputs
from shared.infrastructure.port import Change, MonthlyCost, Preview, ResourceChange
from shared.infrastructure.provider import ResourceProvider
from shared.infrastructure.state import StackState
from shared.kernel.errors import Violation

Providers = Mapping[str, ResourceProvider]
"""By resource type."""


def preview(
    state: StackState, inputs: EnvironmentInputs, graph: Graph, providers: Providers
) -> Preview:
    """Compare *graph* with *state*; pure, but for what the providers know by heart."""
    found = difference(state, graph)
    plan_hash = digest({"graph": graph_to_json(graph), "version": state.version})
    return Preview(
        stack=state.stack,
        graph=graph,
        changes=found.changes,
        steps=tuple(replace(step, run=plan_hash) for step in found.steps),
        refusals=(
            *_fixed(state, inputs),
            *_protected(state, found.changes),
            *_checks(graph, providers),
        ),
        monthly_cost=_monthly_cost(graph, providers),
        state_version=state.version,
        plan_hash=plan_hash,
    )


def _checks(graph: Graph, providers: Providers) -> list[Violation]:
    found: list[Violation] = []
    for node in graph.nodes:
        provider = providers.get(node.type)
        if provider is None:
            found.append(
                Violation(
                    "ProviderMissing", "", f"{node.name}: this engine cannot make its type",
                    " | ".join(sorted(providers)), node.type,
                )
            )  # fmt: skip
        else:
            found += provider.check(node)
    return found


def _monthly_cost(graph: Graph, providers: Providers) -> MonthlyCost | None:
    known: list[MonthlyCost] = []
    for node in graph.nodes:
        provider = providers.get(node.type)
        cost = provider.monthly_cost(node) if provider else None
        if cost is None:
            # One unknown makes the sum unknown: a figure without it would be read as all.
            return None
        known.append(cost)
    if len({cost.currency for cost in known}) != 1:
        return None
    bases = dict.fromkeys(cost.basis for cost in known if cost.basis)
    amount = round(sum(cost.amount for cost in known), 2)
    return MonthlyCost(amount, known[0].currency, "; ".join(bases))


def _fixed(state: StackState, inputs: EnvironmentInputs) -> list[Violation]:
    if not state.resources:
        return []
    now = inputs.to_json()
    return [
        Violation(
            "FixedInput",
            f"/{_camel(name)}",
            "cannot change while the environment is there; make another environment",
            str(state.inputs[name]),
            str(now[name]),
        )
        for name in FIXED_INPUTS
        if name in state.inputs and state.inputs[name] != now[name]
    ]


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.title() for word in tail)


def _protected(state: StackState, changes: Collection[ResourceChange]) -> list[Violation]:
    found = []
    for change in changes:
        recorded = state.resource(change.urn)
        is_protected = recorded is not None and recorded.protected
        if is_protected and change.change in {Change.DELETE, Change.REPLACE}:
            because = f" because of {', '.join(change.paths)}" if change.paths else ""
            found.append(
                Violation(
                    "ProtectedDelete", "",
                    f"{change.name} is protected, and the plan would {change.change} it{because}",
                    "a plan that keeps it", change.change,
                )
            )  # fmt: skip
    return found
