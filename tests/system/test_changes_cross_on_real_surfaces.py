"""Release, roll-out, rotation and rollback of one module cross on both real surfaces.

Whenever it is quiet, all instances have one release: each is asked for its program, the
configuration that it reads and the values of its secrets, and the platform's proof says the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from local_agent.capabilities import capabilities
from local_cloud.vault.vault import Vaults
from local_cluster.cluster_folder import Form
from shared.surfaces.capabilities import Feature
from tests.deployments.crossing_cases import (
    SEED,
    Case,
    cases_of_a_run,
    cross,
    go_forward_and_back,
    some_cases,
)
from tests.deployments.places import Place
from tests.kit.kubernetes_cluster import own_cluster
from tests.kit.pod_cluster import PodCluster, with_pods
from tests.kit.secrets_store_driver import secrets_store_driver, vaults_of
from tests.system.real_places import pod_place, process_place

pytestmark = pytest.mark.real
HAS_SECRETS: Final = pytest.mark.skipif(
    not capabilities().supports(Feature.SECRET_REFERENCES),
    reason="this machine gives instances no memory of their own",
)


def try_case(case: Case, opened: AbstractAsyncContextManager[Place]) -> None:
    with case.named(SEED):
        in_place(opened, partial(cross, case=case, seed=SEED, strategy="at-once"))


def in_place(
    opened: AbstractAsyncContextManager[Place], happens: Callable[[Place], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with opened as place:
            await happens(place)

    asyncio.run(main())


@HAS_SECRETS
def test_on_processes_what_crosses_in_some_order_ends_whole(tmp_path: Path) -> None:
    try_case(some_cases(SEED)[0], process_place(tmp_path))


@HAS_SECRETS
@pytest.mark.long(minutes=2)
def test_on_processes_what_crosses_in_many_orders_ends_whole(tmp_path: Path) -> None:
    for number, case in enumerate(cases_of_a_run(2)):
        try_case(case, process_place(tmp_path / str(number)))


@HAS_SECRETS
@pytest.mark.long(minutes=1)
def test_on_processes_a_release_goes_forward_and_back_with_configuration_and_secrets(
    tmp_path: Path,
) -> None:
    in_place(process_place(tmp_path), partial(go_forward_and_back, strategy="at-once"))


@pytest.fixture(scope="module")
def vaults(tmp_path_factory: pytest.TempPathFactory) -> Vaults:
    return vaults_of(tmp_path_factory.mktemp("vaults"))


@pytest.fixture(scope="module")
def pods(vaults: Vaults, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodCluster]:
    """A cluster of this module's own: elsewhere nodes have no driver for secrets."""
    folder = tmp_path_factory.mktemp("own")
    with own_cluster(folder) as cluster:
        if cluster.record.form is not Form.ROOT:
            pytest.skip("this machine's user is not root, and reaches no node")
        pods = with_pods(cluster, folder)
        with secrets_store_driver(cluster, vaults):
            yield pods


@pytest.mark.long(minutes=3)
def test_on_a_cluster_what_crosses_in_many_orders_ends_whole(
    pods: PodCluster, vaults: Vaults, tmp_path: Path
) -> None:
    for number, case in enumerate(cases_of_a_run(1)):
        try_case(case, pod_place(pods, vaults, tmp_path / str(number)))


@pytest.mark.long(minutes=1)
def test_on_a_cluster_a_release_goes_forward_and_back_with_configuration_and_secrets(
    pods: PodCluster, vaults: Vaults, tmp_path: Path
) -> None:
    in_place(pod_place(pods, vaults, tmp_path), partial(go_forward_and_back, strategy="at-once"))
