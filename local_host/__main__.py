"""`python -m local_host [DIR…]`: run Function Apps on this machine.

SIGINT and SIGTERM stop gracefully, within a bounded time; a second one ends the process at once.
Nothing that was acknowledged is lost by either, nor by SIGKILL.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from local_host.apps import configuration
from local_host.apps.app_folders import apps_in, take_settings, topology_for
from local_host.invocation.overdue_runs import THREAD_NAME
from local_host.model import App
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.cores import write_no_core
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.open_files import allow_open_files
from shared.kernel.port_numbers import port_number

if TYPE_CHECKING:
    from local_host.host import Host

_log = logging.getLogger("local_host")
DEFAULT_PORT: Final = 7071
EXIT_USAGE: Final = 2
EXIT_PORT_TAKEN: Final = 3
EXIT_STATE_IN_USE: Final = 4
EXIT_STATE_REMOVED: Final = 5
EXIT_AT_ONCE: Final = 130
_INPUT_BYTES: Final = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; return the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.join and (asked.broker, asked.cosmos_port, asked.service_bus_port) != (None,) * 3:
        parser.error(
            "--join: instances share a cloud beside them, so none of them has --broker,"
            " --cosmos-port or --service-bus-port; `runtimectl cloud up` runs one"
        )
    # Queues, histories and stores are for the eyes of who started the host.
    os.umask(0o077)
    write_no_core()
    allow_open_files()  # a socket for each instance that follows its configuration
    try:
        asked.state.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        print(  # noqa: T201
            f"{asked.state} cannot be the state folder: {problem.strerror};"
            " choose another with --state",
            file=sys.stderr,
        )
        return EXIT_USAGE
    missing = [str(folder) for folder in asked.folders if not folder.is_dir()]
    if missing:
        print(f"no such folder: {', '.join(missing)}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    apps = apps_in(asked.folders)
    for app in apps:
        assert app.folder is not None, app
        # For what an app imports by name while it runs; its own import statements need no help.
        sys.path.append(str(app.folder))
    # The apps are configured from what was there before their own files went into the environment.
    environ = dict(os.environ)
    notes = take_settings(apps, os.environ)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return _run(runner.get_loop(), _serve(apps, asked, environ, notes, SystemClock()))


def _run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, int]) -> int:
    """Run *main* to its end, whatever tasks and callbacks that an app has left behind throw."""
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt):
            if task.done():
                raise
            _log.exception("a task or callback of an app wanted to end the process; it has ended")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_host", description="Run Azure Function Apps on this machine."
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        default=[Path()],
        metavar="DIR",
        help="folders with a function_app.py and host.json (default: the current one)",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        help=f"default: LocalHttpPort of local.settings.json, else {DEFAULT_PORT}; 0: any free one",
    )
    parser.add_argument(
        "--address", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=Path(".factory"),
        help="folder for queues, histories and timers (default: %(default)s)",
    )
    parser.add_argument(
        "--broker",
        type=Path,
        metavar="FILE",
        help="queues and topics, in the form of the Service Bus emulator's Config.json",
    )
    parser.add_argument(
        "--cosmos-port",
        type=port_number,
        metavar="PORT",
        help="serve the apps' stores to azure-cosmos clients, with the emulator's key",
    )
    parser.add_argument(
        "--service-bus-port",
        type=port_number,
        metavar="PORT",
        help="serve the queues and topics to azure-servicebus clients, with the emulator's key",
    )
    parser.add_argument("--auth", action="store_true", help="ask for access keys, as Azure does")
    parser.add_argument(
        "--grace",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long a stop waits for what runs (default: %(default)s)",
    )
    _add_instance_options(parser)
    return parser


def _add_instance_options(parser: argparse.ArgumentParser) -> None:
    """Add what a front end says to the instances that it starts."""
    parser.add_argument(
        "--join",
        action="store_true",
        help="run beside the hosts of the state folder that were started so, as one more instance"
        " of the same apps; one of them runs timers and orchestrations, another when that ends",
    )
    parser.add_argument(
        "--announce",
        type=int,
        metavar="DESCRIPTOR",
        help="write the address to this open file once functions are ready, and close it",
    )
    parser.add_argument(
        "--end-with-input",
        action="store_true",
        help="stop when standard input is closed, as it is when the process that started this ends",
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  absent on Windows
    except ImportError:
        return None
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new_loop


async def _serve(
    apps: Sequence[App],
    asked: argparse.Namespace,
    environ: Mapping[str, str],
    notes: Sequence[str],
    clock: Clock,
) -> int:
    from local_cloud.cloud import CloudSettings  # noqa: PLC0415
    from local_host import boot_report  # noqa: PLC0415  after the arguments are known to be right
    from local_host.host import Host, HostSettings  # noqa: PLC0415
    from local_host.http_trigger.cors import cors_of  # noqa: PLC0415

    began_s = clock.monotonic_s()
    terminal = boot_report.standard_output()
    shown = boot_report.ShownRecords()
    boot_report.log_to(terminal, sys.stderr, shown)
    first = apps[0].folder
    assert first is not None, apps
    try:
        topology = topology_for(apps, asked.broker)
    except (Invalid, OSError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        terminal.line(f"--broker {asked.broker}: {reason}")
        return EXIT_USAGE
    settings = HostSettings(
        port=_port(asked.port, first),
        address=asked.address,
        checks_keys=asked.auth,
        joins=asked.join,
        cors=cors_of(_local(first)),
        grace_s=asked.grace,
        environ=environ,
        cloud=CloudSettings(topology, asked.cosmos_port, asked.service_bus_port),
    )
    host = Host(apps, settings, folder=asked.state.resolve(), clock=clock)
    shown.host = host
    stopping = _on_signals(asyncio.get_running_loop(), terminal.line)
    if asked.end_with_input:
        _set_at_end_of_input(stopping)
    if (refused := await _start(host, asked, terminal.line)) is not None:
        return refused
    await host.ensure_agent()
    terminal.report_boot(host, clock.monotonic_s() - began_s)
    for note in notes:
        terminal.line(f"warning: {note}")
    boot_report.report_no_function(terminal, host)
    if asked.announce is not None:
        with os.fdopen(asked.announce, "w") as announced:
            announced.write(f"{host.base_url}\n")
    exempt_from_collection()
    code = await _wait_for_end(host, asked.state.resolve(), stopping, terminal.line, clock)
    await host.stop()
    return code


async def _start(host: "Host", asked: argparse.Namespace, say: Callable[[str], None]) -> int | None:
    """Start *host*; return the exit code where it cannot be started, and say why."""
    from local_cloud.listeners import NotInstalled, PortTaken  # noqa: PLC0415
    from local_host.state_lock import StateInUse  # noqa: PLC0415

    try:
        await host.start()
    except OSError as problem:
        say(
            f"cannot listen on {host.settings.address}:{host.settings.port}: {problem.strerror};"
            " stop what uses the port, or choose another with --port"
        )
        return EXIT_PORT_TAKEN
    except (StateInUse, PortTaken, NotInstalled, configuration.ConfigurationRefused) as problem:
        say(str(problem))
        return EXIT_STATE_IN_USE if isinstance(problem, StateInUse) else EXIT_USAGE
    except Unavailable as problem:
        return _end_without_state(problem, asked.state, say)
    return None


def _end_without_state(problem: Unavailable, state: Path, say: Callable[[str], None]) -> int:
    say(f"{problem.message}; the state folder is {state}, --state is another")
    return EXIT_USAGE


async def _wait_for_end(
    host: "Host", state: Path, stopping: asyncio.Event, say: Callable[[str], None], clock: Clock
) -> int:
    """Return the exit code once *host* is told to stop, or can no longer use its folder *state*."""
    from local_host.state_lock import LOCK  # noqa: PLC0415
    from shared.persistence.held_paths import first_removed  # noqa: PLC0415

    removed = asyncio.ensure_future(first_removed([state, state / LOCK], clock))
    told = asyncio.ensure_future(stopping.wait())
    failed = asyncio.ensure_future(host.failed_takeover())
    await asyncio.wait((removed, told, failed), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if failed.done():
        try:
            failed.result()
        except Unavailable as problem:
            code = _end_without_state(problem, state, say)
    elif removed.done():
        code = EXIT_STATE_REMOVED
        say(
            f"{removed.result()} was removed or replaced: this host ends, as what it keeps is gone;"
            " start it again, and stop it before you remove its state folder"
        )
    for waiting in (removed, told, failed):
        waiting.cancel()
    return code


def exempt_from_collection() -> None:
    """Tell the garbage collector that what booting made stays as long as the process.

    Each full collection would walk all of it, modules and SDKs included: a tenth of a request.
    """
    gc.collect()
    gc.freeze()


def _port(asked: int | None, folder: Path) -> int:
    if asked is not None:
        return asked
    port = str(_local(folder).get("LocalHttpPort", DEFAULT_PORT))
    return int(port) if port.isdigit() else DEFAULT_PORT


def _local(folder: Path) -> Mapping[str, Any]:
    """Return the `Host` section of the first app; a broken file is reported by indexing."""
    try:
        return configuration.local_http(folder)
    except configuration.ConfigurationRefused:
        return {}


def _on_signals(loop: asyncio.AbstractEventLoop, say: Callable[[str], None]) -> asyncio.Event:
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(EXIT_AT_ONCE)
        say("stopping; once more ends it at once")
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping


def _set_at_end_of_input(stopping: asyncio.Event) -> None:
    """Set *stopping* when standard input is closed."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, _INPUT_BYTES):
            loop.remove_reader(descriptor)
            stopping.set()

    loop.add_reader(descriptor, read)


def _end(code: int) -> NoReturn:
    """End the process, for whose end Python would wait while a plain function does not return."""
    if any(thread.name.startswith(THREAD_NAME) for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _end(main())
