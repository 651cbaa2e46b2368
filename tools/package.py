"""Writes an app as Azure takes it: a folder, and a zip that is the same bytes at each writing.

    python -m tools.package environments        → build/environments/ and build/environments.zip

Azure's worker imports `function_app.py` by its stem from the app's own root, so the root has one
file that binds the service, and beside it only what the service imports. The embedded host and Core
Tools start the same folder.
"""

import argparse
import json
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.app_modules import ROOT, NotPackaged, modules_of
from tools.app_requirements import requirements

APPS: Final = tuple(
    sorted(path.parent.name for path in ROOT.glob("function_apps/*/function_app.py"))
)
BUILD: Final = ROOT / "build"
_WRITTEN_AT: Final = (1980, 1, 1, 0, 0, 0)
"""The first instant that a zip can say."""
_PLAIN_FILE: Final = 0o100644 << 16
_ON_UNIX: Final = 3
_ROOT_FILE: Final = '''"""The app {app}, deployed alone."""

import gc
import os

gc.disable()  # what is imported stays: a search for garbage finds next to none
try:
    import azure.durable_functions as df
    import azure.functions as func

    from function_apps.{app} import function_app as service

    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app.register_functions(service.bound(os.environ))
finally:  # a process whose start failed may be asked to start again
    gc.enable()
'''
_README: Final = """# {app}

A package of Factory Runtime, for Azure Functions on Flex Consumption (Linux, Python 3.13).
Azure installs what `requirements.txt` names, by its hashes:

    az functionapp deployment source config-zip --resource-group <group> --name <app> \\
      --src {app}.zip --build-remote true

or, from this folder with Core Tools: `func azure functionapp publish <app> --build remote`.
On one machine: `func start`, or `python -m local_host <this folder>`.
"""
_DEVELOPERS: Final = (".venv", "__pycache__", "local.settings.json")
"""Whoever runs a package has these in its folder: another writing leaves them, and the zip has not.
"""


def package(app: str, target: Path, *, with_exporters: bool = False) -> Path:
    """Write *app* into *target*, which is emptied of an earlier package first, and return it.

    *with_exporters*: it requires what `RUNTIME_TELEMETRY` may name.

    Raises:
        NotPackaged: it imports what its package cannot have.
    """
    modules = modules_of(app)
    foreign = modules.foreign | {"azure.durable_functions", "azure.functions"}
    files = {
        "function_app.py": _ROOT_FILE.format(app=app),
        "host.json": _host_settings(app),
        "requirements.txt": requirements(foreign, with_exporters=with_exporters),
        "local.settings.sample.json": (ROOT / "local.settings.sample.json").read_text(),
        "README.md": _README.format(app=app),
        ".funcignore": "".join(f"{name}\n" for name in _DEVELOPERS),
        **{str(path.relative_to(ROOT)): path.read_text() for path in modules.files},
    }
    _remove(target)
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text, newline="\n")
    return target


def _remove(package: Path) -> None:
    for path in package.iterdir() if package.exists() else ():
        if path.is_dir() and path.name not in _DEVELOPERS:
            shutil.rmtree(path)
        elif path.name not in _DEVELOPERS:
            path.unlink()


def _host_settings(app: str) -> str:
    """Return `host.json` with a task hub of the app's own.

    Apps that share storage take each other's work if their task hubs have one name.
    """
    host = json.loads((ROOT / "host.json").read_text())
    host["extensions"]["durableTask"]["hubName"] += app.title().replace("_", "")
    return json.dumps(host, indent=2) + "\n"


def archive(folder: Path, target: Path) -> Path:
    """Write the files of *folder* into the zip *target*, and return it.

    Only names and contents count: neither the clock nor modes, nor the order on disk. Files are
    stored, as what a compressor writes is another with each version of its library.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as written:
        for path in sorted(folder.rglob("*"), key=str):
            if path.is_dir() or not set(_DEVELOPERS).isdisjoint(path.relative_to(folder).parts):
                continue
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _WRITTEN_AT)
            entry.external_attr, entry.create_system = _PLAIN_FILE, _ON_UNIX
            written.writestr(entry, path.read_bytes())
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make package", description=__doc__)
    parser.add_argument("app", nargs="?", choices=APPS, metavar="APP", help=" | ".join(APPS))
    parser.add_argument(
        "--exporters", action="store_true", help="require the exporters of docs/telemetry.md too"
    )
    asked = parser.parse_args(arguments)
    for app in [asked.app] if asked.app else APPS:
        try:
            folder = package(app, BUILD / app, with_exporters=asked.exporters)
        except NotPackaged as problem:
            print(f"{app}: {problem}", file=sys.stderr)
            return 1
        written = archive(folder, folder.with_suffix(".zip"))
        size = written.stat().st_size
        lines = (folder / "requirements.txt").read_text().splitlines()
        count = len({line.partition("==")[0] for line in lines if "==" in line})
        place = written.relative_to(BUILD.parent)
        print(f"{place}: {size / 1024:.0f} KiB, {count} requirements; {app}/README.md deploys it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
