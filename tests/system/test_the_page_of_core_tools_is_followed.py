"""docs/how-to/run-with-core-tools.md, line by line, in a copy of the tree.

What makes a line other than it stands there: Azurite's ports are any free ones, what `make` has
installed is taken as it is, and `func start` is Azure's worker library, in the environment and with
the settings that the lines before it made.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from shared.contracts.events import BUILT
from tests.kit.azurite import PROGRAM
from tests.kit.durable_endpoint import durable_endpoint
from tests.kit.packaged_apps import working
from tests.kit.real_system import REPOSITORY, free_port
from tools.package_environment import NoPython, python

pytestmark = [pytest.mark.real, pytest.mark.long]
PAGE: Final = REPOSITORY / "docs/how-to/run-with-core-tools.md"
FENCED: Final = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORDS: Final = """
set -eu
azurite() {{
  node {azurite} "$@" --blobPort {blob} --queuePort {queue} --tablePort {table} > azurite.log 2>&1 &
  echo $! > azurite.pid
}}
make() {{ command make -o .venv/.all -o .venv/.local "$@"; }}
runtimectl() {{ python -m cli.main "$@"; }}
python3.13() {{ {python} "$@"; }}
func() {{ echo "$1 $(pwd) $(command -v python)" >> {started}; }}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the repository with what is installed; nothing runs there in the end."""
    if shutil.which("node") is None or not PROGRAM.exists():
        pytest.skip("Azurite is not installed: `make test` installs it where Node is there")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in filter(None, names.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to((REPOSITORY / ".venv").resolve())
    yield tmp_path
    down = [".venv/bin/python", "-m", "cli.main", "cloud", "down"]
    subprocess.run(down, cwd=tmp_path, check=True, capture_output=True)
    with suppress(OSError):
        os.kill(int((tmp_path / "azurite.pid").read_text()), signal.SIGTERM)


def _script(tree: Path) -> str:
    try:
        interpreter = python()
    except NoPython as problem:
        pytest.skip(str(problem))
    blocks = FENCED.findall(PAGE.read_text())
    words = WORDS.format(
        azurite=PROGRAM, blob=free_port(), queue=free_port(), table=free_port(),
        python=interpreter, started=tree / "started",
    )  # fmt: skip
    one_app, all_apps = "\n".join(blocks[:-1]), blocks[-1]
    return f"{words}\n{one_app}\ncd {tree}\n{all_apps}"


def test_the_page_leads_to_apps_that_answer(tree: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    run = subprocess.run(
        ["bash", "-c", _script(tree)], cwd=tree, env={**environ, "NO_COLOR": "1"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    package = tree / "build" / "catalog"
    of_package, of_all = package / ".venv/bin/python", tree / "build/func/bin/python"

    assert (tree / "started").read_text().splitlines() == [
        f"start {package} {of_package}",
        f"start {tree} {of_all}",
    ]
    assert _answers(package, of_package, ("catalog",)) == {"catalog": 200}
    everyone = tuple(each.value for each in sorted(BUILT))
    assert _answers(tree, of_all, everyone) == dict.fromkeys(everyone, 200)


def _answers(folder: Path, interpreter: Path, apps: tuple[str, ...]) -> dict[str, int]:
    """Return how the health route of each of *apps* answers under Azure's worker."""
    settings = json.loads((folder / "local.settings.json").read_text())["Values"]
    http = {"method": "GET", "url": "http://127.0.0.1:7071/health"}
    with (
        durable_endpoint() as durable,
        working(folder, settings, folder / "worker.log", python=interpreter) as worker,
    ):
        worker.load()
        client = {"string": durable.binding}
        return {
            app: worker.invoke(f"{app}_get_health", req={"http": http}, client=client).status
            for app in apps
        }
