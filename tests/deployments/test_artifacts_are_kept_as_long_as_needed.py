"""Artifacts are kept while a deployment may need them, and go when none does; doubt keeps all."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function_apps.deployments.errors import ArtifactMissing, ArtifactRemoved
from function_apps.deployments.model.artifact_retention import (
    KEPT_FOR,
    RELEASES_KEPT,
    ArtifactUse,
    kept_uses,
    needed,
    removal,
)
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases import remove_artifacts
from function_apps.deployments.use_cases.remove_artifacts import EVERY, remove_unneeded_artifacts
from function_apps.deployments.use_cases.upload_artifact import find_artifact, upload_artifact
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.values import DeploymentId, EnvironmentId, ModuleId, TenantId
from shared.kernel.context import Scope
from shared.persistence.store import Create, Replace, partition_of
from shared.surfaces.spec import artifact_blob
from tests.deployments.driven import SHOP, TEST, Driven, archive, driven
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

OTHER = Scope(TenantId("globex"), "user:bob")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LATER = KEPT_FOR + timedelta(hours=1)


async def after(world: Driven, time: timedelta) -> None:
    """Let *time* pass, then have the timer run twice, an hour apart."""
    clock = world.app.service.clock
    await clock.sleep(time.total_seconds())
    await remove_unneeded_artifacts(world.app)
    await clock.sleep(EVERY.total_seconds())
    await remove_unneeded_artifacts(world.app)


async def kept(world: Driven, digest: str) -> bool:
    """Return whether archive and receipt of *digest* are there; both are, or none."""
    archive_size = await world.app.blobs.size(artifact_blob(digest))
    receipt = True
    try:
        await find_artifact(digest, world.ctx, world.app)
    except ArtifactMissing:
        receipt = False
    assert receipt == (archive_size is not None)
    return receipt


def test_what_is_in_force_and_what_it_goes_back_to_stay_for_ever() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        second = await world.release("two")
        unused = await world.upload("unused")

        await after(world, 20 * LATER)

        assert not await kept(world, unused)
        back = await world.rollback(second.deployment_id)
        await world.settle()
        assert await world.status(back["deploymentId"]) == "Completed"

    run_virtual(main())


@pytest.mark.long
def test_the_ten_newest_releases_can_be_gone_back_to_and_an_older_one_says_what_to_do() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        count = RELEASES_KEPT + 3
        releases = [await world.release(f"{number}") for number in range(count)]

        await after(world, LATER)

        stays = [await kept(world, r.released_components[0].digest) for r in releases]
        assert stays == [False, False, *[True] * (RELEASES_KEPT + 1)]
        oldest, newest = releases[-RELEASES_KEPT], releases[-1]
        answer = await world.rollback(newest.deployment_id, toDeploymentId=oldest.deployment_id)
        await world.settle()
        assert await world.status(answer["deploymentId"]) == "Completed"
        undone, first = answer["deploymentId"], releases[0]
        with pytest.raises(ArtifactRemoved, match="upload the same archive again") as refused:
            await world.rollback(undone, toDeploymentId=first.deployment_id)
        (detail,) = refused.value.details
        assert detail.received == first.released_components[0].digest
        assert refused.value.target == detail.target == "/toDeploymentId"
        assert (await world.target()).queue == ()
        assert await world.upload("0") == detail.received
        await world.rollback(undone, toDeploymentId=first.deployment_id)
        await world.settle()
        assert (await world.target()).module(SHOP).by != undone

    run_virtual(main())


def test_what_is_new_or_was_uploaded_again_stays() -> None:
    async def main() -> None:
        world = driven()
        new, again = await world.upload("new"), await world.upload("again")

        await after(world, KEPT_FOR - timedelta(hours=2))
        assert await kept(world, new)
        await world.upload("again")
        await after(world, timedelta(days=1))

        assert not await kept(world, new)
        assert await kept(world, again)

    run_virtual(main())


def test_bytes_that_another_tenant_needs_stay_and_only_the_receipt_goes() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        digest = one.released_components[0].digest
        await upload_artifact(archive("one"), world.bench.ctx(OTHER), world.app)

        await after(world, LATER)

        assert await kept(world, digest)
        with pytest.raises(ArtifactMissing):
            await find_artifact(digest, world.bench.ctx(OTHER), world.app)
        artifact, is_known = await upload_artifact(
            archive("one"), world.bench.ctx(OTHER), world.app
        )
        assert (artifact.digest, is_known) == (digest, False)

    run_virtual(main())


def test_what_ran_in_an_environment_that_is_gone_goes() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        await world.tell(EnvironmentStatus.DECOMMISSIONED)
        await world.settle()

        await after(world, LATER)

        assert not await kept(world, one.released_components[0].digest)

    run_virtual(main())


async def unreadable_deployment(world: Driven) -> None:
    body = {"type": "deployment", "schema": 99}
    await world.app.service.store.batch(partition_of("globex", TEST), [Create("dep-x", body)])


async def unreadable_target(world: Driven) -> None:
    store, at = world.app.service.store, partition_of(TENANT, TEST)
    document = await store.read(at, f"target/{TEST}")
    assert document is not None
    body = {**document.body, "modules": "none"}
    await store.batch(at, [Replace(document.id, body, document.etag)])


@pytest.mark.parametrize("damage", [unreadable_deployment, unreadable_target])
def test_nothing_goes_while_one_document_of_anybody_cannot_be_read(damage: Any) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        unused = await world.upload("unused")
        await damage(world)

        await after(world, LATER)

        assert await kept(world, unused)

    run_virtual(main())


def test_a_deployment_that_came_after_the_timer_had_read_keeps_its_artifact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        component = await world.component("one")
        await world.app.service.clock.sleep(LATER.total_seconds())
        answer: list[Any] = []
        read = remove_artifacts._needed

        async def read_and_deploy(app: DeploymentsApp, now: datetime) -> Any:
            found = await read(app, now)
            if not answer:
                answer.append(await world.deploy(component))
                await world.settle()
            return found

        monkeypatch.setattr(remove_artifacts, "_needed", read_and_deploy)

        await after(world, timedelta())

        assert await world.status(answer[0]["deploymentId"]) == "Completed"
        assert await kept(world, component["artifactDigest"])

    run_virtual(main())


def test_a_needed_artifact_without_a_receipt_gets_one() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        one = await world.release("one")
        digest = one.released_components[0].digest
        await world.app.blobs.delete(f"receipts/{TENANT}/{artifact_blob(digest)}")

        await remove_unneeded_artifacts(world.app)

        assert await kept(world, digest)

    run_virtual(main())


def test_many_documents_are_read_page_by_page() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await world.release("first")
        copies = [first.deployment_id[:-4] + f"{number:04d}" for number in range(250)]
        store, at = world.app.service.store, partition_of(TENANT, first.deployment_id)
        document = await store.read(at, first.deployment_id)
        assert document is not None
        for name in copies:
            await store.batch(at, [Create(name, {**document.body, "deployment_id": name})])
        last = await world.release("last")

        await after(world, LATER)

        assert await kept(world, last.released_components[0].digest)

    run_virtual(main())


@dataclass
class History:
    """A module's releases, rollbacks and failures, as deployments record them."""

    uses: list[ArtifactUse] = field(default_factory=list)
    now: datetime = EPOCH
    force: ArtifactUse | None = None
    before: dict[DeploymentId, frozenset[str]] = field(default_factory=dict)
    place: tuple[TenantId, EnvironmentId] = (TenantId("acme"), EnvironmentId("env-a"))

    def record(self, own: str, *, is_release: bool, completes: bool) -> None:
        number = len(self.uses)
        previous = {self._own(self.force)} if self.force else set()
        use = ArtifactUse(
            DeploymentId(f"dep-{number:05d}"),
            self.place,
            (ModuleId(SHOP),),
            is_release and completes,
            self.now,
            self.now,
            frozenset({own, *previous}),
        )
        self.before[use.deployment_id] = frozenset(previous)
        self.uses.append(use)
        if completes:
            self.force = use

    def _own(self, use: ArtifactUse) -> str:
        rest = use.digests - self.before[use.deployment_id]
        return min(rest or use.digests)

    def step(self, kind: str, value: int) -> None:
        self.now += timedelta(hours=1)
        match kind:
            case "release":
                self.record(f"d{value}", is_release=True, completes=True)
            case "fail":
                self.record(f"d{value}", is_release=True, completes=False)
            case "wait":
                self.now += timedelta(days=value)
            case "rollback" if self.force and (back := self.before[self.force.deployment_id]):
                self.record(min(back), is_release=False, completes=True)
            case _:
                pass

    def needed(self) -> set[str]:
        in_force = {self.force.deployment_id} if self.force else set()
        found = needed(kept_uses(self.uses, {self.place: in_force}, self.now))
        assert {tenant for tenant, _ in found} <= {"acme"}
        return {digest for _, digest in found}


KINDS = st.sampled_from(["release", "release", "fail", "rollback", "wait"])


@given(st.lists(st.tuples(KINDS, st.integers(0, 30)), max_size=60))
def test_in_any_history_what_may_come_back_is_needed(steps: list[tuple[str, int]]) -> None:
    history = History()
    for kind, value in steps:
        history.step(kind, value)

        found = history.needed()

        if history.force:
            assert history.force.digests <= found
        releases = [use for use in history.uses if use.is_release]
        for use in releases[-RELEASES_KEPT:]:
            assert use.digests <= found
        lately = [use for use in history.uses if history.now - use.created_at < KEPT_FOR]
        for use in lately:
            assert use.digests <= found
        last = history.uses[-1:]
        assert all(use.digests <= found for use in last)
        in_force = [history.force] if history.force else []
        stays = {*releases[-RELEASES_KEPT:], *lately, *last, *in_force}
        assert found == {digest for use in stays for digest in use.digests}


OWNED = st.tuples(st.sampled_from(["acme", "globex"]), st.sampled_from(["d1", "d2", "d3"]))
AGES = st.timedeltas(timedelta(), 2 * KEPT_FOR)


@given(
    st.frozensets(OWNED),
    st.dictionaries(OWNED, AGES),
    st.dictionaries(st.sampled_from("123"), AGES),
)
def test_nothing_needed_new_or_owned_is_removed(
    needed_now: Any, receipts: Any, archives: Any
) -> None:
    stored = {owned: EPOCH - age for owned, age in receipts.items()}
    bytes_of = {f"d{number}": EPOCH - age for number, age in archives.items()}

    found = removal(needed_now, stored, bytes_of, EPOCH)

    assert not found.receipts & needed_now
    assert all(receipts[owned] >= KEPT_FOR for owned in found.receipts)
    assert all(archives[digest[1]] >= KEPT_FOR for digest in found.archives)
    owners = {digest for _, digest in needed_now | stored.keys()}
    assert not found.archives & owners
    assert all(digest in bytes_of for _, digest in found.absent)
