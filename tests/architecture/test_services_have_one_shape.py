"""Every service is the same files with the same meaning; whoever has read one has read all.

The sameness is derived from the tree, so that the next service cannot differ unseen.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_type_hints

import pytest

from shared.durable.activity import ActivityContext
from shared.durable.operations import OperationKind
from shared.durable.orchestration import OrchestrationContext, durable_name
from shared.kernel.context import Context
from shared.messaging.outbox import Publish
from shared.persistence.codec import DocumentCodec

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = sorted(
    path.name for path in (ROOT / "function_apps").iterdir() if (path / "__init__.py").exists()
)
REQUIRED: Final = frozenset(
    {
        "README.md", "__init__.py", "errors.py", "function_app.py", "model", "ports.py",
        "repository.py", "triggers.py", "use_cases",
    }
)  # fmt: skip
OPTIONAL: Final = frozenset(
    {
        "activities", "activities.py", "events.py", "orchestrations", "orchestrations.py",
        "resources.py",
    }
)  # fmt: skip
"""A file with nothing to say is absent; a small one is a module instead of a package."""
COMPOSITION_LINES_MAX: Final = 60
QUESTION: Final = re.compile(r'\s*"""(How|What|When|Where|Whether|Which|Who|Why)\b')


def _folder(service: str) -> Path:
    return ROOT / "function_apps" / service


def _module(service: str, name: str) -> Any:
    return importlib.import_module(f"function_apps.{service}.{name}")


def _sources(service: str, *below: str) -> Iterator[Path]:
    folder = _folder(service).joinpath(*below)
    yield from sorted(folder.rglob("*.py"))


def _with(name: str) -> list[str]:
    """Return the services that have *name*, as a module or as a package."""
    return [
        s for s in SERVICES if any((_folder(s) / each).exists() for each in (name, f"{name}.py"))
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_files_of_every_service(service: str) -> None:
    files = {path.name for path in _folder(service).iterdir() if path.name != "__pycache__"}

    assert sorted(REQUIRED - files) == []
    assert sorted(files - REQUIRED - OPTIONAL) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_composition_root_builds_its_app_from_settings_and_parts(service: str) -> None:
    root = _module(service, "function_app")

    assert list(inspect.signature(root.build).parameters) == ["settings", "parts"]
    assert list(inspect.signature(root.bound).parameters) == ["environ"]
    lines = (_folder(service) / "function_app.py").read_text().splitlines()
    assert len(lines) <= COMPOSITION_LINES_MAX


@pytest.mark.parametrize("service", SERVICES)
def test_the_numbers_of_a_service_and_of_its_local_profile_stand_in_its_ports(service: str) -> None:
    ports = _module(service, "ports")
    name = service.title().replace("_", "")
    (rules,) = [field for field in fields(vars(ports)[f"{name}App"]) if field.name == "rules"]

    assert rules.type is vars(ports)[f"{name}Rules"]
    assert type(ports.LOCAL_RULES) is rules.type


@pytest.mark.parametrize("service", SERVICES)
def test_the_triggers_are_tables_and_one_blueprint(service: str) -> None:
    triggers = _module(service, "triggers")

    assert {"ROUTES", "EVENTS", "COMMANDS", "blueprint"} <= set(vars(triggers))


def _handlers(service: str) -> list[Any]:
    triggers = _module(service, "triggers")
    return [*triggers.EVENTS.values(), *triggers.COMMANDS.values()]


@pytest.mark.parametrize("service", SERVICES)
def test_a_message_goes_to_a_use_case_that_takes_data_then_context_then_app(service: str) -> None:
    for handler in _handlers(service):
        hints = get_type_hints(handler)
        names = list(inspect.signature(handler).parameters)

        assert handler.__module__.startswith(f"function_apps.{service}.use_cases"), handler
        assert names[1:3] == ["ctx", "app"], handler
        assert hints["ctx"] is Context, handler


def _functions(path: Path) -> Iterator[ast.AsyncFunctionDef | ast.FunctionDef]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            yield node


@pytest.mark.parametrize("service", SERVICES)
def test_no_use_case_takes_scope_and_cause_apart(service: str) -> None:
    taken = {
        f"{path.name}:{function.name}"
        for path in _sources(service)
        for function in _functions(path)
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.arg in {"scope", "cause"}
    }

    assert taken == set()


@pytest.mark.parametrize("service", _with("activities"))
def test_an_activity_takes_its_argument_then_context_then_app(service: str) -> None:
    for activity in _module(service, "activities").ACTIVITIES:
        names = list(inspect.signature(activity).parameters)

        assert names[-2:] == ["ctx", "app"], activity
        assert len(names) <= 3, activity
        assert get_type_hints(activity)["ctx"] is ActivityContext, activity


def _orchestrations(service: str) -> dict[Any, Any]:
    """Return each orchestration of *service* with its module's table of undoing."""
    orchestrations = _module(service, "orchestrations").ORCHESTRATIONS
    return {each: vars(inspect.getmodule(each))["UNDO"] for each in orchestrations}


@pytest.mark.parametrize("service", _with("orchestrations"))
def test_an_orchestration_says_of_each_activity_what_undoes_it(service: str) -> None:
    activities = set(_module(service, "activities").ACTIVITIES)
    tables = _orchestrations(service).values()

    assert {activity for table in tables for activity in table} == activities
    for table in tables:
        for undo in table.values():
            assert isinstance(undo, str) or undo in activities


@pytest.mark.parametrize("service", _with("orchestrations"))
def test_an_orchestration_is_a_plain_generator_over_one_context(service: str) -> None:
    for orchestration in _orchestrations(service):
        hints = get_type_hints(orchestration)

        assert inspect.isgeneratorfunction(orchestration)
        assert hints["context"] is OrchestrationContext


def _kinds(service: str) -> list[OperationKind]:
    """Return the kinds of operations of *service*, which stand in its repository."""
    repository = vars(_module(service, "repository"))
    return [value for value in repository.values() if isinstance(value, OperationKind)]


@pytest.mark.parametrize("service", _with("orchestrations"))
def test_a_kind_of_operation_names_an_orchestration_of_its_service(service: str) -> None:
    orchestrations = set(map(durable_name, _orchestrations(service)))

    assert {kind.orchestration for kind in _kinds(service)} == orchestrations


@pytest.mark.parametrize("service", _with("orchestrations"))
def test_each_kind_of_operation_says_how_it_is_canceled_and_abandoned(service: str) -> None:
    controls = _module(service, "triggers").CONTROLS

    assert {kind.name for kind in _kinds(service)} == set(controls)
    for control in controls.values():
        assert callable(control.cancel) or control.cancel.endswith(
            tuple("abcdefghijklmnopqrstuvwxyz")
        )
        assert callable(control.abandon)


@pytest.mark.parametrize("service", SERVICES)
def test_stored_documents_have_one_codec_in_the_repository(service: str) -> None:
    codecs = [
        each for each in vars(_module(service, "repository")).values()
        if isinstance(each, DocumentCodec)
    ]  # fmt: skip
    by_hand = {
        f"{path.name}:{function.name}"
        for path in _sources(service)
        for function in _functions(path)
        if function.name in {"to_body", "from_body"}
    }

    assert codecs
    assert by_hand == set()


@pytest.mark.parametrize("service", _with("events"))
def test_an_event_is_a_row_of_the_outbox(service: str) -> None:
    module = _module(service, "events")
    public = [each for each in _functions(_folder(service) / "events.py") if each.name[0] != "_"]

    assert public
    for function in public:
        assert get_type_hints(getattr(module, function.name))["return"] is Publish, function.name


@pytest.mark.parametrize("service", SERVICES)
def test_a_decision_of_a_use_case_takes_the_view_only(service: str) -> None:
    decisions = [
        (path.name, [argument.arg for argument in node.args.args])
        for path in _sources(service, "use_cases")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name == "decide"
    ]

    assert decisions
    for name, arguments in decisions:
        assert arguments == ["view"], name


@pytest.mark.parametrize("service", SERVICES)
def test_a_model_is_pure_and_names_the_data_of_its_events(service: str) -> None:
    for path in (*_sources(service, "model"), _folder(service) / "errors.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), path
            if isinstance(node, ast.FunctionDef):
                assert node.args.kwarg is None, f"{path}: {node.name} takes fields it does not name"


@pytest.mark.parametrize("service", SERVICES)
def test_a_constant_is_final(service: str) -> None:
    open_ones = [
        f"{path.name}: {target.id}"
        for path in _sources(service)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper() and len(target.id.strip("_")) > 1
    ]

    assert open_ones == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_docstring_is_a_statement(service: str) -> None:
    questions = [
        f"{path.name}:{number}: {line.strip()}"
        for path in _sources(service)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if QUESTION.match(line)
    ]

    assert questions == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_says_what_the_service_decides_and_listens_to(service: str) -> None:
    text = (_folder(service) / "README.md").read_text()

    assert [
        title for title in ("decides", "Routes", "Messages", "Runbook") if title not in text
    ] == []


def _said_of_routes(text: str) -> set[str]:
    """Return the paths in a README's table of routes; `…/logs` is one below a resource."""
    section = text.partition("## Routes")[2].partition("\n## ")[0]
    found: set[str] = set()
    for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE):
        for path in re.findall(r"`(?:[A-Z]+ )?((?:…)?/[^`\s]*)`", row):
            found.add(re.sub(r"\{\w+\}", "{}", path))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_readme_names_every_route(service: str) -> None:
    said = _said_of_routes((_folder(service) / "README.md").read_text())
    paths = {
        re.sub(r"\{\w+\}", "{}", route.template.removeprefix("v1/runtime"))
        for route in _module(service, "triggers").ROUTES
    }

    assert sorted(path for path in paths if not said & {path, "…/" + path.rpartition("/")[2]}) == []
