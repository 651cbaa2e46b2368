"""The platform writes in namespaces that it made, whatever name and labels another one has."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest

from shared.kernel.errors import Unavailable
from shared.kernel.ids import TenantId
from shared.kernel.observation import Absent, Present
from shared.surfaces.aks import surface
from shared.surfaces.aks.boundary_objects import wanted
from shared.surfaces.aks.cluster_api import Object
from shared.surfaces.aks.kinds import CONFIG_MAPS, NAMESPACES, PODS
from shared.surfaces.aks.names import MARK, Installation, digest_of
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.boundaries import BoundarySpec, Quota
from shared.surfaces.errors import NamespaceTaken
from shared.surfaces.spec import SurfaceComponent
from tests.aks.test_an_overtaken_writer_changes_nothing import add_ready_pod, nobody, revision
from tests.kit.memory_api_server import MemoryApiServer
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, fence

GLOBEX: Final = TenantId("globex")
OURS: Final = Installation().namespace(ENVIRONMENT, SITE.tenant)
THEIRS: Final = Installation().namespace(ENVIRONMENT, GLOBEX)
Scenario = Callable[[MemoryApiServer, AksSurface], Awaitable[None]]


@pytest.fixture
def on_cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], None]:
    """Runs a scenario on a cluster without a gateway, in which nothing is yet."""

    async def main(scenario: Scenario) -> None:
        server = MemoryApiServer()
        monkeypatch.setattr(surface, "ClusterApi", lambda _: server)
        await scenario(server, AksSurface(nobody, LoopClock()))

    return lambda scenario: run_virtual(main(scenario))


async def make_again(server: MemoryApiServer, name: str, tenant: TenantId) -> Object:
    """Let somebody delete the namespace *name*, if it is there, and make it as we would."""
    before = server.objects.pop((NAMESPACES, None, name), None)
    manifest = wanted(BoundarySpec(ENVIRONMENT, tenant), Installation(), ())[NAMESPACES]
    assert manifest is not None
    if before is not None:
        manifest["metadata"]["annotations"] = before["metadata"]["annotations"]
    return await server.create(NAMESPACES, manifest)


def written_in(server: MemoryApiServer, namespace: str) -> list[str]:
    return sorted(kind.name for kind, place, _ in server.objects if place == namespace)


def test_a_site_is_refused_where_its_namespace_is_taken(
    on_cluster: Callable[[Scenario], None],
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        made = await make_again(server, OURS, SITE.tenant)

        with pytest.raises(NamespaceTaken, match=rf"{OURS} that is there \(uid .*delete it"):
            await opened.ensure_site(SITE, fence(1))

        assert written_in(server, OURS) == []
        assert server.objects[NAMESPACES, None, OURS] == made
        del server.objects[NAMESPACES, None, OURS]
        await opened.ensure_site(SITE, fence(1))

    on_cluster(scenario)


def test_a_site_from_before_uids_were_recorded_is_not_said_to_be_deleted(
    on_cluster: Callable[[Scenario], None],
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        made = await make_again(server, OURS, SITE.tenant)
        with pytest.raises(NamespaceTaken):
            await opened.ensure_site(SITE, fence(1))

        with pytest.raises(NamespaceTaken, match=rf"{OURS} that is there \(uid .*delete it"):
            await opened.delete_site(ENVIRONMENT, fence(2))

        assert server.objects[NAMESPACES, None, OURS] == made
        del server.objects[NAMESPACES, None, OURS]
        await opened.delete_site(ENVIRONMENT, fence(2))

    on_cluster(scenario)


def test_a_mark_without_a_record_is_none(on_cluster: Callable[[Scenario], None]) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        made = await make_again(server, THEIRS, GLOBEX)
        made["metadata"]["annotations"] = {MARK: digest_of("", THEIRS, "", length=40)}
        server.objects[NAMESPACES, None, THEIRS] = made

        await opened.delete_boundary(ENVIRONMENT, GLOBEX, fence(1))

        assert (NAMESPACES, None, THEIRS) in server.objects

    on_cluster(scenario)


def test_a_boundary_is_refused_where_its_namespace_is_taken(
    on_cluster: Callable[[Scenario], None],
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.ensure_site(SITE, fence(1))
        await make_again(server, THEIRS, GLOBEX)

        with pytest.raises(NamespaceTaken):
            await opened.ensure_boundary(BoundarySpec(ENVIRONMENT, GLOBEX), fence(1))

        assert written_in(server, THEIRS) == []
        assert isinstance(await opened.read_boundary(ENVIRONMENT, GLOBEX), Absent)

    on_cluster(scenario)


WRITES: Final[Mapping[str, Callable[[AksSurface], Awaitable[None]]]] = {
    "site": lambda opened: opened.ensure_site(SITE, fence(1)),
    "apply": lambda opened: opened.apply(revision(2), fence(1)),
    "weights": lambda opened: opened.set_weights(SHOP, {1: 100}, fence(1)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_namespace_that_was_made_again_gets_nothing(
    on_cluster: Callable[[Scenario], None], write: Callable[[AksSurface], Awaitable[None]]
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.ensure_site(SITE, fence(1))
        await opened.apply(revision(1), fence(1))
        add_ready_pod(server, 1)
        await make_again(server, OURS, SITE.tenant)
        server.writes.clear()

        with pytest.raises(NamespaceTaken):
            await write(opened)

        assert server.writes == []
        site = await opened.read_site(ENVIRONMENT)
        assert isinstance(site, Present)
        assert not site.value.is_ready

    on_cluster(scenario)


def test_a_namespace_whose_writer_was_killed_is_taken_on(
    on_cluster: Callable[[Scenario], None],
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        async def killed() -> None:
            raise KeyboardInterrupt

        async def kill_at_the_record() -> None:
            server.before("put", CONFIG_MAPS, killed)

        server.before("put", NAMESPACES, kill_at_the_record)
        with pytest.raises(KeyboardInterrupt):
            await opened.ensure_site(SITE, fence(1))
        made = server.objects[NAMESPACES, None, OURS]

        await opened.ensure_site(SITE, fence(2))
        await opened.apply(revision(1), fence(2))

        assert server.objects[NAMESPACES, None, OURS]["metadata"]["uid"] == made["metadata"]["uid"]

    on_cluster(scenario)


def test_a_mark_is_for_one_namespace(on_cluster: Callable[[Scenario], None]) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        marks = set()
        for token in (1, 3):
            await opened.ensure_site(SITE, fence(token))
            marks.add(server.objects[NAMESPACES, None, OURS]["metadata"]["annotations"][MARK])
            await opened.delete_site(ENVIRONMENT, fence(token + 1))
            assert (NAMESPACES, None, OURS) not in server.objects

        assert len(marks) == 2

    on_cluster(scenario)


def test_a_boundary_that_is_late_is_no_fault_of_the_traffic(
    on_cluster: Callable[[Scenario], None],
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        del server
        await opened.ensure_site(SITE, fence(1))

        with pytest.raises(Unavailable, match="is not in force yet") as late:
            await opened.ensure_boundary(
                BoundarySpec(ENVIRONMENT, GLOBEX, quota=Quota(cpu=2)), fence(1)
            )

        assert late.value.code == "Unavailable"

    on_cluster(scenario)


def test_after_a_long_write_the_cluster_is_read_and_not_a_watch_that_is_behind(
    on_cluster: Callable[[Scenario], None],
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        assert not hasattr(server, "watch")
        await opened.ensure_site(SITE, fence(1))
        with pytest.raises(Unavailable, match="is not in force yet"):
            await opened.ensure_boundary(
                BoundarySpec(ENVIRONMENT, GLOBEX, quota=Quota(cpu=2)), fence(1)
            )

        assert isinstance(await opened.inventory(ENVIRONMENT), Present)

    on_cluster(scenario)


def test_a_deletion_leaves_what_somebody_else_made(
    on_cluster: Callable[[Scenario], None],
) -> None:
    async def scenario(server: MemoryApiServer, opened: AksSurface) -> None:
        await opened.ensure_site(SITE, fence(1))
        await opened.ensure_boundary(BoundarySpec(ENVIRONMENT, GLOBEX), fence(1))
        await make_again(server, OURS, SITE.tenant)
        await make_again(server, THEIRS, GLOBEX)
        component: SurfaceComponent = replace(SHOP, tenant=GLOBEX)
        labels = Installation().of_revision(component, 1)
        metadata = {"name": "p", "namespace": THEIRS, "labels": labels}
        server.objects[PODS, THEIRS, "p"] = {"metadata": metadata}

        await opened.delete_boundary(ENVIRONMENT, GLOBEX, fence(2))
        await opened.delete_site(ENVIRONMENT, fence(2))

        assert {(NAMESPACES, None, OURS), (NAMESPACES, None, THEIRS)} <= server.objects.keys()

    on_cluster(scenario)
