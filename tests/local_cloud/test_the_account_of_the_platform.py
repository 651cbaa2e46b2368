"""What the local cloud declares of a storage account is what the apps use."""

import re
from pathlib import Path

from shared.contracts import storage

ROOT = Path(__file__).parents[2]
USE = re.compile(r"parts\.(table|blobs)\((\w+)\)")


def test_every_table_and_container_of_an_app_is_declared() -> None:
    sources = [*(ROOT / "function_apps").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
    used = {found for path in sources for found in USE.findall(path.read_text())}

    assert {getattr(storage, name) for kind, name in used if kind == "table"} == {*storage.TABLES}
    containers = {getattr(storage, name) for kind, name in used if kind == "blobs"}
    assert containers == {*storage.CONTAINERS}
