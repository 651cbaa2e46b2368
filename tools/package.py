"""Writes the folder of one app, in the form that the embedded host, Core Tools and Azure take.

    python -m tools.package environments        → build/environments/

The embedded host starts it, with its own parts or with connections of the settings. Azure's worker
was never asked to; an app that needs the Pulumi engine refuses outside that host. The worker
imports `function_app.py` by its stem from the app's own root, so the root has one file that binds
the service, and beside it only what the service imports.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
APPS: Final = tuple(
    sorted(path.parent.name for path in ROOT.glob("function_apps/*/function_app.py"))
)
_SKIPPED: Final = shutil.ignore_patterns("__pycache__", "*.pyc")
_ROOT_FILE: Final = '''"""The app {app}, deployed alone."""

import os

import azure.durable_functions as df
import azure.functions as func

from function_apps.{app} import function_app as service

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(service.bound(os.environ))
'''


def package(app: str, target: Path) -> Path:
    """Write *app* into *target*, which is emptied first, and return it."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "function_apps").mkdir(parents=True)
    shutil.copytree(ROOT / "shared", target / "shared", ignore=_SKIPPED)
    shutil.copytree(ROOT / "function_apps" / app, target / "function_apps" / app, ignore=_SKIPPED)
    shutil.copy(ROOT / "function_apps" / "__init__.py", target / "function_apps")
    if app == "environments":  # it evaluates the environment programs
        shutil.copytree(ROOT / "infra", target / "infra", ignore=_SKIPPED)
    for name in ("requirements.txt", "local.settings.sample.json"):
        shutil.copy(ROOT / name, target)
    # Apps that share storage take each other's work if their task hubs have one name.
    host = json.loads((ROOT / "host.json").read_text())
    durable = host["extensions"]["durableTask"]
    durable["hubName"] += app.title().replace("_", "")
    (target / "host.json").write_text(json.dumps(host, indent=2) + "\n")
    (target / "function_app.py").write_text(_ROOT_FILE.format(app=app))
    return target


def main() -> int:
    parser = argparse.ArgumentParser(prog="make package", description=__doc__)
    parser.add_argument("app", choices=APPS, metavar="APP", help=" | ".join(APPS))
    chosen = parser.parse_args().app
    target = package(chosen, ROOT / "build" / chosen)
    place = target.relative_to(ROOT)
    sys.stdout.write(
        f"{place}: copy its local.settings.sample.json to local.settings.json and run it with"
        f" python -m local_host {place};"
        " it was never tried in Azure (docs/limits.md)\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
