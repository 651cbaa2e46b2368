"""The commands and events of secret_bindings."""

import asyncio
from functools import partial
from typing import Any

from shared.contracts.secret_bindings import BindSecret, RotateSecret
from shared.contracts.secret_proofs import ConfirmWithdrawal, ProveRelease
from shared.messaging.fan_out import releases_of
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.kit.told import ENVIRONMENT, bound_tenant, ended, environment, released
from tests.secret_bindings.bound import (
    CONTENT,
    NAME,
    RANDOM,
    ROOT,
    SecretBindings,
    not_rolled_out,
    running,
    secret_bindings,
)

_comes = partial(comes_to, "secret_bindings")
_ONE = f"{ROOT}/{{bindingId}}"
_OPERATION = "v1/platform/secret-bindings/operations/{operationId}"
_ASKED = {**CONTENT, "generator": RANDOM}


async def _left(made: SecretBindings, sent: Any) -> Prepared:
    return await left_by(made.bench, sent)


async def _bound() -> tuple[SecretBindings, str]:
    made = await secret_bindings()
    return made, (await made.bind(generator=RANDOM))["bindingId"]


@_comes(f"POST {ROOT}")
async def is_asked_to_bind() -> Prepared:
    return await _left(await secret_bindings(), Call(body=_ASKED))


@_comes("BindSecret")
async def is_told_to_bind() -> Prepared:
    return await _left(await secret_bindings(), BindSecret.model_validate(_ASKED))


@_comes(f"POST {_ONE}/revoke")
async def is_asked_to_revoke() -> Prepared:
    made, identity = await _bound()
    return await _left(made, Call({"bindingId": identity}, {"reason": "not needed"}))


@_comes(f"POST {_ONE}/rotate")
async def is_asked_to_rotate() -> Prepared:
    made, identity = await _bound()
    return await _left(made, Call({"bindingId": identity}, {"overlap": "PT1H"}))


@_comes("RotateSecret")
async def is_told_to_rotate() -> Prepared:
    made, identity = await _bound()
    return await _left(made, RotateSecret(binding_id=identity))


@_comes("RuntimeEnvironmentProvisioned")
async def hears_of_an_environment() -> Prepared:
    return await _left(await secret_bindings(knows_environment=False), environment(1))


@_comes("RuntimeEnvironmentDecommissioned")
async def hears_of_an_environment_that_is_gone() -> Prepared:
    made, _ = await _bound()
    return await _left(made, environment(2, gone=True))


@_comes("RuntimeTenantBound")
async def hears_that_its_tenant_is_bound() -> Prepared:
    return await _left(await secret_bindings(), bound_tenant(1, "Enforced"))


@_comes("RuntimeDeploymentCompleted")
async def hears_of_a_release() -> Prepared:
    made, _ = await _bound()
    return await _left(made, ended(1, [released()]))


@_comes("RuntimeDeploymentRolledBack")
async def hears_of_a_release_that_was_rolled_back() -> Prepared:
    made, _ = await _bound()
    return await _left(made, ended(1, [released()], rolled_back=True))


@_comes("RuntimeDeploymentFailed")
async def hears_of_a_roll_out_that_failed() -> Prepared:
    made, identity = await _bound()
    return await _left(made, not_rolled_out(1, identity, "Failed"))


@_comes("RuntimeDeploymentCancelled")
async def hears_of_nothing_to_roll_out() -> Prepared:
    made, identity = await _bound()
    return await _left(made, not_rolled_out(1, identity, "Cancelled"))


async def _proof() -> tuple[SecretBindings, ProveRelease]:
    made, identity = await _bound()
    version = (await made.binding(identity))["version"]
    (command,) = releases_of(running(1, {NAME: version}), ProveRelease)
    return made, command


@_comes("ProveRelease")
async def is_told_of_a_release() -> Prepared:
    made, command = await _proof()
    return await _left(made, command)


@_comes("ConfirmWithdrawal")
async def is_told_that_old_versions_are_withdrawn() -> Prepared:
    made, identity = await _bound()
    asked = await made.rotate(identity, overlap="PT0S")
    rotating = asyncio.ensure_future(made.run_started())
    await made.app.service.clock.sleep(5)
    rotating.cancel()
    command = ConfirmWithdrawal.model_validate(
        {
            "environmentId": ENVIRONMENT,
            "bindingId": identity,
            "rotationId": asked["rotationId"],
        }
    )
    return await _left(made, command)


@_comes("POST v1/platform/secret-bindings/parked/{eventId}/replay")
async def replays() -> Prepared:
    made, command = await _proof()
    return await parked(made.bench, command)


@_comes(f"POST {_OPERATION}/cancel")
@_comes(f"POST {_OPERATION}/abandon")
async def is_running() -> Prepared:
    made = await secret_bindings()
    asked = await made.ask(generator=RANDOM)
    return await _left(made, Call({"operationId": asked["lastOperationId"]}))
