"""The packages of all apps: each run by Azure's worker in its own environment, on one cloud."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.cloud_process import a_cloud
from tests.kit.durable_endpoint import DurableEndpoint, durable_endpoint
from tests.kit.packaged_apps import Worker, working
from tools.package import APPS, archive, package

TENANT: Final = "acme"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return what each zip unpacks to."""
    written, home = tmp_path_factory.mktemp("written"), tmp_path_factory.mktemp("packages")
    for app in APPS:
        target = archive(package(app, written / app), written / f"{app}.zip")
        with zipfile.ZipFile(target) as packed:
            packed.extractall(home / app)
    return {app: home / app for app in APPS}


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> LocalIssuer:
    folder = tmp_path_factory.mktemp("issuer")
    return LocalIssuer(folder, DEV_ISSUER, AUDIENCE, SystemClock(), SystemEntropy())


@pytest.fixture(scope="session")
def token(issuer: LocalIssuer) -> str:
    return issuer.token(TENANT, "ann", ("Runtime.Admin",))


@pytest.fixture(scope="session")
def settings(
    issuer: LocalIssuer, token: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """Return the settings of every app, which all use one local cloud that runs."""
    del token  # which made the keys
    home = tmp_path_factory.mktemp("cloud")
    with a_cloud(home / "cloud", "--agent-folder", str(home / "agent")) as connections:
        yield {
            **connections,
            "RUNTIME_PROFILE": "local",
            "RUNTIME_ISSUER_KEYS": str(issuer.folder / "jwks.json"),
            "RUNTIME_GATEWAY_URL": "http://127.0.0.1:7071",
        }


@pytest.fixture(scope="session")
def durable() -> Iterator[DurableEndpoint]:
    with durable_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def worker(
    packages: Mapping[str, Path],
    settings: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Worker]]:
    """Return the worker that has an app loaded, started when it is first asked for."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as running:

        @cache
        def started(app: str) -> Worker:
            log = logs / f"{app}.log"
            return running.enter_context(working(packages[app], settings, log)).load()

        yield started
