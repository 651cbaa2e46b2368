"""An app that cannot be imported: the line of its own file, the reason, and the way out."""

import sys
from pathlib import Path

import pytest

from local_host.apps.indexing import index
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
        f"'no_such'; is no_such in requirements.txt? Install it where this host runs: "
        f"{sys.executable} -m pip install -r requirements.txt",
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
    assert found.problem.reasons == (said,)
