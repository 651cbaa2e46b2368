"""The peer of G4: azure-functions-durable as shipped, in a process where nothing has changed it.

Reads the bodies of a workflow's episodes (JSON lines) from a file, then per line of stdin replays
the `last` of them ten times, or `all` once, and answers with the seconds taken by one of those and
the actions of the last.
"""

import json
import sys
import time
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import azure.durable_functions as df

warnings.simplefilter("ignore")


def steps(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    value = 0
    for _ in range(250):
        value = yield context.call_activity("step", value)
    return value


def main() -> None:
    bodies = Path(sys.argv[1]).read_text().splitlines()
    handler = df.Orchestrator.create(steps)
    print("ready", flush=True)
    for line in sys.stdin:
        times = 10 if line.strip() == "last" else 1
        chosen = bodies[-1:] * times if times > 1 else bodies
        began = time.perf_counter()
        answer = ""
        for body in chosen:
            answer = handler(body)
        taken_s = (time.perf_counter() - began) / times
        print(json.dumps({"s": taken_s, "actions": json.loads(answer)["actions"]}), flush=True)


if __name__ == "__main__":
    main()
