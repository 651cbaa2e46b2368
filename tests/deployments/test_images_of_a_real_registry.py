"""A release has the digest that a real registry has for its tag, and nothing while that is away."""

from pathlib import Path

import pytest

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.ports import DeploymentsRules
from shared.images.image_rules import ImageRule, ImageRules
from shared.images.layout import Layout
from shared.images.push import push_image
from shared.images.reference import parse_reference
from shared.kernel.errors import Unavailable
from tests.deployments.driven import driven
from tests.deployments.test_images_are_pinned_once import component
from tests.images.built import image, program
from tests.images.registries import client
from tests.kit.real_registry import crane_says, registry_on_loopback

HERE = DeploymentsRules(images=ImageRules({"*": ImageRule("*", ["127.0.0.1:*"])}))


@pytest.mark.real
async def test_what_was_built_and_pushed_is_what_is_recorded(tmp_path: Path) -> None:
    built = image(tmp_path / "image", program(tmp_path / "one"))
    world = driven(rules=HERE, images=client())
    await world.tell()
    with registry_on_loopback() as registry:
        reference = parse_reference(f"{registry}/team/web:1")
        await push_image(client(), Layout(built.folder), reference)

        answer = await world.deploy(component(str(reference)))

        assert crane_says("digest", str(reference)) == built.digest
        with pytest.raises(CannotBePlanned, match=f"{registry} has no tag 2 of team/web"):
            await world.deploy(component(f"{registry}/team/web:2"))
    deployment = await world.deployment(answer["deploymentId"])
    assert [each.image for each in deployment.components] == [f"{reference}@{built.digest}"]
    before = await world.target()
    with pytest.raises(Unavailable, match=f"{registry} is away: nothing listens there"):
        await world.deploy(component(f"{registry}/team/web:3"))
    assert await world.target() == before
