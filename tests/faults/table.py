"""The inputs of all apps, and the rows of their route tables that write."""

from shared.web.administration_routes import administration_routes
from shared.web.routes import Route
from tests.faults import (
    catalog_inputs,
    configurations_inputs,
    deployments_inputs,
    drift_inputs,
    environments_inputs,
    health_inputs,
    scaling_inputs,
    secret_bindings_inputs,
    tenants_inputs,
)
from tests.faults.inputs import INPUTS, Row
from tests.kit.costs import SERVICES

__all__ = ["INPUTS", "routes"]
_FILLED_BY = (
    catalog_inputs, configurations_inputs, deployments_inputs, drift_inputs, environments_inputs,
    health_inputs, scaling_inputs, secret_bindings_inputs, tenants_inputs,
)  # fmt: skip


def routes() -> dict[Row, Route]:
    """Return the routes that are asked to do something, of every app."""
    return {
        (name, f"{row.method} {row.template}"): row
        for name, module in SERVICES.items()
        for row in (*module.ROUTES, *administration_routes(name.replace("_", "-")))
        if row.method != "GET"
    }
