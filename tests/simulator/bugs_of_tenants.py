"""Bugs in what keeps tenants apart: bindings, moves, what is left of a guest, and prod's policy."""

from collections.abc import Sequence
from typing import Any

from function_apps.deployments.errors import BindingSuspended, IsolationBreached
from function_apps.deployments.model import preconditions
from function_apps.environments.activities import remove_tenant
from function_apps.tenants.model import move
from function_apps.tenants.use_cases import advance_move
from shared.policies.prod_policy import ProdPolicy
from tests.simulator.bugs_of_messages import Change, around


def suspended_tenants_deploy() -> Sequence[Change]:
    return _without(BindingSuspended)


def breaches_hold_nothing() -> Sequence[Change]:
    return _without(IsolationBreached)


def _without(refusal: type[Exception]) -> Sequence[Change]:
    def reason(inner: Any, *arguments: Any) -> Any:
        try:
            return inner(*arguments)
        except refusal:
            return None

    return [around(preconditions, "blocking_reason", reason)]


def old_model_ends_early() -> Sequence[Change]:
    def advance(inner: Any, known: Any, _running: Any, *more: Any) -> Any:
        return inner(known, (), *more)

    return [around(advance_move, "advance", advance)]


def moves_never_end() -> Sequence[Change]:
    def isolated(inner: Any, known: Any, isolation: Any, now: Any) -> Any:
        return known if known.move.phase == "Cleaning" else inner(known, isolation, now)

    return [around(move, "on_isolation", isolated)]


def boundaries_are_left() -> Sequence[Change]:
    return [(remove_tenant, "boundaries_on", lambda *_arguments: {})]


def policy_is_not_obeyed() -> Sequence[Change]:
    async def permit(_inner: Any, _policy: Any, decision: Any, *_more: Any) -> Any:
        return decision

    return [around(ProdPolicy, "permit", permit)]
