"""Microsoft's own worker library as the judge of the functions that the apps declare.

`azure-functions-runtime` (for Python 3.13 and later) is what the real worker of these versions
indexes with: each function is registered, its parameters, hints and return value are checked
against its bindings. It gets the app as the embedded host composes it; whether the app starts in
Azure is another question (docs/limits.md).
"""

import sys
from pathlib import Path
from typing import Any

from local_cloud.storage import LocalStorage
from local_host.embedded_parts import EmbeddedHost
from shared.composition.embedded import install
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy

REPOSITORY = Path(__file__).parents[2]


class Message:
    """Stands in for the worker's protobuf types, which only carry what was found."""

    undefined, out, inout = 0, 1, 2


class Protos:
    BindingInfo = Message


def judged(script: Path) -> tuple[int, list[str]]:
    """Return how many functions the worker finds in *script*, and what it refuses."""
    from azure_functions_runtime import functions, handle_event, loader

    handle_event.load_binding_registry()
    registry = functions.Registry()
    refused: list[str] = []
    found = loader.index_function_app(str(script))
    for each in found:
        try:
            registry.add_indexed_function(function=each, protos=Protos)
        except functions.FunctionLoadError as problem:
            refused.append(f"{each.get_function_name()}: {problem}")
    return len(found), refused


if sys.version_info >= (3, 13):

    def test_every_function_of_the_platform_is_taken(tmp_path: Path) -> None:
        clock = SystemClock()
        storage = LocalStorage(tmp_path, clock, in_memory=True)
        sender: Any = None
        install(EmbeddedHost(clock, SystemEntropy(), sender, storage, tmp_path))

        found, refused = judged(REPOSITORY / "function_app.py")

        assert refused == []
        assert found > 100

    def test_the_judge_refuses_what_it_should(tmp_path: Path) -> None:
        (tmp_path / "bad_app.py").write_text(
            "import azure.functions as func\n"
            "app = func.FunctionApp()\n"
            "@app.route('a')\n"
            "def named(request: func.HttpRequest) -> str: return 'a'\n"
        )
        sys.path.append(str(tmp_path))

        found, refused = judged(tmp_path / "bad_app.py")

        sys.path.remove(str(tmp_path))
        assert (found, len(refused)) == (1, 1)
