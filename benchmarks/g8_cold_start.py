"""G8: the start of each packaged app beside the import of the libraries that no app can do without.

Ours is what Azure's worker does with a package at a cold start: it imports `function_app.py` and
indexes it. The floor is `azure.functions`, `azure.durable_functions` and pydantic with one model.
Both run in the package's own environment (Python 3.13), in turn, each in a process of its own. The
figures are ratios of processor time: the machine is shared, and a start waits for nothing else.
That no Azure SDK is loaded is a test, in `tests/packages`.

Run as `.venv/bin/python benchmarks/g8_cold_start.py`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.rounds import NOT_MEASURED, judge  # noqa: E402
from tools.package import APPS, archive, package  # noqa: E402
from tools.package_environment import NoPython, environment  # noqa: E402

RATIO_MAX = 1.15
ROUNDS = 7
TAKEN = "print(time.process_time() - began)"
FLOOR = f"""
import time
began = time.process_time()
import azure.functions, azure.durable_functions, pydantic
class Model(pydantic.BaseModel):
    text: str
{TAKEN}
"""
START = f"""
import time
began = time.process_time()
import function_app
functions = function_app.app.get_functions()
{TAKEN}
"""
SETTINGS = {
    "RUNTIME_PROFILE": "local",
    "CosmosDB": "AccountEndpoint=http://127.0.0.1:1;AccountKey=a2V5",
    "ServiceBus": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=name;SharedAccessKey=key",
    "Storage": "UseDevelopmentStorage=true",
    "RUNTIME_ISSUER_KEYS": "jwks.json",
    "RUNTIME_AGENT_FOLDER": "agent",
    "RUNTIME_ENGINE_FOLDER": "engine",
    "RUNTIME_GATEWAY_URL": "http://127.0.0.1:1",
    "KeyVault__vaultUri": "https://127.0.0.1:1",
}
"""Of a local cloud that does not run: nothing connects before the first use."""


def taken_s(package: Path, program: str) -> float:
    command = [environment(package), "-P", "-c", program]
    environ = {"PYTHONPATH": ".", **SETTINGS}
    ended = subprocess.run(
        command, cwd=package, env=environ, check=True, capture_output=True, text=True
    )
    return float(ended.stdout)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        packages = {app: package(app, Path(folder, app)) for app in APPS}
        try:
            for each in packages.values():
                for program in (FLOOR, START):  # writes the bytecode
                    taken_s(each, program)
        except NoPython as why:
            print(f"G8 was not measured: {why}")
            return NOT_MEASURED
        for app, each in packages.items():
            size = archive(each, Path(folder, f"{app}.zip")).stat().st_size
            lines = (each / "requirements.txt").read_text().splitlines()
            count = len({line.partition("==")[0] for line in lines if "==" in line})
            print(f"  {app}: zip {size / 1024:.0f} KiB, {count} requirements")
        rounds = [
            {app: taken_s(each, START) / taken_s(each, FLOOR) for app, each in packages.items()}
            for _ in range(ROUNDS)
        ]
    print(f"G8 start of a package, times the import of its libraries (median of {ROUNDS} rounds)")
    return judge("G8", rounds, dict.fromkeys(APPS, RATIO_MAX))


if __name__ == "__main__":
    sys.exit(main())
