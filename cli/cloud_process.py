"""The local cloud's process of a state folder: start, find, stop. It outlives its command."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cli.background_process import BackgroundProcess
from cli.host_process import find_holder
from cli.state_folder import StateFolder, read_json
from local_agent.process_identity import ProcessIdentity
from local_cloud.process import ADDRESSES, APP_SETTINGS, IDENTITY_SETTINGS, LOCK, LOG, PORTS
from shared.kernel.clock import Clock

READY_WITHIN_S: Final = 60.0
"""Beside others it takes 10 s; one that ends meanwhile is told at once."""
STOPPED_WITHIN_S: Final = 15.0
_BUS: Final = frozenset({"service-bus", "service-bus-tls"})


def find_cloud(folder: StateFolder) -> ProcessIdentity | None:
    """Return the process of the local cloud of *folder*, None where none runs."""
    return find_holder(folder.cloud / LOCK)


def app_settings(folder: StateFolder) -> Mapping[str, str] | None:
    """Return what the local cloud of *folder* has written for apps; None before it is ready."""
    found = read_json(settings_file(folder))
    return None if found is None else {name: str(value) for name, value in found.items()}


def identity_settings(folder: StateFolder) -> Mapping[str, Mapping[str, str]]:
    """Return what the local cloud of *folder* has written for each identity, by its name."""
    return read_json(identity_settings_file(folder)) or {}


def identity_settings_file(folder: StateFolder) -> Path:
    """Return where the local cloud of *folder* writes the settings of each identity."""
    return folder.cloud / IDENTITY_SETTINGS


def addresses(folder: StateFolder) -> Mapping[str, str]:
    """Return where the services of the local cloud of *folder* listen."""
    return read_json(folder.cloud / ADDRESSES) or {}


def cloud_options(
    folder: StateFolder, ports: Mapping[str, int] | None = None, broker: Path | None = None
) -> Sequence[str]:
    """Return the options of `python -m local_cloud` for *folder*, each service on its port or any.

    *broker* is a file that declares more queues and topics. Without AMQP in this Python, Service
    Bus is left out.
    """
    given = ports or {}
    served = [name for name in PORTS if name not in _BUS or find_spec("proton") is not None]
    chosen = [part for name in served for part in (f"--{name}-port", str(given.get(name, 0)))]
    declared = [] if broker is None else ["--broker", str(broker.resolve())]
    return [*chosen, *declared, "--agent-folder", str(folder.path)]


def other_port(folder: StateFolder, ports: Mapping[str, int]) -> str | None:
    """Return the first service of the running cloud that is not on its port in *ports*."""
    listening = {name: urlsplit(addresses(folder).get(name, "")).port for name in PORTS.values()}
    return next(
        (
            service
            for name, service in PORTS.items()
            if ports.get(name, 0) not in {0, listening[service]}
        ),
        None,
    )


def start_cloud(folder: StateFolder, options: Sequence[str], clock: Clock) -> int:
    """Start a local cloud in a session of its own; return its process id when it is ready.

    Raises:
        Failure: it did not start; the message has its last output.
    """
    return _process(folder).start(options, lambda: app_settings(folder) is not None, clock)


def stop_cloud(folder: StateFolder, clock: Clock) -> int | None:
    """Terminate the local cloud, and kill it after a timeout; return its pid, None without one."""
    identity = _process(folder).end(lambda: find_cloud(folder), clock)
    return None if identity is None else identity.pid


def _process(folder: StateFolder) -> BackgroundProcess:
    return BackgroundProcess(
        name="local cloud",
        module="local_cloud",
        folder=folder.cloud,
        log=_log_file(folder),
        ready_file=settings_file(folder),
        started_by="runtimectl cloud up",
        ready_within_s=READY_WITHIN_S,
        stopped_within_s=STOPPED_WITHIN_S,
    )


def settings_file(folder: StateFolder) -> Path:
    """Return where the local cloud of *folder* writes the settings of apps."""
    return folder.cloud / APP_SETTINGS


def _log_file(folder: StateFolder) -> Path:
    return folder.cloud / LOG
