"""Environment programs that misbehave; the child process imports them by name."""

import dataclasses
import itertools
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pulumi

from shared.infrastructure.inputs import EnvironmentInputs
from shared.kernel.errors import Invalid, Violation


class Thing(pulumi.CustomResource):
    is_ready: pulumi.Output[bool]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None, **props: Any) -> None:
        super().__init__("test:some:Thing", name, {**props, "is_ready": None}, opts)


def talkative(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    sys.stdout.write('{"graph": "not this"}')
    sys.stdout.flush()
    return {"name": inputs.name}


def courteous(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    return {"niceness": os.getpriority(os.PRIO_PROCESS, 0)}


def refusing(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    raise Invalid("no", code="TooSmall", details=[Violation("TooSmall", "/x", "small", "2", "1")])


def broken(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    raise ZeroDivisionError("of nobody's input")


def impure(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    pulumi.runtime.invoke("test:some:lookUp", {})
    return {}


def endless(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    for _ in itertools.count():
        pass
    return {}


def unimportable(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    import a_package_that_is_not_here  # type: ignore[import-not-found]

    return {"is": a_package_that_is_not_here}


def dying(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def flooding(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    """Print without end to where the answer is written."""
    import os

    for descriptor in itertools.cycle(range(3, 10)):
        with suppress(OSError):
            os.write(descriptor, b"x" * 65_536)
    return {}


def chattering(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    sys.stderr.write("x" * 4_000_000)
    raise SystemExit("the last words")


def forking(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    """Leave a process behind that holds no pipe of the answer's."""
    import subprocess

    quiet = subprocess.DEVNULL
    child = subprocess.Popen(["sleep", "600"], stdin=quiet, stdout=quiet, stderr=quiet)
    return {"pid": child.pid}


def linked(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    """Numbers, text with an output inside, `depends_on` and many independent resources."""
    first = Thing("first", count=3, ratio=0.5)
    second = Thing(
        "second",
        label=pulumi.Output.concat("of ", first.id),
        opts=pulumi.ResourceOptions(depends_on=[first], protect=True),
    )
    for index in range(12):
        Thing(f"many-{index}", index=index)
    return {"isReady": second.is_ready, "list": [first.id, 1]}


def listing(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    import os

    return {"names": sorted(os.environ)}


def secretive(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    Thing("vault", nested={"key": [pulumi.Output.secret("canary")]})
    return {}


def secretive_in_outputs(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    return {"facts": {"key": pulumi.Output.secret("canary")}}


def with_an_asset(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    Thing("vault", content=pulumi.StringAsset("canary"))
    return {}


def as_pulumi_runs_it(inputs: EnvironmentInputs) -> Mapping[str, Any]:
    """Run the project's `__main__.py` with the configuration that `pulumi up` would give it."""
    import json
    import runpy
    from pathlib import Path

    from pulumi.runtime import get_root_resource, set_config

    set_config("environment:inputs", json.dumps(dataclasses.asdict(inputs)))
    main = Path(__file__).parents[2] / "infra/pulumi/environment/__main__.py"
    runpy.run_path(str(main), run_name="__main__")
    stack = get_root_resource()
    assert stack is not None
    return stack.outputs
