import subprocess
import sys

import pytest

from cli.state_folder import REPOSITORY
from tests.kit.patience import PATIENCE_S

HEAVY = ("azure", "aiohttp", "pydantic", "cryptography", "jwt", "yaml")


@pytest.mark.real
def test_no_heavy_package_is_imported_before_it_is_needed() -> None:
    imported = f"[name for name in sys.modules if name.partition('.')[0] in {HEAVY!r}]"

    process = subprocess.run(
        [sys.executable, "-c", f"import sys, cli.main; print({imported})"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip

    assert process.stdout.strip() == "[]"
