"""Azure's worker finds in each package what our host finds in the app, at a start that is lean."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func
import pytest

from tests.kit.apps import sampled
from tests.kit.packaged_apps import Worker, interpreter
from tools.package import APPS

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("packages")]
LOADED: Final = """
import json, sys
import azure.functions, azure.durable_functions, pydantic
class Whole(pydantic.BaseModel):
    text: str
def loaded():
    words = (name.split(".") for name in sys.modules)
    return {".".join(each[: 2 if each[0] == "azure" else 1]) for each in words}
before = loaded()
import function_app
function_app.app.get_functions()
print(json.dumps(sorted(loaded() - before)))
"""
EVERY_IMPORT: Final = """
import ast, os, pathlib, sys
def statements(tree):
    for node in tree.body if isinstance(tree, ast.Module) else [tree]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield ast.unparse(node)
        for child in ast.iter_child_nodes(node):
            yield from statements(child)
def imports(package):
    # Of the root, and of the parts that an app may ask for, the running app is the judge.
    judged = {"function_app.py", "azure.py", "storage_account.py"}
    paths = (path for path in pathlib.Path(package).rglob("*.py") if path.name not in judged)
    return {each for path in paths for each in statements(ast.parse(path.read_text()))}
every = {package: imports(package) for package in sys.argv[1:]}
for statement in sorted(set().union(*every.values())):
    if statement.split()[1].partition(".")[0] not in {"function_apps", "shared"}:
        exec(statement)
for package, own in every.items():
    child = os.fork()  # which has what is foreign, and nothing of another package
    if not child:
        sys.path.insert(0, package)
        for statement in sorted(own):
            exec(statement)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, package
"""


def _run(package: Path, program: str, environ: Mapping[str, str], *arguments: Path) -> str:
    """Return what *program* prints in the environment of *package*, in its folder."""
    command: Sequence[str | Path] = [interpreter(package), "-P", "-c", program, *arguments]
    ended = subprocess.run(
        command, cwd=package, env={"PYTHONPATH": ".", **environ},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _bindings(raw: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    return [json.loads(text) for text in raw]


@pytest.mark.parametrize("app", sampled(APPS))
def test_azures_worker_indexes_what_our_host_indexes(
    app: str, worker: Callable[[str], Worker], settings: Mapping[str, str]
) -> None:
    service = importlib.import_module(f"function_apps.{app}.function_app")
    registered = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    registered.register_functions(service.bound(settings))

    ours = {
        each.get_function_name(): each.get_raw_bindings() for each in registered.get_functions()
    }

    assert {
        name: _bindings(each["raw_bindings"]) for name, each in worker(app).functions.items()
    } == {name: _bindings(raw) for name, raw in ours.items()}


@pytest.mark.long
def test_every_import_of_a_package_is_had_in_its_environment(packages: Mapping[str, Path]) -> None:
    sharing: dict[Path, list[Path]] = {}
    for package in packages.values():
        sharing.setdefault(interpreter(package), []).append(package)

    for together in sharing.values():
        _run(together[0], EVERY_IMPORT, {}, *together)


@pytest.mark.long
@pytest.mark.parametrize("app", sampled(APPS))
def test_a_start_loads_nothing_foreign_but_functions_durable_and_pydantic(
    app: str, packages: Mapping[str, Path], settings: Mapping[str, str]
) -> None:
    loaded = json.loads(_run(packages[app], LOADED, settings))
    known = {"function_app", "function_apps", "shared", *sys.stdlib_module_names}

    assert set(loaded) - known == set()
