"""The local cloud as a process of its own: what Azure's data plane is to the apps, on one machine.

    python -m local_cloud --state .factory/cloud

It declares the platform's containers and entities, and the queues and topics of another application
that `--broker` names in the form of the Service Bus emulator's Config.json. It writes the settings
of an app that uses it to its state folder, for its own user only: `app-settings.json` with keys of
its own, and `identity-settings.json` by identity, for each app. What was not declared is refused,
as in Azure, and so is who has not the role.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from local_cloud.account_keys import kept_keys
from local_cloud.broker.declaration import load_topology
from local_cloud.broker.topology import Topology
from local_cloud.cloud import CloudSettings, IdentityPorts, LocalCloud
from local_cloud.cosmos_endpoint.account import Account
from local_cloud.identity_services import IdentityServices
from local_cloud.infrastructure.endpoint import engine_of, serve_engine
from local_cloud.kept_ports import chosen_ports, last_addresses
from local_cloud.listeners import NotInstalled, PortTaken, StoragePorts
from local_cloud.process import ADDRESSES, APP_SETTINGS, IDENTITY_SETTINGS, LOCK, LOG, PORTS
from local_cloud.runtime_containers import runtime_containers
from local_cloud.runtime_topology import runtime_topology
from local_cloud.sqlite.database import Database
from local_cloud.storage import LocalStorage
from shared.composition.cluster_settings import cluster_of
from shared.composition.settings import LOCAL, PROFILE, read_settings
from shared.contracts.events import BUILT
from shared.contracts.storage import CONTAINERS, DATABASE, TABLES
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.cores import write_no_core
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Invalid, Unavailable
from shared.kernel.port_numbers import port_number
from shared.persistence.bounded_logs import keep_bounded
from shared.persistence.disk_errors import reason_of
from shared.persistence.held_paths import first_removed
from shared.persistence.lock_files import read_owner, take_lock, write_owner
from shared.persistence.plain_files import write_private

AGENT_FOLDER: Final = "RUNTIME_AGENT_FOLDER"
ENGINE_FOLDER: Final = "RUNTIME_ENGINE_FOLDER"
EXIT_USAGE: Final = 2
EXIT_STATE_IN_USE: Final = 4
EXIT_STATE_REMOVED: Final = 5
_CHOICES: Final = 5
"""How often a first start chooses ports: each may be taken before its listener starts."""
_log = logging.getLogger(__name__)


def main() -> int:
    asked = _parser().parse_args()
    write_no_core()
    os.umask(0o077)  # documents, messages and blobs are their owner's
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    state = asked.state.resolve()
    try:
        return _run(asked, state)
    except (Invalid, NotInstalled, PortTaken, Unavailable) as problem:
        print(problem, file=sys.stderr)  # noqa: T201
    except OSError as problem:
        print(f"{state} cannot be used: {reason_of(problem)}", file=sys.stderr)  # noqa: T201
    return EXIT_USAGE


def _run(asked: argparse.Namespace, state: Path) -> int:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = take_lock(state / LOCK)
    if lock is None:
        owner = read_owner(state / LOCK) or "unknown"
        print(f"{state} is in use by the local cloud with process id {owner}", file=sys.stderr)  # noqa: T201
        return EXIT_STATE_IN_USE
    write_owner(lock, os.getpid())
    agent_folder = None if asked.agent_folder is None else asked.agent_folder.resolve()
    given = {getattr(asked, name) for name in PORTS}
    for _ in range(_CHOICES - 1):
        try:
            return asyncio.run(_serve(state, _settings(asked, state), agent_folder))
        except PortTaken as taken:
            if taken.port in given or (state / ADDRESSES).exists():
                raise
            _log.info(
                "port %s of %s was taken meanwhile: ports are chosen again",
                taken.port, taken.service,
            )  # fmt: skip
    return asyncio.run(_serve(state, _settings(asked, state), agent_folder))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_cloud", description="Run a local cloud.")
    parser.add_argument("--state", type=Path, default=Path(".factory/cloud"), help="its folder")
    for name, service in PORTS.items():
        is_bus = name == "service-bus"
        parser.add_argument(
            f"--{name}-port",
            dest=name,
            type=port_number,
            default=None if is_bus else 0,
            help=f"of {service}; 0: that of the last start, at the first any free one"
            + ("; Service Bus is served only if it is given" if is_bus else ""),
        )
    parser.add_argument(
        "--broker",
        type=Path,
        metavar="FILE",
        help="queues and topics of another application, beside the platform's, in the form of the"
        " Service Bus emulator's Config.json; they stay when it is not given again",
    )
    parser.add_argument(
        "--agent-folder",
        type=Path,
        metavar="DIR",
        help="state folder of a local agent, for environments on this machine (default: none)",
    )
    return parser


def _settings(asked: argparse.Namespace, state: Path) -> CloudSettings:
    """Return what *asked* names, with the ports of the last start where it names none."""
    given = {name: port for name, port in vars(asked).items() if name in PORTS and port is not None}
    chosen = chosen_ports(
        {PORTS[name]: port for name, port in given.items()},
        last_addresses(state / ADDRESSES),
        SystemEntropy(),
    )
    ports = {name: chosen[PORTS[name]] for name in given}
    return CloudSettings(
        _topology(asked.broker),
        ports["cosmos"],
        ports.get("service-bus"),
        StoragePorts(ports["blob"], ports["table"]),
        kept_keys(state / "accounts"),
        IdentityPorts(
            tokens=ports["token"],
            key_vault=ports["key-vault"],
            cosmos=ports["cosmos-https"],
            service_bus=ports["service-bus-tls"],
            tables=ports["table-https"],
            blobs=ports["blob-https"],
        ),
    )


def _topology(declared: Path | None) -> Topology:
    """Return the platform's entities and those of the file *declared*. Raises Invalid."""
    own = runtime_topology(BUILT)
    if declared is None:
        return own
    try:
        others = load_topology(declared)
        return Topology([*own.topics, *others.topics], [*own.queues, *others.queues])
    except (Invalid, OSError) as problem:
        reason = reason_of(problem) if isinstance(problem, OSError) else problem
        raise Invalid(f"--broker {declared}: {reason}") from problem


async def _serve(state: Path, settings: CloudSettings, agent_folder: Path | None) -> int:
    clock, entropy, stopping = SystemClock(), SystemEntropy(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    database = Database(state / "broker.db")
    storage = LocalStorage(state, clock, in_memory=False)
    try:
        async with AsyncExitStack() as opened:
            identities = IdentityServices(state, clock, entropy)
            opened.push_async_callback(identities.close)
            cloud = LocalCloud(
                database, storage, settings, clock=clock, entropy=entropy, identities=identities
            )
            folders: dict[str, str] = {}
            if agent_folder is not None:
                given = cluster_of(os.environ)
                app = read_settings({PROFILE: LOCAL, **given})
                engine = engine_of(agent_folder, app, identities.vaults, clock, entropy)
                await opened.enter_async_context(serve_engine(engine, state, entropy))
                folders = {AGENT_FOLDER: str(agent_folder), ENGINE_FOLDER: str(state), **given}
            if (state / ADDRESSES).exists() and not storage.database_names():
                _log.warning(
                    "a cloud ran in %s before, and its databases are gone: this one starts empty;"
                    " to have them, stop it and restore the folder `databases`", state,
                )  # fmt: skip
            await declare(storage)
            opened.push_async_callback(cloud.stop)  # also what a start that fails has opened
            await cloud.start()
            _write_settings(state, cloud, folders)
            _log.info("local cloud ready; its settings for an app: %s", state / APP_SETTINGS)
            return await _wait_for_end(state, stopping, clock)
    finally:
        storage.close()
        database.close()


async def _wait_for_end(state: Path, stopping: asyncio.Event, clock: Clock) -> int:
    """Return the exit code once told to stop, or once the folder *state* is another or gone."""
    bounding = asyncio.ensure_future(keep_bounded(lambda: [state / LOG], clock))
    removed = asyncio.ensure_future(first_removed([state, state / LOCK], clock))
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((removed, told, bounding), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if removed.done():
        code = EXIT_STATE_REMOVED
        _log.error(
            "%s was removed or replaced: this local cloud ends, as what it keeps is gone",
            removed.result(),
        )
    for waiting in (bounding, removed, told):
        waiting.cancel()
    return code


def _write_settings(state: Path, cloud: LocalCloud, folders: Mapping[str, str]) -> None:
    """Write what apps and commands read; the file last by which the cloud is known to be ready."""
    by_identity = {name: {**folders, **own} for name, own in cloud.identity_settings().items()}
    for name, content in (
        (ADDRESSES, cloud.addresses()),
        (IDENTITY_SETTINGS, by_identity),
        (APP_SETTINGS, {**folders, **cloud.app_settings()}),
    ):
        write_private(state / name, json.dumps(content, indent=2).encode())


async def declare(storage: LocalStorage) -> None:
    """Make the platform's containers, tables and blob containers, unless they are there."""
    for table in TABLES:
        storage.table(table)
    for container in CONTAINERS:
        storage.blobs(container)
    account = Account(storage)
    if all(known["id"] != DATABASE for known in account.databases()):
        account.create_database(DATABASE)
    present = {container.name for container in account.containers(DATABASE)}
    for definition in runtime_containers():
        if definition["id"] not in present:
            await account.create_container(DATABASE, definition)


if __name__ == "__main__":
    sys.exit(main())
