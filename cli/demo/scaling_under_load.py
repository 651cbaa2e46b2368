"""The part of the whole story in which a policy follows the load: more instances, then fewer."""

from typing import Final

from cli.demo.rollouts import wait_until
from cli.demo.sandbox import Sandbox
from cli.demo.scenario import PATH
from cli.demo.whole_scenario import IN_PROD, RATE
from cli.scaling import POLICIES, SERVICES

TARGET: Final = 36
"""Requests a second of an instance: one takes what the client sends, two also what comes on top."""
MORE: Final = 15
"""Requests a second on top."""
_POLICY: Final = """\
min: 1
max: 3
rules: [{{ signal: requests, target: {target} }}]
stabilisation: PT10S
cooldown: PT5S
"""


def apply_policy(sandbox: Sandbox) -> None:
    """Give prod the policy that scales it."""
    path = sandbox.folder / "policy.yaml"
    path.write_text(_POLICY.format(target=TARGET), encoding="utf-8")
    sandbox.print()
    sandbox.print(path.read_text(encoding="utf-8").rstrip())
    sandbox.run(f"scale set {IN_PROD} -f {path}")


def scale(sandbox: Sandbox) -> None:
    """Send more, until there are more instances; send less, until there are fewer again."""
    sandbox.print_title("12 · More load, more instances; less load, fewer")
    prod = sandbox.environment("prod")
    _until_ready(sandbox, 1)
    began_s = sandbox.clock.monotonic_s()
    sandbox.second_load.start(f"{prod['provisioned'][0]['endpoint']}{PATH}", rate=MORE)
    sandbox.print(f"{MORE} requests a second more: {RATE + MORE}, of which one takes {TARGET}")
    _until_ready(sandbox, 2)
    up_s = sandbox.clock.monotonic_s() - began_s
    sandbox.run("status --env prod")
    sandbox.second_load.stop()
    sandbox.print(f"and {MORE} less")
    began_s = sandbox.clock.monotonic_s()
    _until_ready(sandbox, 1)
    down_s = sandbox.clock.monotonic_s() - began_s
    sandbox.run(f"scale decisions {IN_PROD} --top 12")
    sandbox.print(f"scaled:    1 → 2 instances in {up_s:.0f} s, → 1 in {down_s:.0f} s")


def _until_ready(sandbox: Sandbox, number: int) -> None:
    """Wait until the policy of prod wants *number*, and as many are ready. Raises DemoFailed."""
    environment = sandbox.environment("prod")["environmentId"]

    def are_ready() -> bool:
        (policy,) = sandbox.get(POLICIES, environmentId=environment)["value"]
        (service,) = sandbox.get(SERVICES, environmentId=environment)["value"]
        instances = [each["status"] == "Ready" for each in service["instances"]]
        return policy["desired"] == number == len(instances) and all(instances)

    wait_until(sandbox, f"{number} instances are wanted and ready", are_ready)
