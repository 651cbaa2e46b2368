"""`make package`: one app, the modules and distributions that it imports, the same bytes again."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from tools import app_modules
from tools.app_modules import NotPackaged, modules_of
from tools.app_requirements import LOCK, requirements
from tools.package import APPS, archive, main, package

ROOT: Final = Path(__file__).resolve().parents[2]
GROUPS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
OF_THE_APPS: Final = {"aiohttp", "pyyaml"}
"""Needed by the embedded host too: the Durable library brings one, lightkube the other."""


def _requirements(folder: Path) -> dict[str, str]:
    """Return the lines of each requirement in *folder*, by name."""
    found: dict[str, str] = {}
    for block in (folder / "requirements.txt").read_text().replace("\\\n", "").splitlines():
        name = Requirement(block.partition("--hash")[0]).name
        found[name] = found.get(name, "") + block
    return found


@pytest.fixture(scope="module", params=APPS)
def packaged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    app: str = request.param
    return app, package(app, tmp_path_factory.mktemp("packages") / app)


@pytest.mark.long
def test_a_package_is_the_same_bytes_again(tmp_path: Path) -> None:
    first = archive(package("health", tmp_path / "first"), tmp_path / "first.zip").read_bytes()
    mask = os.umask(0o077)
    try:
        folder = package("health", tmp_path / "elsewhere" / "second")
    finally:
        os.umask(mask)
    for path in folder.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    assert archive(folder, tmp_path / "second.zip").read_bytes() == first


@pytest.mark.long
def test_what_its_runner_keeps_in_the_folder_stays_and_is_in_no_zip(tmp_path: Path) -> None:
    folder = package("health", tmp_path / "health")
    before = archive(folder, tmp_path / "before.zip").read_bytes()
    (folder / "local.settings.json").write_text("{}")
    (folder / "shared" / "__pycache__").mkdir()
    (folder / "shared" / "__pycache__" / "fence.pyc").write_bytes(b"")

    assert archive(package("health", folder), tmp_path / "after.zip").read_bytes() == before
    assert archive(folder, tmp_path / "again.zip").read_bytes() == before
    assert (folder / "local.settings.json").read_text() == "{}"


def test_a_package_has_one_app_and_nothing_of_the_host(packaged: tuple[str, Path]) -> None:
    app, folder = packaged

    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"function_apps", "shared"}
    assert {path.name for path in (folder / "function_apps").iterdir()} == {"__init__.py", app}


def test_every_module_of_an_app_is_in_its_package(packaged: tuple[str, Path]) -> None:
    app, folder = packaged
    place = Path("function_apps") / app

    assert _modules(folder / place) == _modules(ROOT / place)


def test_a_start_that_fails_leaves_the_collector_on(packaged: tuple[str, Path]) -> None:
    _, folder = packaged
    start = "import gc\ntry: import function_app\nexcept ImportError: print(gc.isenabled())"
    alone = [sys.executable, "-S", "-c", start]  # without the libraries that it imports

    done = subprocess.run(alone, cwd=folder, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True"


def _modules(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}


@pytest.mark.long
def test_the_adapter_of_a_part_is_in_the_packages_of_apps_that_ask_for_it() -> None:
    adapters = {
        app: {path.name for path in modules_of(app).files}
        & {"azure_blobs.py", "key_vault.py", "local_process.py"}
        for app in ("catalog", "deployments")
    }

    assert adapters == {
        "catalog": {"local_process.py"},
        "deployments": {"azure_blobs.py", "local_process.py"},
    }


def test_an_app_that_imports_the_host_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "function_apps/odd/function_app.py": "from shared import composition",
        "shared/composition/service.py": "",
        "shared/composition/__init__.py": "def start():\n    import local_host",
        "local_host/__init__.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(app_modules, "ROOT", tmp_path)

    with pytest.raises(NotPackaged, match=r"shared/composition/__init__\.py imports local_host"):
        modules_of("odd")


def test_a_module_that_no_locked_distribution_brings_is_refused() -> None:
    with pytest.raises(NotPackaged, match="nothing that brings psutil"):
        requirements({"psutil"})


def test_an_app_requires_no_library_of_the_host_or_of_development(
    packaged: tuple[str, Path],
) -> None:
    required = set(_requirements(packaged[1]))
    groups = ("local", "dev", "build", "uv", "cloud")
    theirs = {Requirement(text).name for group in groups for text in GROUPS[group]}
    theirs |= {"uvicorn", "starlette", "pulumi-azure-native"}

    assert required & theirs - OF_THE_APPS == set()


def test_requirements_are_lines_of_the_lock_with_their_hashes(packaged: tuple[str, Path]) -> None:
    lock = LOCK.read_text()
    written = (packaged[1] / "requirements.txt").read_text()
    unhashed = {name for name, lines in _requirements(packaged[1]).items() if "--hash" not in lines}

    assert [line for line in written.splitlines() if line not in lock] == []
    assert unhashed == set()


def test_a_requirement_of_another_platform_is_left_out(packaged: tuple[str, Path]) -> None:
    given = (packaged[1] / "requirements.txt").read_text().splitlines()
    markers = [Requirement(line.rstrip(" \\")).marker for line in given if line[:1].isalpha()]
    places = [
        {"sys_platform": "linux", "python_version": minor, "python_full_version": f"{minor}.0"}
        for minor in ("3.11", "3.12", "3.13")
    ]

    assert [str(each) for each in markers if each and not any(map(each.evaluate, places))] == []


@pytest.mark.long
def test_an_app_requires_the_libraries_of_its_parts() -> None:
    of_parts = {"azure-keyvault-secrets", "azure-storage-blob", "azure-servicebus"}
    required = {
        app: {name for name in of_parts if name in requirements(modules_of(app).foreign)}
        for app in ("health", "deployments")
    }

    assert required == {
        "health": {"azure-servicebus"},
        "deployments": {"azure-servicebus", "azure-storage-blob"},
    }


@pytest.mark.long
def test_make_package_writes_every_app_and_no_two_share_a_task_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.package.BUILD", tmp_path)

    assert main([]) == 0

    hosts = [json.loads((tmp_path / app / "host.json").read_text()) for app in APPS]
    hubs = {host["extensions"]["durableTask"]["hubName"] for host in hosts}

    assert {path.stem for path in tmp_path.glob("*.zip")} == set(APPS)
    assert len(hubs) == len(APPS)


def test_an_app_requires_exporters_where_they_are_asked_for() -> None:
    foreign = modules_of("health").foreign
    plain, full = requirements(foreign), requirements(foreign, with_exporters=True)
    pins = [line for line in full.splitlines() if not line.startswith(" ")]

    assert "exporter" not in plain
    assert set(plain.splitlines()) <= set(full.splitlines())
    assert {line.partition("==")[0] for line in pins} >= {
        "azure-monitor-opentelemetry-exporter",
        "opentelemetry-exporter-otlp-proto-http",
        "opentelemetry-exporter-prometheus",
    }
    assert len(pins) == len(set(pins))


def test_an_extra_that_a_distribution_asks_for_brings_its_own() -> None:
    lines = requirements(["lightkube"])

    names = {line.partition("==")[0] for line in lines.splitlines() if "==" in line}
    assert {"lightkube", "httpx2[http2, ws]", "h2", "wsproto"} <= names
