"""All services in one Functions host: what `python -m local_host` and `func start` run.

In Azure each service is an app of its own (`make package APP=…`); the services do not know.
"""

import os

import azure.durable_functions as df
import azure.functions as func

from function_apps.catalog import function_app as catalog
from function_apps.deployments import function_app as deployments
from function_apps.environments import function_app as environments
from function_apps.health import function_app as health

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for service in (environments, deployments, catalog, health):
    app.register_functions(service.bound(os.environ))
