"""A dry run of a binding, or of a move, decides as its request, and changes nothing."""

from dataclasses import replace
from typing import Any

import pytest

from function_apps.tenants.use_cases.move_tenant import move_tenant
from shared.contracts.tenants import MoveTenant
from shared.contracts.values import IsolationModel
from shared.kernel.errors import Refused, Stale
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import shown
from tests.tenants.bound import BINDING, CONTENT, ONE, ROOT, Tenants, tenants


async def planned(on: Tenants, **changes: Any) -> tuple[int, Any]:
    answer = await on.call("POST", ROOT, {**CONTENT, **changes, "dryRun": True})
    return answer.status, shown(answer)


async def moved(on: Tenants, model: str, **more: Any) -> tuple[int, Any]:
    body = {"isolationModel": model, **more}
    answer = await on.call("POST", f"{ONE}/move", body, tenantBindingId=BINDING)
    return answer.status, shown(answer)


def test_a_binding_that_is_only_planned_is_none() -> None:
    async def main() -> Any:
        on = await tenants()
        plan = await planned(on, isolationModel="pool")
        return plan, on.told(), await on.bind(isolationModel="pool")

    (status, plan), events, bound = run_virtual(main())

    assert (status, events) == (200, [])
    assert plan == bound


def test_what_a_request_is_refused_for_refuses_its_dry_run() -> None:
    async def main() -> tuple[Refused, Refused]:
        on = await tenants()
        await on.bind()
        with pytest.raises(Refused) as refused:
            await on.bind(isolationModel="pool")
        with pytest.raises(Refused) as dry:
            await planned(on, isolationModel="pool")
        return refused.value, dry.value

    refused, dry = run_virtual(main())

    assert (dry.code, str(dry)) == (refused.code, str(refused))


def test_of_what_is_bound_so_already_it_is_a_repeat() -> None:
    async def main() -> Any:
        on = await tenants()
        known = await on.enforced()
        answer = await on.call("POST", ROOT, {**CONTENT, "dryRun": True})
        return known, shown(answer), answer.headers

    known, plan, headers = run_virtual(main())

    assert plan == known
    assert headers["Repeatability-Result"] == "accepted"


def test_a_move_that_is_only_planned_begins_nothing() -> None:
    async def main() -> Any:
        on = await tenants()
        known = await on.enforced()
        told = on.told()
        plan = await moved(on, "pool", dryRun=True)
        return known, plan, await on.binding(), on.told() == told, await moved(on, "pool")

    known, (status, plan), after, is_silent, (accepted, begun) = run_virtual(main())

    assert (status, accepted) == (200, 202)
    assert (plan["status"], plan["isolationModel"], plan["phase"]) == (
        "Moving",
        "pool",
        "Preparing",
    )
    assert (after, is_silent) == (known, True)
    assert plan == begun


def test_a_plan_of_a_binding_that_has_changed_is_stale() -> None:
    async def main() -> None:
        on = await tenants()
        await on.enforced()
        ctx = on.bench.ctx()
        ctx = replace(ctx, cause=replace(ctx.cause, if_match=('"another"',)))
        command = MoveTenant(binding_id=BINDING, isolation_model=IsolationModel.POOL, dry_run=True)
        with pytest.raises(Stale):
            await move_tenant(command, ctx, on.app)

    run_virtual(main())
