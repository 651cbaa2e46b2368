"""`python -m local_host.front_end APP…`: run each app in processes of its own, under one address.

The apps share nothing but what the connections of their settings reach. SIGINT and SIGTERM end it,
and with it its instances; they end as well when this process is killed.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from local_host.agent_process import AgentProcess
from local_host.front_end.front_end import FrontEnd, forwarding_session
from local_host.front_end.instance import GRACE_S, AppProcess, Instance
from local_host.http_trigger.http_server import HttpServer
from local_host.state_lock import LOCK, StateInUse, StateLock
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.cores import write_no_core
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.kernel.port_numbers import port_number
from shared.persistence.bounded_logs import keep_bounded
from shared.persistence.held_paths import first_removed
from shared.persistence.plain_files import read_plain
from shared.surfaces.local_process import write_api_url

_log = logging.getLogger("local_host.front_end")
EXIT_USAGE: Final = 2
EXIT_PORT_TAKEN: Final = 3
EXIT_STATE_IN_USE: Final = 4
EXIT_STATE_REMOVED: Final = 5
_AGENT_EVERY_S: Final = 1.0
_INSTANCES_MAX: Final = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; return the exit code."""
    asked = _parser().parse_args(arguments)
    os.umask(0o077)
    write_no_core()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        _settings_by_app(asked.settings, asked.folders)
        (asked.state / "logs").mkdir(parents=True, exist_ok=True)
        lock = StateLock(asked.state)
    except (ValueError, OSError, Unavailable, StateInUse) as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return EXIT_STATE_IN_USE if isinstance(problem, StateInUse) else EXIT_USAGE
    try:
        return asyncio.run(_serve(asked))
    finally:
        lock.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_host.front_end",
        description="Run Function Apps on this machine, each in processes of its own.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="packages of apps")
    parser.add_argument(
        "--port", type=port_number, required=True, help="of the front end; 0: any free one"
    )
    parser.add_argument("--state", type=Path, required=True, help="folder of the apps' hosts")
    parser.add_argument(
        "--settings",
        type=Path,
        required=True,
        metavar="FILE",
        help="settings of each app by its name: identity-settings.json of a local cloud",
    )
    parser.add_argument(
        "--archives",
        type=Path,
        required=True,
        metavar="FILE",
        help="settings with the account of the archives, for the agent: app-settings.json",
    )
    parser.add_argument(
        "--instances",
        type=int,
        default=1,
        choices=range(1, _INSTANCES_MAX + 1),
        metavar="N",
        help="processes of each app (default: %(default)s)",
    )
    return parser


def _settings_by_app(file: Path, folders: Sequence[Path]) -> Mapping[str, Mapping[str, str]]:
    """Return the settings of each app in *file*. Raises ValueError, OSError."""
    found = json.loads(read_plain(file))
    names = [_name(folder) for folder in folders]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))}: an app is given once")
    missing = [
        name
        for name in names
        if not isinstance(found, dict) or not isinstance(found.get(name), dict)
    ]
    if missing:
        raise ValueError(f"{file} has no settings of {', '.join(missing)}")
    return {name: {key: str(value) for key, value in found[name].items()} for name in names}


def _name(folder: Path) -> str:
    """Return the app's name as in paths and identities: `secret-bindings`."""
    return folder.resolve().name.replace("_", "-")


async def _serve(asked: argparse.Namespace) -> int:
    clock, entropy = SystemClock(), SystemEntropy()
    state: Path = asked.state.resolve()
    server = HttpServer("127.0.0.1", asked.port, grace_s=GRACE_S)
    try:
        server.open()
    except OSError as problem:
        print(f"cannot listen on port {asked.port}: {problem.strerror}", file=sys.stderr)  # noqa: T201
        return EXIT_PORT_TAKEN
    async with forwarding_session() as session:
        starts = asyncio.Semaphore(os.cpu_count() or 1)
        instances = {
            app.name: [
                Instance(
                    *(app, number, state / "logs" / f"{app.name}-{number}.log"),
                    *(session, clock, starts),
                )
                for number in range(1, asked.instances + 1)
            ]
            for app in (
                _app_process(folder.resolve(), state, asked.settings.resolve(), server.port)
                for folder in asked.folders
            )
        }
        # One of each app before a second one of any.
        all_instances = [
            each for of_number in zip(*instances.values(), strict=True) for each in of_number
        ]
        write_api_url(state, f"http://127.0.0.1:{server.port}")
        agent = AgentProcess(state, clock, asked.archives.resolve())
        work = [
            asyncio.create_task(_keep_agent(agent, clock)),
            asyncio.create_task(keep_bounded(lambda: (state / "logs").glob("*.log"), clock)),
            *(asyncio.create_task(each.run(), name=each.name) for each in all_instances),
        ]
        front_end = FrontEnd(instances, session, clock, entropy)
        await server.start(front_end.handle, clock, check=front_end.check)
        _log.info("front end of %s on http://127.0.0.1:%d", ", ".join(instances), server.port)
        code = await _wait_for_end(state, clock)
        await server.stop()
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await asyncio.gather(*(each.stop() for each in all_instances))
    return code


def _app_process(folder: Path, state: Path, settings: Path, port: int) -> AppProcess:
    name = _name(folder)
    alive = f"/v1/platform/{name}/alive"
    environ = partial(_environ, folder, state, settings, port)
    return AppProcess(name, folder, state / "apps" / name, environ, alive)


def _environ(folder: Path, state: Path, settings: Path, port: int) -> Mapping[str, str]:
    """Return the environ of an instance that starts now: the local cloud may have moved since.

    Raises OSError where the file *settings* cannot be used now.
    """
    try:
        own = _settings_by_app(settings, [folder])
    except ValueError as damaged:
        raise OSError(str(damaged)) from damaged
    # A host names itself: the name that its caller has is another host's.
    inherited = {n: v for n, v in os.environ.items() if n != "WEBSITE_HOSTNAME"}
    return {
        **inherited,
        "RUNTIME_PROFILE": "local",
        "RUNTIME_ISSUER_KEYS": str(state / "issuer" / "jwks.json"),
        **own[_name(folder)],
        "RUNTIME_GATEWAY_URL": f"http://127.0.0.1:{port}",
        "PYTHONUNBUFFERED": "1",
    }


async def _keep_agent(agent: AgentProcess, clock: Clock) -> None:
    while True:
        try:
            await asyncio.to_thread(agent.ensure)
        except (OSError, Unavailable) as refused:
            _log.warning("the agent could not be started: %s; it is tried again", refused)
        await clock.sleep(_AGENT_EVERY_S)


async def _wait_for_end(state: Path, clock: Clock) -> int:
    """Return the exit code once told to stop, or once the folder *state* is another or gone."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    removed = asyncio.ensure_future(first_removed([state, state / LOCK], clock))
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((removed, told), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if removed.done():
        code = EXIT_STATE_REMOVED
        _log.error("%s was removed or replaced: this front end ends", removed.result())
    for waiting in (removed, told):
        waiting.cancel()
    return code


if __name__ == "__main__":
    sys.exit(main())
