"""What must hold once faults have stopped and all is quiet: the promises of the platform."""

import json
from collections.abc import Sequence
from typing import Any

from shared.persistence.store import Document
from tests.kit.memory_cluster import MemoryComponent
from tests.simulator.history import History
from tests.simulator.operators import TENANTS
from tests.simulator.simulated_world import SimulatedWorld

_ENDED = frozenset({"Succeeded", "Failed", "Canceled"})
_GONE = frozenset({"Decommissioned", "Failed"})
_CHANGING = frozenset({"RollingOut", "HealthGating", "Promoting", "RollingBack"})


async def check_all(world: SimulatedWorld) -> None:
    """Note in the history each promise that is broken now."""
    documents = {name: await world.documents(name) for name in world.services}
    await _every_accepted_operation_has_ended(world)
    _one_active_environment_for_a_name(world.history, documents["environments"])
    _releases_are_whole(world, documents["deployments"])
    _rotations_have_ended(world, documents["secret_bindings"])
    await _no_value_is_outside_its_vault(world, documents)
    _no_data_crosses_tenants(world.history, documents)
    await _audit_chains_are_whole(world)
    await _count_what_was_parked(world)


async def _every_accepted_operation_has_ended(world: SimulatedWorld) -> None:
    for tenant, place in sorted(set(world.history.accepted)):
        status, operation = await world.call("GET", place, tenant=tenant)
        if status != 200 or operation["status"] not in _ENDED:
            world.history.broke("1", f"{place} of {tenant} is {status} {operation}")


def _one_active_environment_for_a_name(history: History, documents: Sequence[Document]) -> None:
    active = [
        (each.body["tenant_id"], each.body["project_id"], each.body["name"])
        for each in documents
        if each.body.get("type") == "environment" and each.body["status"] not in _GONE
    ]
    for name in {each for each in active if active.count(each) > 1}:
        history.broke("2", f"{name} has {active.count(name)} active environments")


def _releases_are_whole(world: SimulatedWorld, documents: Sequence[Document]) -> None:
    """Check that what runs of each module is what its newest unit in force says."""
    for document in documents:
        body = document.body
        if body.get("type") == "deployment" and body["status"] in _CHANGING:
            world.history.broke("6", f"{document.id} is still {body['status']}")
        if body.get("type") == "deploymentTarget" and (body.get("environment") or {}).get(
            "status"
        ) not in {None, "Decommissioned"}:
            _modules_are_whole(world, body, document.partition.tenant)


def _modules_are_whole(world: SimulatedWorld, target: Any, tenant: str) -> None:
    site = world.surface.site(target["environment_id"])
    components = site.components if site else ()
    running = {key.module: key for key in components if key.tenant == tenant}
    for module, facts in target.get("modules", {}).items():
        current = facts.get("revision", 0)
        live = world.surface.component(running[module]) if module in running else None
        with_instances = {
            number for number, each in (live.revisions.items() if live else ()) if each.instances
        }
        expected = {current} if current else set()
        if with_instances != expected:
            where = f"{module} in {target['environment_id']}"
            world.history.broke("5", f"{where} runs {with_instances}, in force is {expected}")
        elif live and expected and _weighted(live) != expected:
            world.history.broke("5", f"{module} has weights {live.weights}, in force is {expected}")


def _weighted(live: MemoryComponent) -> set[int]:
    return {number for number, percent in live.weights.items() if percent}


def _rotations_have_ended(world: SimulatedWorld, documents: Sequence[Document]) -> None:
    for document in documents:
        body = document.body
        if body.get("type") == "rotation" and body["status"] not in {"Revoked", "Failed"}:
            world.history.broke("9", f"{document.id} is still {body['status']}")


async def _no_value_is_outside_its_vault(world: SimulatedWorld, documents: Any) -> None:
    values = [
        (await vault.get(name, version.version)).value.reveal()
        for vault in world.vaults.vaults.values()
        for name in await vault.names()
        for version in await vault.versions(name)
        if version.enabled
    ]
    texts = [text for _, text in world.history.texts]
    texts += [
        json.dumps(dict(each.body), default=str) for found in documents.values() for each in found
    ]
    text = "\n".join(texts)
    for number, value in enumerate(values):
        if value in text:
            world.history.broke("8", f"secret value {number} is outside its vault")


def _no_data_crosses_tenants(history: History, documents: Any) -> None:
    own = {
        tenant: {
            str(each.body["environment_id"])
            for each in documents["environments"]
            if each.partition.tenant == tenant and each.body.get("type") == "environment"
        }
        for tenant in TENANTS
    }
    for tenant, text in history.texts:
        for other in TENANTS:
            for identity in own[other] if other != tenant else ():
                is_known = (tenant, identity) in history.shared
                if identity in text and tenant in TENANTS and not is_known:
                    history.broke(
                        "7", f"{identity} of {other} is in what {tenant} got: {text[:200]}"
                    )


async def _audit_chains_are_whole(world: SimulatedWorld) -> None:
    for name, service in world.services.items():
        for tenant in TENANTS:
            if broken := await service.audit.verify(tenant):
                world.history.broke("12", f"entry {broken} of {tenant}'s chain in {name} is wrong")


async def _count_what_was_parked(world: SimulatedWorld) -> None:
    """Count the reasons for which messages were parked; none of them breaks a promise."""
    for tenant in TENANTS:
        for name in world.services:
            path = f"/v1/platform/{name.replace('_', '-')}/parked"
            _, parked = await world.call("GET", path, tenant=tenant)
            for each in (parked or {}).get("value", []):
                world.history.reached[f"parked {each.get('code')}"] += 1
