"""A tag becomes a digest once, at the command; whatever goes on or back runs that digest."""

import asyncio
import json
from typing import Any

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.ports import DeploymentsRules
from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from function_apps.deployments.use_cases.promote import promote
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import EnvironmentId, Stage
from shared.images.image_rules import ImageRule, ImageRules, Signatures
from shared.images.port import Manifest
from shared.images.reference import ImageReference
from shared.kernel.errors import Unavailable
from tests.deployments.driven import SHOP, Driven, driven, environment
from tests.deployments.test_promotion import SOAK, STAGING, soaked
from tests.images.test_signed_images import CURVE
from tests.kit.memory_images import MemoryImages
from tests.kit.virtual_time import LoopClock, run_virtual

CLOCK = LoopClock()
TAGGED = "shop.azurecr.io/web:1.0"
ANYWHERE = ImageRules({"*": ImageRule("*", ["*.azurecr.io"])})

SIGNED = ImageRules(
    {"test": ImageRule("test", ["*.azurecr.io"], Signatures.REQUIRED, [CURVE.public_key()])}
)


def world_of_images(rules: ImageRules = ANYWHERE) -> tuple[Driven, MemoryImages]:
    images = MemoryImages()
    images.push(TAGGED, "one")
    return driven(rules=DeploymentsRules(images=rules), images=images), images


def component(image: str = TAGGED, **more: Any) -> dict[str, Any]:
    return {
        "moduleId": SHOP,
        "componentType": "microservice",
        "version": "1.0",
        "image": image,
        "port": 8080,
        **more,
    }


async def released(world: Driven, image: str = TAGGED, **more: Any) -> Any:
    answer = await world.deploy(component(image, **more))
    await world.settle()
    return await world.deployment(answer["deploymentId"])


def running(world: Driven) -> list[tuple[str | None, str]]:
    record = world.world.component(world.surface_component(SHOP))
    return [(each.spec.image, each.spec.artifact) for each in record.revisions.values()]


def test_the_unit_has_the_digest_and_the_reference_it_came_from() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()
        digest = images.push(TAGGED, "one")

        one = await released(world)

        assert one.status == "Completed"
        assert [(c.image, c.digest) for c in one.released_components] == [
            (f"{TAGGED}@{digest}", digest)
        ]
        assert running(world) == [("shop.azurecr.io/web", digest)]
        assert images.asked == [TAGGED]

    run_virtual(main())


def test_a_repeat_by_its_key_finds_the_recorded_digest_and_asks_nobody() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()
        command = await world.command(component())
        first = await deploy(command, world.bench.ctx(marker="idem/1", fingerprint="f"), world.app)
        images.push(TAGGED, "moved")
        images.away = Unavailable("away")

        again = await deploy(command, world.bench.ctx(marker="idem/1", fingerprint="f"), world.app)

        assert (again.value, again.is_repeat) == (first.value, True)
        assert images.asked == [TAGGED]

    run_virtual(main())


def test_a_tag_that_has_not_moved_is_a_repeat_and_one_that_has_is_a_release() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()
        one = await released(world)
        assert (await world.deploy(component()))["deploymentId"] == one.deployment_id
        moved = images.push(TAGGED, "moved")

        two = await released(world)

        assert two.deployment_id != one.deployment_id
        assert two.released_components[0].digest == moved

    run_virtual(main())


def test_a_rollback_runs_the_recorded_digest_while_the_registry_is_away() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()
        one = await released(world)
        images.push(TAGGED, "moved")
        two = await released(world)
        asked = len(images.asked)
        images.away = Unavailable("away")

        answer = await world.rollback(two.deployment_id)
        await world.settle()

        back = await world.deployment(answer["deploymentId"])
        assert back.status == "Completed"
        assert running(world) == [("shop.azurecr.io/web", one.released_components[0].digest)]
        assert len(images.asked) == asked

    run_virtual(main())


class SlowImages(MemoryImages):
    """Each question about a signature takes 8 s; `took_s` is what was waited in all."""

    async def manifest(self, reference: ImageReference) -> Manifest:
        if reference.tag is None or reference.tag.endswith(".sig"):
            await CLOCK.sleep(8)
        return await super().manifest(reference)

    async def blob(self, reference: ImageReference, digest: str, *, at_most: int) -> bytes:
        await CLOCK.sleep(8)
        return await super().blob(reference, digest, at_most=at_most)


def test_a_command_waits_so_long_for_all_that_it_asks_of_registries_and_no_longer() -> None:
    async def main() -> None:
        images = SlowImages()
        digest = images.push(TAGGED, "one")
        layer = {
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "annotations": {"dev.cosignproject.cosign/signature": "bm90IG91cnM="},
        }
        blobs = [images.push_blob(f"{n}".encode()) for n in range(10)]
        manifest = {"layers": [{**layer, "digest": each} for each in blobs]}
        of_signatures = f"shop.azurecr.io/web:{digest.replace(':', '-')}.sig"
        images.push_manifest(of_signatures, json.dumps(manifest).encode())
        world = driven(rules=DeploymentsRules(images=SIGNED), images=images)
        await world.tell()
        command = await world.command(component())
        began_s = asyncio.get_running_loop().time()

        with pytest.raises(Unavailable, match=r"shop\.azurecr\.io did not say within 20 s"):
            await deploy(command, world.ctx, world.app)

        assert asyncio.get_running_loop().time() - began_s == 20

    run_virtual(main())


async def promoted(world: Driven) -> Any:
    """Promote what is in force in test to staging; return the deployment."""
    await world.tell()
    one = await released(world)
    await world.tell(stage=Stage.STAGING, name="staging")
    await world.app.service.clock.sleep(SOAK.total_seconds())
    command = PromoteDeployment(
        deployment_id=one.deployment_id,
        to_environment_id=STAGING,
        evidence=await soaked(world, one.deployment_id),
    )
    images: Any = world.app.images
    images.push(TAGGED, "moved")
    outcome = await promote(command, world.ctx, world.app)
    return one, await world.deployment(outcome.value["deploymentId"])


def test_a_promotion_takes_the_digest_and_not_what_the_tag_names_by_now() -> None:
    async def main() -> None:
        world, images = world_of_images()

        one, promotion = await promoted(world)

        pinned = one.released_components[0].image
        assert [each.image for each in promotion.components] == [pinned]
        assert images.asked == [TAGGED, pinned]

    run_virtual(main())


def test_a_promotion_is_judged_by_the_rules_of_where_it_goes() -> None:
    async def main() -> None:
        world, _ = world_of_images(
            ImageRules({"*": ImageRule("*", ["*.azurecr.io"]), "staging": ImageRule("staging")})
        )

        with pytest.raises(CannotBePlanned, match="not taken here") as refused:
            await promoted(world)

        assert [each.code for each in refused.value.details] == ["ImageNotAllowed"]

    run_virtual(main())


@pytest.mark.parametrize(
    ("rules", "image", "code", "says"),
    [
        pytest.param(
            ImageRules(), TAGGED, "ImageNotAllowed", "RUNTIME_IMAGE_RULES", id="no-rule"
        ),
        pytest.param(
            ANYWHERE, "ghcr.io/web:1", "ImageNotAllowed", "ghcr.io/web", id="another-registry"
        ),
        pytest.param(
            ANYWHERE,
            "shop.azurecr.io/web:9",
            "ImageMissing",
            "shop.azurecr.io/web:9",
            id="an-unknown-tag",
        ),
        pytest.param(
            SIGNED,
            TAGGED,
            "SignatureMissing",
            "is not signed",
            id="no-signature",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_or_is_not_there_is_a_refusal_of_the_plan(
    rules: ImageRules, image: str, code: str, says: str
) -> None:
    async def main() -> None:
        world, _ = world_of_images(rules)
        await world.tell()
        before = await world.target()
        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(component(image))

        assert [(each.code, each.target) for each in refused.value.details] == [
            (code, "/components/0/image")
        ]
        assert says in refused.value.message
        assert refused.value.http_status == 422
        assert await world.target() == before
        command = await world.command(component(image), dryRun=True)
        planned = await plan_deployment(command, world.ctx, world.app)
        assert [each.code for each in planned.refusals] == [code]

    run_virtual(main())


def test_a_registry_that_is_away_leaves_nothing_behind() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()
        images.away = Unavailable("away", retry_after_s=17)
        before = await world.target()

        with pytest.raises(Unavailable) as away:
            await world.deploy(component())

        assert away.value.retry_after_s == 17
        assert await world.target() == before
        assert world.bench.sent.types() == []
        images.away = None
        assert (await released(world)).status == "Completed"

    run_virtual(main())


def test_no_registry_is_asked_about_what_cannot_be() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()
        with pytest.raises(CannotBePlanned):
            await world.deploy(component(replicas=0))
        with pytest.raises(CannotBePlanned):
            await world.deploy(component("ghcr.io/web:1"))

        assert images.asked == []

    run_virtual(main())


def test_where_the_stage_decides_an_unknown_environment_is_refused() -> None:
    async def main() -> None:
        rules = ImageRules({"prod": ImageRule("prod", ["*.azurecr.io"])})
        world, images = world_of_images(rules)
        unknown = EnvironmentId(environment("later"))

        with pytest.raises(CannotBePlanned) as refused:
            await world.deploy(component(), environmentId=unknown)

        assert [each.code for each in refused.value.details] == ["EnvironmentUnknown"]
        assert images.asked == []

    run_virtual(main())


def test_one_image_of_many_components_is_asked_for_once() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()

        await world.deploy(component(), component(moduleId="module-cart"))

        assert images.asked == [TAGGED]

    run_virtual(main())


def test_archives_and_images_go_out_in_one_unit() -> None:
    async def main() -> None:
        world, images = world_of_images()
        await world.tell()
        archive = await world.component("one", "module-cart")

        answer = await world.deploy(component(), archive)
        await world.settle()

        whole = await world.deployment(answer["deploymentId"])
        assert whole.status == "Completed"
        assert {c.module_id: c.image is None for c in whole.released_components} == {
            SHOP: False,
            "module-cart": True,
        }
        assert images.asked == [TAGGED]

    run_virtual(main())
