"""A full target takes what restricts; what permits is refused by name, and nothing is dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from function_apps.deployments.errors import (
    BindingSuspended,
    EnvironmentNotUsable,
    FactsFull,
    IsolationBreached,
    QueueFull,
)
from function_apps.deployments.model.deployment_target import (
    DeploymentTarget,
    QueueEntry,
)
from function_apps.deployments.model.facts import (
    FACTS_MAX,
    SECRETS_MAX,
    BindingProjection,
    RecordedProof,
    SecretFact,
    record_proof,
    record_secret,
)
from function_apps.deployments.model.module_queue import ENTRIES_MAX
from function_apps.deployments.repository import TARGETS
from shared.contracts.deployments import DeploymentKind
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.isolation import IsolationLayer
from shared.contracts.tenants import ProofVerdict
from shared.contracts.values import ModuleId
from shared.kernel.ids import DeploymentId, OperationId, parse_id
from shared.persistence.store import Partition, Upsert
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.deployments.test_facts_for_the_next_unit import bound, proved, published
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual


def facts() -> Mapping[str, SecretFact]:
    return {
        f"rot-{n}": SecretFact("secret", 1, f"module-busy-{n}", "s", "v") for n in range(FACTS_MAX)
    }


def claims() -> tuple[QueueEntry, ...]:
    return tuple(
        QueueEntry(
            DeploymentId(f"dep-abcdefghijkl-{n:016d}"),
            OperationId(f"op-deployments-abcdefghijkl-{n:016d}"),
            (ModuleId(f"module-busy-{n}"),),
            DeploymentKind.RELEASE,
            key=str(n),
            content=str(n),
            token=n + 1,
            wait="environment-1",
        )
        for n in range(ENTRIES_MAX)
    )


async def full(world: Driven) -> DeploymentTarget:
    """Fill the target of the environment with all that it may hold of what permits."""
    target = replace(await world.target(), facts=facts(), queue=claims())
    partition = Partition(TENANT, parse_id(TEST, "env").environment)
    document = Upsert(TARGETS.document_id(TEST), TARGETS.encode(target))
    await world.app.service.store.batch(partition, [document])
    return target


def test_a_suspension_is_recorded_in_a_full_target() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await full(world)

        await bound(world, "Suspended")

        with pytest.raises(BindingSuspended):
            await world.deploy(await world.component("one"))

    run_virtual(main())


def test_a_breach_is_recorded_in_a_full_target() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Enforced")
        await full(world)

        await proved(world, "Breach", 1)

        with pytest.raises(IsolationBreached, match="network"):
            await world.deploy(await world.component("one"))

    run_virtual(main())


def test_a_breach_that_comes_before_its_binding_restricts_from_then_on() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        await proved(world, "Breach", 1)
        await bound(world, "Enforced")

        with pytest.raises(IsolationBreached, match="network"):
            await world.deploy(await world.component("one"))

    run_virtual(main())


Word = tuple[str, int]
BREACH: Word = ("Breach", 4)
BOUND_AGAIN: Sequence[Word] = [("Enforced", 1), ("Unbound", 2), ("Enforced", 3)]


@pytest.mark.parametrize("at", range(4))
def test_a_breach_restricts_a_binding_that_was_bound_again_whenever_it_came(at: int) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        for word, revision in [*BOUND_AGAIN[:at], BREACH, *BOUND_AGAIN[at:]]:
            tell = proved if word == "Breach" else bound
            await tell(world, word, revision)

        with pytest.raises(IsolationBreached, match="network"):
            await world.deploy(await world.component("one"))

    run_virtual(main())


@pytest.mark.parametrize(
    "proofs",
    list(permutations([("Pass", 1), ("Breach", 2), ("Indeterminate", 3)])),
    ids=lambda proofs: "-".join(word for word, _ in proofs).lower(),
)
def test_a_breach_restricts_until_a_newer_proof_passes_in_whatever_order_they_come(
    proofs: Sequence[Word],
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Enforced")
        for verdict, revision in proofs:
            await proved(world, verdict, revision)
        component = await world.component("one")

        with pytest.raises(IsolationBreached, match="network"):
            await world.deploy(component)
        await proved(world, "Pass", 4)

        assert (await world.deploy(component))["waitingFor"] is None

    run_virtual(main())


def test_a_breach_is_not_hidden_by_a_later_proof_that_an_earlier_version_recorded() -> None:
    stored = RecordedProof(3, ProofVerdict.INDETERMINATE)
    known = BindingProjection("tb-1", proofs={IsolationLayer.NETWORK: stored})

    late = RecordedProof(2, ProofVerdict.BREACH)
    binding = record_proof(known, "tb-1", IsolationLayer.NETWORK, late)

    assert binding is not None
    assert binding.breach == "network"


def test_a_binding_that_has_ended_restricts_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Enforced")
        await proved(world, "Breach", 1)
        await bound(world, "Unbound", 2)

        assert (await world.deploy(await world.component("one")))["waitingFor"] is None

    run_virtual(main())


def test_an_older_event_does_not_bring_back_a_binding_that_has_ended() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await bound(world, "Unbound", 3)

        await bound(world, "Enforced", 2)

        assert (await world.target()).bound is None

    run_virtual(main())


def test_a_decommissioning_is_recorded_in_a_full_target() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await full(world)

        await world.tell(EnvironmentStatus.DECOMMISSIONING)

        with pytest.raises(EnvironmentNotUsable):
            await world.deploy(await world.component("one"))

    run_virtual(main())


def test_a_fact_that_has_no_room_is_refused_by_name_so_that_its_message_is_parked() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        before = await full(world)

        with pytest.raises(FactsFull, match="400"):
            await published(world, version=1, revision=1)

        assert await world.target() == before

    run_virtual(main())


def test_a_secret_too_many_of_one_module_is_refused_by_name() -> None:
    names = {f"sec-{n}": SecretFact("secret", 1, SHOP, f"s{n}", "v") for n in range(SECRETS_MAX)}

    with pytest.raises(FactsFull, match="module-shop has 50 secrets"):
        record_secret(names, SecretFact("secret", 1, SHOP, "new", "v"))

    assert record_secret(names, SecretFact("secret", 1, CART, "new", "v"))


def test_a_deployment_that_has_no_room_in_the_queue_is_refused() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await full(world)

        with pytest.raises(QueueFull, match="200"):
            await world.deploy(await world.component("one", CART))

    run_virtual(main())


def test_a_rollback_has_room_in_a_full_queue() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        two = await world.release("two")
        await full(world)

        answer = await world.rollback(two.deployment_id)

        assert answer["kind"] == "rollback"

    run_virtual(main())
