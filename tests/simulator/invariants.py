"""What must hold once faults have stopped and all is quiet: the promises of the platform."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from shared.persistence.store import Document
from tests.kit.memory_cluster import MemoryComponent
from tests.simulator.commit_checks import CHANGING
from tests.simulator.history import History
from tests.simulator.operators import TENANTS
from tests.simulator.simulated_world import SimulatedWorld

_ENDED = frozenset({"Succeeded", "Failed", "Canceled"})
_GONE = frozenset({"Decommissioned", "Failed"})
_TOLD: Final = {
    "catalog": "service",
    "health": "target",
    "scaling": "scaledService",
    "drift": "baseline",
}
"""The documents of those who hear of each release, by service."""
_QUEUE: Final = re.compile(r"runtime-([a-z-]+)-commands")


async def check_all(world: SimulatedWorld) -> None:
    """Note in the history each promise that is broken now."""
    documents = {name: await world.documents(name) for name in world.services}
    await _every_accepted_operation_has_ended(world)
    _one_active_environment_for_a_name(world.history, documents["environments"])
    _releases_are_whole(world, documents["deployments"])
    _rotations_have_ended(world, documents["secret_bindings"])
    _no_value_is_outside_its_vault(world.history, documents)
    _no_data_crosses_tenants(world.history, documents)
    await _audit_chains_are_whole(world)
    _every_message_had_its_effect(world)
    _all_know_the_release(world.history, documents)
    _deployments_knows_the_environments(world.history, documents)
    world.history.tenants.check_at_end()
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
        if body.get("type") == "deployment" and body["status"] in CHANGING:
            world.history.broke("6", f"{document.id} is still {body['status']}")
        if body.get("type") == "deploymentTarget" and _is_there(body):
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


def _no_value_is_outside_its_vault(history: History, documents: Any) -> None:
    texts = [text for _, text in history.texts] + history.logged
    texts += [
        json.dumps(dict(each.body), default=str) for found in documents.values() for each in found
    ]
    text = "\n".join(texts)
    for number, value in enumerate(sorted(history.secrets)):
        if value in text:
            history.broke("8", f"secret value {number} is outside its vault")


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
    """Check that each chain is whole, and has each entry that was committed once."""
    found: Counter[str] = Counter()
    for name, service in world.services.items():
        for tenant in TENANTS:
            if broken := await service.audit.verify(tenant):
                world.history.broke("12", f"entry {broken} of {tenant}'s chain in {name} is wrong")
            after = 0
            while page := await service.audit.entries(tenant, after=after, limit=1000):
                found.update(each.record.record_id for each in page)
                after = page[-1].number
    for record, (name, tenant) in world.history.commits.records.items():
        if tenant in TENANTS and found[record] != 1:
            world.history.broke("12", f"{name} has entry {record} {found[record]} times")


def _all_know_the_release(history: History, documents: Any) -> None:
    """Check that those who hear of releases have the one in force, of each module."""
    known = {
        (name, each.partition.tenant, each.body["environment_id"], each.body["module_id"]): each
        for name, kind in _TOLD.items()
        for each in documents[name]
        if each.body.get("type") == kind
    }
    for document in documents["deployments"]:
        if document.body.get("type") != "deploymentTarget" or not _is_there(document.body):
            continue
        for module, facts in document.body.get("modules", {}).items():
            for name in _TOLD if facts.get("revision") else ():
                place = (document.partition.tenant, document.body["environment_id"], module)
                told = known.get((name, *place))
                revision = _release_of(told.body) if told else None
                if revision != facts["revision"]:
                    why = f"{name} has release {revision} of {place}, in force is {facts}"
                    history.broke("1", why)


def _deployments_knows_the_environments(history: History, documents: Any) -> None:
    """Check that each environment that is there takes deployments."""
    known = {
        each.body["environment_id"]: (each.body.get("environment") or {}).get("status")
        for each in documents["deployments"]
        if each.body.get("type") == "deploymentTarget"
        and (each.body.get("environment") or {}).get("owner") in {None, each.partition.tenant}
    }
    for each in documents["environments"]:
        body = each.body
        if body.get("type") == "environment" and body["status"] == "Provisioned":
            told = known.get(body["environment_id"])
            if told != "Provisioned":
                why = f"{body['environment_id']} is Provisioned, deployments has {told}"
                history.broke("1", why)


def _release_of(body: Any) -> Any:
    if body["type"] == "baseline" and body["component"] is None:
        return None  # it is known from the inventory only
    return (body["rows"]["release"] or {} if "rows" in body else body).get("release_revision")


def _is_there(target: Any) -> bool:
    environment = target.get("environment") or {}
    return environment.get("status") not in {None, "Decommissioned"}


def _every_message_had_its_effect(world: SimulatedWorld) -> None:
    """Check that each message of an outbox left it, and that each command was handled."""
    history, dead = world.history, _dead_letters(world)
    for event, service in history.commits.rows.items():
        if event not in history.left:
            history.broke("1", f"message {event} of {service} never left")
    for event in history.commits.told:
        if event not in history.left:
            history.broke("1", f"event {event} is in the audit trail, and never left")
    for event, entity in history.left.items():
        if event not in history.commits.rows:
            history.broke("1", f"message {event} to {entity} left, and nothing was committed")
        queue = _QUEUE.fullmatch(entity)
        if queue is None or dead.get(entity, 0):
            continue
        if (queue[1].replace("-", "_"), event) not in history.commits.handled:
            history.broke("1", f"{event} of {entity} was neither handled nor parked")


def _dead_letters(world: SimulatedWorld) -> dict[str, int]:
    """Return how many dead letters each queue has; note what is left in one."""
    cloud = world.host._cloud
    assert cloud is not None, "it is running"
    counts = cloud.broker.counts()
    for path, (held, dead) in counts.items():
        if held:
            world.history.broke("13", f"{held} messages are left in {path}")
        if dead:
            world.history.reached[f"dead letters in {path}"] += dead
    return {path: dead for path, (_, dead) in counts.items() if dead}


async def _count_what_was_parked(world: SimulatedWorld) -> None:
    """Count the reasons for which messages were parked; none of them breaks a promise."""
    for tenant in TENANTS:
        for name in world.services:
            path = f"/v1/platform/{name.replace('_', '-')}/parked"
            _, parked = await world.call("GET", path, tenant=tenant)
            for each in (parked or {}).get("value", []):
                world.history.reached[f"parked {each.get('code')}"] += 1
