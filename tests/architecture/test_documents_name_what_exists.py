"""A file that a document names is in the tree; decisions and the changelog speak of their day."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
TRACKED: Final = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
).stdout.splitlines()
NAMES: Final = frozenset(Path(path).name for path in TRACKED)
DOCUMENTS: Final = [
    path
    for path in TRACKED
    if path.endswith(".md") and not path.startswith(("docs/decisions/", "CHANGELOG"))
]
FILE: Final = re.compile(r"`((?:[a-z0-9_.-]+/)*[a-z0-9_-]+\.(?:py|md|txt|toml))`")
LINK: Final = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PUBLIC: Final = re.compile(r"^\| ((?:`[a-z_/]+\.py`(?:, )?)+) \|", re.MULTILINE)
OF_READERS: Final = frozenset({"requirements.txt", "function_app.py", "serve.py"})
"""Files of a reader's own app, and those that every service has."""


def _exists(name: str, beside: Path) -> bool:
    if "/" not in name:
        return name in NAMES | OF_READERS
    return any((folder / name).exists() for folder in (ROOT, beside, ROOT / "shared"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_file_that_is_named_exists(document: str) -> None:
    path = ROOT / document
    named = FILE.findall(path.read_text())

    assert [name for name in named if not _exists(name, path.parent)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    targets = LINK.findall(path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_architecture_has_the_layers_that_the_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(
        each["layers"]
        for each in contracts["contracts"]
        if each.get("containers") == ["function_apps.*"]
    )
    chain = " → ".join(
        ", ".join(f"`{name}`" for name in re.findall(r"\((\w+)\)", layer)) for layer in layers
    )

    assert f"inside a service {chain}." in (ROOT / "docs/architecture.md").read_text()


def test_each_module_of_the_local_cloud_is_public_by_its_page_or_held_private() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    private = next(
        each["protected_modules"] for each in contracts["contracts"] if each["type"] == "protected"
    )
    page = (ROOT / "local_cloud/README.md").read_text()
    table = page.partition("## What others may import")[2].partition("\n## ")[0]
    public = [name for row in PUBLIC.findall(table) for name in re.findall(r"`([^`]+)`", row)]
    modules = {
        path for path in TRACKED if re.fullmatch(r"local_cloud/(?:[a-z_]+/)*[a-z][a-z_]*\.py", path)
    }

    def is_private(path: str) -> bool:
        dotted = path.removesuffix(".py").replace("/", ".")
        return any(f"{dotted}.".startswith(f"{name}.") for name in private)

    assert {path for path in modules if not is_private(path)} == {
        f"local_cloud/{n}" for n in public
    }
