"""A start that fails ends early, and says what the instance says."""

import pytest

from shared.contracts.deployments import DeploymentStatus
from tests.deployments.driven import SHOP, driven
from tests.kit.memory_cluster import Behaviour
from tests.kit.virtual_time import run_virtual


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(2, "exit status 2"), (-9, "ended by SIGKILL"), (127, "exit status 127")],
)
def test_an_instance_that_ends_again_and_again_is_not_waited_for(
    exit_code: int, words: str
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        world.world.behaviours[await world.upload("two")] = Behaviour(exit_code=exit_code)
        began = world.ctx.now()

        done = await world.release("two")

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason is not None
        assert done.reason.code == "StartFailed"
        assert words in done.reason.message
        assert world.ctx.now() - began < world.app.rules.ready_within
        assert world.live() == ({1: 1}, {1: 100})

    run_virtual(main())


def test_a_first_release_whose_starts_cannot_be_is_not_waited_for() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        why = "data folder uploads is not there: put it back, or deploy again if it was deleted"
        world.world.behaviours[await world.upload("one")] = Behaviour(
            cannot_start=why, output=(f"cannot start: {why}",)
        )
        began = world.ctx.now()

        done = await world.release("one")

        assert done.status is DeploymentStatus.ROLLED_BACK
        assert done.reason is not None
        assert done.reason.code == "CannotStart"
        assert done.holds == ()
        assert done.reason.message.startswith(
            f"module-shop-1-0 could not be started 3 times: {why}"
        )
        assert world.ctx.now() - began < world.app.rules.ready_within

    run_virtual(main())


@pytest.mark.parametrize("behaviour", [Behaviour(exit_code=1), Behaviour(becomes_ready=False)])
def test_the_reason_has_the_last_lines_of_the_instance(behaviour: Behaviour) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("one")] = behaviour

        done = await world.release("one")

        assert done.reason is not None
        assert "its last lines:" in done.reason.message
        assert "module-shop-1-0" in done.reason.message

    run_virtual(main())


def test_the_reason_says_what_the_readiness_probe_got() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("one")] = Behaviour(
            becomes_ready=False, unready_because="GET /health answered 404", output=("",)
        )

        done = await world.release("one")

        assert done.reason is not None
        assert done.reason.message.endswith(
            "module-shop-1-0: Starting: GET /health answered 404; it wrote nothing"
        )

    run_virtual(main())


HINT = "on this surface a process may listen on $PORT only"
NODE = ("Error: listen EACCES: permission denied 0.0.0.0:3000",)
PYTHON = (
    '  File "socketserver.py", line 472, in server_bind',
    "    self.socket.bind(self.server_address)",
    "PermissionError: [Errno 13] Permission denied",
)
FILE = ("PermissionError: [Errno 13] Permission denied: '/etc/shadow'", "", "", "", "listening")


@pytest.mark.parametrize(
    ("output", "is_hinted"),
    [
        pytest.param(NODE, True, id="nodejs"),
        pytest.param(PYTHON, True, id="python"),
        pytest.param(("listen tcp :3000: bind: permission denied",), True, id="go"),
        pytest.param(("bind() to 0.0.0.0:80 failed (13: Permission denied)",), True, id="nginx"),
        pytest.param(FILE, False, id="a-file"),
        pytest.param(("bind: address already in use",), False, id="another-refusal"),
    ],
)
def test_a_refused_bind_leads_to_the_port(output: tuple[str, ...], *, is_hinted: bool) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.world.behaviours[await world.upload("one")] = Behaviour(exit_code=1, output=output)

        done = await world.release("one")

        assert done.reason is not None
        assert (HINT in done.reason.message) is is_hinted
        assert done.reason.message.endswith(output[-1])

    run_virtual(main())


def test_a_gate_that_an_instance_failed_says_how_that_ended() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        digest = await world.upload("one")
        world.health.bad.add(digest)
        world.world.behaviours[digest] = Behaviour(output=("no database", "giving up"))

        def crash(activity: str) -> None:
            if activity == "request_analysis":
                shop = world.surface_component(SHOP)
                world.world.crash(shop, "module-shop-1-0", exit_code=1)

        world.interfere = crash
        done = await world.release("one")

        assert done.reason is not None
        assert done.reason.code == "GateFailed"
        assert done.reason.evidence
        assert "exit status 1; its last lines:\nno database\ngiving up" in done.reason.message

    run_virtual(main())


def test_a_gate_says_nothing_of_instances_that_run() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        world.health.bad.add(await world.upload("one"))

        done = await world.release("one")

        assert done.reason is not None
        assert "module-shop-1-0" not in done.reason.message

    run_virtual(main())
