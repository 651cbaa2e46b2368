"""The child process that evaluates one Pulumi program to a resource graph.

Run as `python -m local_cloud.infrastructure.evaluation_child`: one JSON request on standard input,
one JSON answer on standard output. A process of its own because Pulumi's runtime is process-global
and hangs when two threads use it; the program runs against Pulumi's mock monitor, so no engine,
plugin or credential is needed. An output that only exists later is answered with the reference that
`shared.infrastructure.graph` resolves once it does.
"""

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from pulumi import Output, ResourceTransformationArgs, ResourceTransformationResult
from pulumi._types import resource_py_to_pulumi_names
from pulumi.runtime import register_stack_transformation, set_all_config
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.rpc import deserialize_properties
from pulumi.runtime.settings import get_project, get_stack
from pulumi.runtime.stack import run_pulumi_func

from shared.infrastructure.graph import Graph, Node, Urn, reference
from shared.infrastructure.inputs import EnvironmentInputs
from shared.kernel.errors import Refused

SPECIAL: Final = "4dabf18193072939515e22adb298388d"
"""The key by which Pulumi's wire format marks an object as a secret, asset or archive."""

Program = Callable[[EnvironmentInputs], Mapping[str, Any]]


class EchoMocks(Mocks):
    """Gives resources back as declared; functions of a provider cannot be called."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        # Lists and objects may come back in another shape (a list of identities as a mapping), so
        # they are answered with references, as outputs of later are.
        plain = {k: v for k, v in args.inputs.items() if not isinstance(v, list | dict)}
        return args.name, plain

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise Refused(
            f"the program calls {args.token}; an environment follows from its inputs alone",
            code="ProgramImpure",
        )


class RecordingMonitor(MockMonitor):
    """Notes every registration; answers with references to the outputs that come later."""

    def __init__(self, outputs: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
        super().__init__(EchoMocks())
        self.nodes: dict[tuple[str, str], Node] = {}
        self._outputs = outputs
        self._lock = threading.Lock()  # the SDK registers from a pool of threads

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Return the URN the real engine gives: all parents' types, but not the stack's."""
        chain = "" if _is_stack(parent) else parent.split("::")[2] + "$"
        return f"urn:pulumi:{get_stack()}::{get_project()}::{chain}{type_}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  gRPC's name
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]  # ships so
        if request.type == "pulumi:pulumi:Stack":
            return answer
        urn = Urn(answer.urn)
        needed = {urn for urn in (*request.dependencies, request.parent) if not _is_stack(urn)}
        key = (request.type, request.name)
        node = Node(
            urn, request.type, request.name, _with_integers(deserialize_properties(request.object)),
            tuple(sorted(Urn(to) for to in needed)), request.protect,
            tuple(request.replaceOnChanges), tuple(request.ignoreChanges),
        )  # fmt: skip
        with self._lock:
            self.nodes[key] = node
        later = {*self._outputs.get(key, ()), *node.properties} - set(answer.object)
        answer.object.update({name: reference(urn, name) for name in later})
        answer.id = reference(urn, "id") if request.custom else ""
        return answer


def _is_stack(urn: str) -> bool:
    return not urn or "::pulumi:pulumi:Stack::" in urn


def _with_integers(value: Any) -> Any:
    """Return *value* as JSON with whole floats as integers: the wire has doubles only.

    An asset or archive, which JSON does not have, becomes an object with the key SPECIAL.
    """
    text = json.dumps(value, default=lambda asset: {SPECIAL: type(asset).__name__})
    return json.loads(text, parse_float=_number)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def evaluate(program: Program, project: str, stack: str, inputs: EnvironmentInputs) -> Graph:
    """Return what *program* declares for *inputs*, in the order of declaration."""
    declared: dict[tuple[str, str], tuple[str, ...]] = {}
    monitor = RecordingMonitor(declared)

    def note(args: ResourceTransformationArgs) -> ResourceTransformationResult | None:
        absent = [name for name, value in args.props.items() if value is None]
        pulumi_names = resource_py_to_pulumi_names(type(args.resource))
        declared[args.type_, args.name] = tuple(pulumi_names.get(name, name) for name in absent)
        return None

    async def run() -> tuple[Any, bool]:
        # All on one loop: the mocks make the root resource, whose outputs belong to it.
        set_all_config({})
        set_mocks(EchoMocks(), project, stack, preview=False, monitor=monitor)
        register_stack_transformation(note)
        result: dict[str, Any] = {}
        await run_pulumi_func(lambda: result.update(program(inputs)))
        output = Output.from_input(result)
        return _with_integers(await output.future() or {}), await output.is_secret()

    outputs, has_secret = asyncio.run(run())
    special = [
        node.name for node in monitor.nodes.values() if SPECIAL in json.dumps(node.properties)
    ]
    if has_secret or SPECIAL in json.dumps(outputs):
        special.append("the outputs")
    if special:
        raise Refused(
            f"a graph is recorded, so it holds no secret, asset or archive: {', '.join(special)}",
            code="SecretInGraph",
        )
    return Graph(tuple(monitor.nodes[key] for key in declared), outputs)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return `graph`, or `refused` with the violations, or `missing`, or `defect`."""
    module_name, function = request["program"].split(":")
    try:
        program: Program = getattr(importlib.import_module(module_name), function)
        inputs = EnvironmentInputs.from_json(request["inputs"])
        graph = evaluate(program, request["project"], request["stack"], inputs)
    except Refused as refused:
        details = [vars(violation) for violation in refused.details]
        return {"refused": {"code": refused.code, "message": refused.message, "details": details}}
    except ModuleNotFoundError as missing:
        return {"missing": missing.name or str(missing)}
    except Exception as defect:  # noqa: BLE001  every error of a program is an answer
        where = "".join(traceback.format_exception(defect)[-3:])
        return {"defect": f"{type(defect).__name__}: {defect}", "where": where}
    return {"graph": asdict(graph)}


def main() -> None:
    """Answer one request. What the program prints goes to standard error."""
    gc.disable()  # it ends with the answer; looking through a provider's modules took a third
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        request = json.load(sys.stdin)
        if hasattr(signal, "alarm"):
            # The parent may be killed before it can end this process.
            signal.alarm(int(request["timeout_s"]) + 1)
        json.dump(answer(request), out)


if __name__ == "__main__":
    main()
