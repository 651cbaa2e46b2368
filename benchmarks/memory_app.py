"""All services over a surface in memory: an app for the embedded host, real but for what runs.

Each service is built by its own `build`; surface, what is provisioned, and prober are the in-memory
adapters that pass the contract suites, here on the real clock. Clients send 30 requests a second to
each component. `folder_in` makes the folder that `python -m local_host` takes.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

from function_apps.catalog import function_app as catalog
from function_apps.catalog.triggers import blueprint as catalog_blueprint
from function_apps.configurations import function_app as configurations
from function_apps.configurations.triggers import blueprint as configurations_blueprint
from function_apps.deployments import function_app as deployments
from function_apps.deployments.triggers import blueprint as deployments_blueprint
from function_apps.environments import function_app as environments
from function_apps.environments.triggers import blueprint as environments_blueprint
from function_apps.health import function_app as health
from function_apps.health.triggers import blueprint as health_blueprint
from function_apps.scaling import function_app as scaling
from function_apps.scaling.triggers import blueprint as scaling_blueprint
from function_apps.secret_bindings import function_app as secret_bindings
from function_apps.secret_bindings.triggers import blueprint as secret_bindings_blueprint
from function_apps.tenants import function_app as tenants
from function_apps.tenants.triggers import blueprint as tenants_blueprint
from local_host.embedded_parts import EmbeddedHost, EmbeddedParts
from shared.composition.embedded import installed_host
from shared.composition.settings import LOCAL, PROFILE, read_settings
from shared.contracts.values import ComputeTargetKind
from shared.infrastructure.port import InfrastructureEngine
from shared.probing.result import ProbeResult
from shared.surfaces.port import Surface
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_engine import MemoryCloud, memory_engine
from tests.kit.memory_surface import MemorySurface

REQUESTS_PER_S = 30.0
ROOT = Path(__file__).resolve().parent.parent


class MemoryParts(EmbeddedParts):
    """The parts of *host*, except that workloads and environments are in memory."""

    def __init__(self, host: EmbeddedHost) -> None:
        super().__init__(host, read_settings({PROFILE: LOCAL, **os.environ}))
        self.cluster = MemoryCluster(host.clock, host.entropy, requests_per_s=REQUESTS_PER_S)
        self.surface = MemorySurface(self.cluster, has_vault=True)

    def surfaces(self) -> Mapping[ComputeTargetKind, Surface]:
        return {ComputeTargetKind.LOCAL_PROCESS: self.surface}

    def engine(self) -> InfrastructureEngine:
        return memory_engine(
            MemoryCloud(), {ComputeTargetKind.LOCAL_PROCESS: self.surface}, self.clock
        )


class PassingProber:
    """The instances in memory have no sockets; each is asked in vain, and answers."""

    async def probe(self, _url: str, _timeout_s: float) -> ProbeResult:
        return ProbeResult(True, "200", 3.0)


def whole_app() -> df.DFApp:
    host = installed_host()
    assert isinstance(host, EmbeddedHost), "this app runs in the embedded host"
    parts = MemoryParts(host)
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    for blueprint in (
        environments_blueprint(environments.build(parts.settings, parts)),
        deployments_blueprint(deployments.build(parts.settings, parts)),
        catalog_blueprint(catalog.build(parts.settings, parts)),
        configurations_blueprint(configurations.build(parts.settings, parts)),
        secret_bindings_blueprint(secret_bindings.build(parts.settings, parts)),
        tenants_blueprint(tenants.build(parts.settings, parts)),
        scaling_blueprint(scaling.build(parts.settings, parts)),
        health_blueprint(replace(health.build(parts.settings, parts), prober=PassingProber())),
    ):
        app.register_functions(blueprint)
    return app


def folder_in(base: Path) -> Path:
    """Make the app's folder in *base*: what the host finds there decides its topology too."""
    folder = base / "app"
    folder.mkdir()
    for name in ("host.json", "function_apps", "shared"):
        (folder / name).symlink_to(ROOT / name)
    source = "from benchmarks.memory_app import whole_app\n\napp = whole_app()\n"
    (folder / "function_app.py").write_text(source)
    return folder
