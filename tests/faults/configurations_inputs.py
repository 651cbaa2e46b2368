"""The commands and events of configurations."""

from functools import partial
from typing import Any

from shared.contracts.configurations import AdoptRelease, PublishConfiguration
from shared.messaging.fan_out import releases_of
from tests.configurations.configured import (
    ENVIRONMENT_LAYER,
    MODULE_LAYER,
    Configurations,
    configurations,
    listed,
    proved,
)
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.kit.told import ended, environment, released

_comes = partial(comes_to, "configurations")
_ONE = "v1/runtime/configurations/{configurationId}"


async def _left(made: Configurations, sent: Any) -> Prepared:
    return await left_by(made.bench, sent)


async def _published() -> tuple[Configurations, str]:
    made = await configurations()
    await made.publish(ENVIRONMENT_LAYER, {"size": 1})
    head = await made.publish(MODULE_LAYER, {"greeting": "hello"})
    await made.publish(MODULE_LAYER, {"greeting": "hi"}, 1)
    return made, head["configurationId"]


_NEXT = {"scope": MODULE_LAYER, "values": {"greeting": "hey"}, "expectedVersion": 2}


@_comes("POST v1/runtime/configurations")
async def is_asked_to_publish() -> Prepared:
    made, _ = await _published()
    return await _left(made, Call(body=_NEXT))


@_comes("PublishConfiguration")
async def is_told_to_publish() -> Prepared:
    made, _ = await _published()
    return await _left(made, PublishConfiguration.model_validate(_NEXT))


@_comes(f"POST {_ONE}/rollback")
async def is_asked_to_return() -> Prepared:
    made, identity = await _published()
    body = {"toVersion": 1, "expectedVersion": 2}
    return await _left(made, Call({"configurationId": identity}, body))


@_comes(f"POST {_ONE}/versions/{{version}}/publish")
async def is_asked_to_publish_a_draft() -> Prepared:
    made, identity = await _published()
    await made.publish(MODULE_LAYER, {"greeting": "hey"}, 2, draft=True)
    path = {"configurationId": identity, "version": "3"}
    return await _left(made, Call(path, {"expectedVersion": 2}))


@_comes("RuntimeEnvironmentProvisioned")
async def hears_of_an_environment() -> Prepared:
    return await _left(await configurations(knows_environment=False), environment(1))


@_comes("RuntimeEnvironmentDecommissioned")
async def hears_of_an_environment_that_is_gone() -> Prepared:
    made, _ = await _published()
    return await _left(made, environment(2, gone=True))


@_comes("RuntimeDeploymentCompleted")
async def hears_of_a_release() -> Prepared:
    made, _ = await _published()
    return await _left(made, ended(1, [released()]))


@_comes("RuntimeDeploymentRolledBack")
async def hears_of_a_release_that_was_rolled_back() -> Prepared:
    made, _ = await _published()
    return await _left(made, ended(1, [released()], rolled_back=True))


@_comes("RuntimeInventoryUpdated")
async def hears_of_an_instance() -> Prepared:
    made, _ = await _published()
    await made.hear(proved(1, [], "live", {}))
    return await _left(made, listed(1, "web-0"))


def _adoption() -> AdoptRelease:
    pin = {"environment": 1, "module": 2, "hash": "sha256:" + "1" * 64}
    (command,) = releases_of(ended(2, [released(configuration=pin)]), AdoptRelease)
    return command


@_comes("AdoptRelease")
async def is_told_of_a_release() -> Prepared:
    made, _ = await _published()
    return await _left(made, _adoption())


@_comes("POST v1/platform/configurations/parked/{eventId}/replay")
async def replays() -> Prepared:
    made, _ = await _published()
    return await parked(made.bench, _adoption())


@_comes("POST v1/platform/configurations/operations/{operationId}/cancel")
@_comes("POST v1/platform/configurations/operations/{operationId}/abandon")
async def has_no_operations() -> Prepared:
    operation = f"op-configurations-{'a' * 12}-{'0' * 16}"
    return await _left(await configurations(), Call({"operationId": operation}))
