"""Reads of environments: one as clients see it."""

from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.repository import ENVIRONMENTS, load_document
from function_apps.environments.resources import environment_resource
from shared.contracts.environments import Environment
from shared.kernel.context import Context


async def get_environment(
    environment_id: str, ctx: Context, app: EnvironmentsApp
) -> tuple[Environment, str]:
    """Return an environment with its etag. Raises EnvironmentNotFound."""
    document = await load_document(environment_id, ctx, app)
    return environment_resource(ENVIRONMENTS.decode(document.body)), document.etag
