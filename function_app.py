"""All services in one app: what `RUNTIME_PROFILE=local python -m local_host` runs here.

`make package APP=…` writes an app with one service; the services do not know the difference.
Azure's worker starts this one too, with the settings that `make func-settings` writes.
"""

import os
from typing import Final

import azure.durable_functions as df
import azure.functions as func

from function_apps.catalog import function_app as catalog
from function_apps.configurations import function_app as configurations
from function_apps.deployments import function_app as deployments
from function_apps.drift import function_app as drift
from function_apps.environments import function_app as environments
from function_apps.health import function_app as health
from function_apps.scaling import function_app as scaling
from function_apps.secret_bindings import function_app as secret_bindings
from function_apps.tenants import function_app as tenants

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
SERVICES: Final = (
    environments,
    deployments,
    catalog,
    health,
    configurations,
    secret_bindings,
    tenants,
    scaling,
    drift,
)
for service in SERVICES:
    app.register_functions(service.bound(os.environ))
