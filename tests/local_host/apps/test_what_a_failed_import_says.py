"""An app that cannot be imported: the line of its own file, the reason, and the way out."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from local_host.apps.indexing import IndexedApp, index
from local_host.model import App

CASES = [
    pytest.param(
        "import os\n\nqueue = os.environ['NOT_THERE']\n",
        "importing function_app.py failed in line 3: KeyError: 'NOT_THERE'; put the setting under "
        "Values in local.settings.json, or into the environment",
        id="missing-setting",
    ),
    pytest.param(
        "def f(:\n    pass\n",
        "importing function_app.py failed in line 1: SyntaxError: invalid syntax: def f(:",
        id="syntax",
    ),
    pytest.param(
        "import no_such.package\n",
        "importing function_app.py failed in line 1: ModuleNotFoundError: No module named "
        "'no_such'; is no_such in {folder}/requirements.txt? Install it where this host runs: "
        "{pip} install no_such",
        id="missing-package",
    ),
    pytest.param(
        "{}['key']\n",
        "importing function_app.py failed in line 1: KeyError: 'key'",
        id="their-own-mistake",
    ),
]


@pytest.mark.parametrize(("code", "said"), CASES)
def test_the_line_the_reason_and_the_way_out_are_said(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "function_app.py").write_text(code)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')

    found = index(App("app", tmp_path), {})

    assert found.problem is not None
    said = said.replace("{folder}", str(tmp_path)).replace("{pip}", _pip())
    assert found.problem.reasons == (said,)


def _pip() -> str:
    """Return how packages are installed beside this Python, which uv has made without pip."""
    if importlib.util.find_spec("pip") is not None:
        return f"{sys.executable} -m pip"
    if (uv := shutil.which("uv")) is not None:
        return f"{uv} pip"
    return f"{sys.executable} -m ensurepip && {sys.executable} -m pip"


def test_requirements_that_are_there_are_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text("import no_such.package\n")
    (tmp_path / "requirements.txt").write_text("no-such==1.0\n")

    found = index(App("app", tmp_path), {})

    assert f"install -r {tmp_path}/requirements.txt" in reason_of(found)


UNPRINTABLE = "class E(Exception):\n    def __str__(self):\n        raise SystemExit\nraise E\n"
ENDS_WHEN_ASKED = (
    "def __getattr__(name):\n    raise SystemExit(3)\ndef __dir__():\n    return ['app']\n"
)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\nsys.exit(2)\n", "failed in line 2: SystemExit: 2; an app cannot end its"),
        ("raise KeyboardInterrupt\n", "failed in line 1: KeyboardInterrupt"),
        ("raise GeneratorExit\n", "failed in line 1: GeneratorExit"),
        ("raise BaseException('\\ud83d')\n", "failed in line 1: BaseException"),
        (UNPRINTABLE, "line 4: E"),
        (ENDS_WHEN_ASKED, "SystemExit"),
    ],
)
def test_an_app_that_ends_its_process_at_import_fails_alone(
    tmp_path: Path, code: str, said: str
) -> None:
    (tmp_path / "function_app.py").write_text(code)

    assert said in reason_of(index(App("app", tmp_path), {}))


def test_functions_of_the_first_programming_model_are_named_with_the_second(tmp_path: Path) -> None:
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "function.json").write_text("{}")

    reason = reason_of(index(App("app", tmp_path), {}))

    assert reason.startswith("hello: functions with a function.json")
    assert "@app.route" in reason


def reason_of(found: IndexedApp) -> str:
    assert found.problem is not None
    return found.problem.reasons[0]
