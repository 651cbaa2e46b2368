"""Bugs in services: tenants, secrets, rollouts, findings, and what is read of surfaces."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from function_apps.deployments.activities import (
    apply_revision,
    complete_release,
    restore_previous,
)
from function_apps.deployments.model import module_queue
from function_apps.drift.model import service_scan
from function_apps.drift.use_cases import judge_service
from function_apps.secret_bindings.activities import (
    change_over,
    create_version,
    revoke_versions,
    vault_versions,
)
from function_apps.secret_bindings.model import rotation
from function_apps.tenants.use_cases import suspension
from shared.contracts.tenants import TenantBindingStatus
from shared.kernel.observation import Absent
from shared.messaging.dispatcher import Dispatcher
from tests.kit import memory_surface
from tests.simulator.bugs_of_messages import Change, around, nothing
from tests.simulator.operators import TENANTS
from tests.simulator.simulated_world import RecordedStore


def no_tenant_filter() -> Sequence[Change]:
    def attribute(inner: Any, store: Any, name: str) -> Any:
        found = inner(store, name)
        if name != "query":
            return found

        async def query(within: Any, asked: Any) -> Any:
            pages = [await found(replace(within, tenant=each), asked) for each in TENANTS]
            return replace(pages[0], documents=[d for page in pages for d in page.documents])

        return query

    return [around(RecordedStore, "__getattr__", attribute)]


def partition_of_another() -> Sequence[Change]:
    def attribute(inner: Any, store: Any, name: str) -> Any:
        found = inner(store, name)
        if name != "read_many":
            return found

        async def read_many(partition: Any, ids: Any) -> Any:
            known = await found(partition, ids)
            others = [each for each in TENANTS if each != partition.tenant]
            return known or await found(replace(partition, tenant=others[0]), ids)

        return read_many

    return [around(RecordedStore, "__getattr__", attribute)]


def value_in_the_log() -> Sequence[Change]:
    async def made(inner: Any, *arguments: Any) -> Any:
        value = await inner(*arguments)
        logging.getLogger(__name__).warning("a new value: %s", value.reveal())
        return value

    return [around(vault_versions, "_new_value", made)]


def old_versions_end_at_once() -> Sequence[Change]:
    async def version(inner: Any, state: Any, versions: Any, app: Any) -> Any:
        made = await inner(state, versions, app)
        vault = app.vaults.at(state.rotation.vault_uri)
        for each in versions:
            if each.enabled and each.version != made.version:
                await vault.set_enabled(state.rotation.secret_name, each.version, enabled=False)
        return made

    return [around(create_version, "_version", version)]


def revoke_early() -> Sequence[Change]:
    def nobody(*_arguments: Any) -> Sequence[Any]:
        return ()

    return [
        (rotation, "pending", nobody),
        (revoke_versions, "pending", nobody),
        (change_over, "pending", nobody),
    ]


def no_readiness() -> Sequence[Change]:
    async def at_once(*_arguments: Any, **_named: Any) -> bool:
        return True

    def unchecked(_component: Any, weights: Any, _live: Any) -> Any:
        return dict(weights)

    return [
        (apply_revision, "poll_until", at_once),
        (memory_surface, "check_weights", unchecked),
    ]


def all_are_first_in_the_queue() -> Sequence[Change]:
    def admit(_inner: Any, target: Any) -> Any:
        waiting = [each for each in target.queue if not each.token]
        tokens = {each.deployment: target.fence + n + 1 for n, each in enumerate(waiting)}
        queue = tuple(
            replace(each, token=tokens.get(each.deployment, each.token)) for each in target.queue
        )
        admitted = tuple(each for each in queue if each.deployment in tokens)
        return replace(target, fence=target.fence + len(waiting), queue=queue), admitted

    return [around(module_queue, "admit_ready", admit)]


def queues_are_never_left() -> Sequence[Change]:
    def dequeue(_inner: Any, target: Any, _deployment: str) -> Any:
        return target, ()

    return [around(module_queue, "dequeue", dequeue)]


def fences_are_forgotten() -> Sequence[Change]:
    def tokens(_subject: str, fence: Any, highest: int) -> int:
        highest_seen: int = max(fence.token, highest)
        return highest_seen

    def admit(inner: Any, target: Any) -> Any:
        after, admitted = inner(target)
        older = {each.deployment: max(1, each.token - 3) for each in admitted}
        queue = tuple(
            replace(each, token=older.get(each.deployment, each.token)) for each in after.queue
        )
        return replace(after, queue=queue), tuple(
            each for each in queue if each.deployment in older
        )

    return [
        (memory_surface, "check_fence", tokens),
        around(module_queue, "admit_ready", admit),
    ]


def own_work_is_reported() -> Sequence[Change]:
    return [(judge_service, "_own_work", lambda *_arguments: "")]


def findings_have_ids_of_their_own() -> Sequence[Change]:
    def identity(inner: Any, key: Any, module: Any, plane: str, path: str) -> Any:
        _findings_made.append(1)
        return inner(key, module, plane, f"{path}{len(_findings_made)}")

    _findings_made: list[int] = []
    return [around(service_scan, "drift_finding_id", identity)]


def unread_is_absent() -> Sequence[Change]:
    return [(memory_surface, "Unknown", lambda _reason: Absent())]


def resumed_is_bound() -> Sequence[Change]:
    def resumed(inner: Any, *arguments: Any, **named: Any) -> Any:
        return replace(inner(*arguments, **named), status=TenantBindingStatus.BOUND)

    return [around(suspension, "resume", resumed)]


def revisions_go_down() -> Sequence[Change]:
    def suspended(inner: Any, known: Any, *arguments: Any) -> Any:
        return replace(inner(known, *arguments), revision=max(1, known.revision - 1))

    return [around(suspension, "suspend", suspended)]


def handler_has_a_defect() -> Sequence[Change]:
    async def handle(inner: Any, dispatcher: Any, envelope: Any, ctx: Any) -> None:
        if envelope.event_type == "RuntimeDeploymentCompleted":
            raise KeyError("components")
        await inner(dispatcher, envelope, ctx)

    return [around(Dispatcher, "_handle", handle)]


def handler_does_nothing() -> Sequence[Change]:
    async def handle(inner: Any, dispatcher: Any, envelope: Any, ctx: Any) -> None:
        if envelope.event_type != "CompareRelease":
            await inner(dispatcher, envelope, ctx)

    return [around(Dispatcher, "_handle", handle)]


def previous_is_left() -> Sequence[Change]:
    return [(complete_release, "remove_all_but", nothing)]


def rejected_is_left() -> Sequence[Change]:
    return [(restore_previous, "remove_all_but", nothing)]
