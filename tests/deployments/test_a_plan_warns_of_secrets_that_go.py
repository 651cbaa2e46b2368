"""A dry run warns of each variable or file of the running release that it would have no more."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from shared.contracts.values import ComputeTargetKind
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent
from tests.deployments.driven import Driven, driven
from tests.deployments.told_secrets import BINDING, bind, rotate
from tests.kit.virtual_time import run_virtual


@dataclass
class SlowSurface:
    """A surface during whose first answer something else is told."""

    surface: Surface
    meanwhile: Callable[[], Awaitable[None]]
    observed: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.surface, name)

    async def observe(self, component: SurfaceComponent) -> Any:
        self.observed += 1
        if self.observed == 1:
            await self.meanwhile()
        return await self.surface.observe(component)


MORE = f"{BINDING[:-1]}x"


async def warnings(world: Driven, **more: Any) -> Sequence[str]:
    component = await world.component("two", **more)
    plan = await plan_deployment(await world.command(component), world.ctx, world.app)
    return plan.warnings


async def released() -> Driven:
    """Release a module that has a secret as a variable, and one as a file."""
    world = driven()
    await world.tell()
    await bind(world, "v1")
    await bind(world, "c1", secretName="cert", bindingId=MORE, delivery="file", target="tls.pem")
    await world.release("one")
    return world


@pytest.mark.parametrize(
    ("told", "more", "words"),
    [
        pytest.param(
            {"status": "Revoked"},
            {},
            "module-shop has the secret password as PASSWORD (environmentVariable) now, and is"
            " given it no more: its binding was revoked",
            id="its-binding-was-revoked",
        ),
        pytest.param({"target": "SECRET"}, {}, "", id="it-is-bound-elsewhere"),
        pytest.param({"status": "Revoked"}, {"environ": {"PASSWORD": "x"}}, "", id="its-own"),
        pytest.param({}, {}, "", id="it-stays"),
    ],
)  # fmt: skip
def test_a_variable_that_goes_is_named(told: dict[str, str], more: Any, words: str) -> None:
    async def main() -> Sequence[str]:
        world = await released()
        await bind(world, "v1", 2, **told)
        return await warnings(world, **more)

    assert run_virtual(main()) == ((words,) if words else ())


def test_a_file_that_goes_is_named_and_another_version_is_no_loss() -> None:
    async def main() -> Sequence[str]:
        world = await released()
        await rotate(world, "v2", 1)
        revoked = {"status": "Revoked", "delivery": "file", "target": "tls.pem"}
        await bind(world, "c1", 2, secretName="cert", bindingId=MORE, **revoked)
        return await warnings(world)

    (said,) = run_virtual(main())

    assert "has the secret cert as tls.pem (file) now" in said


def test_the_answer_of_the_request_has_the_warning_too() -> None:
    async def main() -> Any:
        world = await released()
        await bind(world, "v1", 2, status="Revoked")
        return await world.deploy(await world.component("two"))

    (said,) = run_virtual(main())["warnings"]

    assert "has the secret password as PASSWORD" in said


def test_the_warnings_are_those_of_what_is_committed_and_surfaces_are_asked_once() -> None:
    async def main() -> Any:
        world = await released()
        surface = world.app.surfaces[ComputeTargetKind.LOCAL_PROCESS]
        slow = SlowSurface(surface, lambda: bind(world, "v1", 2, status="Revoked"))
        of_slow = {ComputeTargetKind.LOCAL_PROCESS: cast("Surface", slow)}  # by `__getattr__`
        app = replace(world.app, surfaces=of_slow)
        command = await world.command(await world.component("two"))
        return (await deploy(command, world.ctx, app)).value["warnings"], slow.observed

    (said,), observed = run_virtual(main())

    assert "has the secret password as PASSWORD" in said
    assert observed == 1


def test_another_secret_in_its_place_is_no_loss() -> None:
    async def main() -> Sequence[str]:
        world = await released()
        await bind(world, "v1", 2, status="Revoked")
        await bind(world, "n1", secretName="newer", bindingId=f"{BINDING[:-1]}y")
        return await warnings(world)

    assert run_virtual(main()) == ()


def test_a_first_release_loses_nothing() -> None:
    async def main() -> Sequence[str]:
        world = driven()
        await world.tell()
        await bind(world, "v1", status="Revoked")
        return await warnings(world)

    assert run_virtual(main()) == ()
