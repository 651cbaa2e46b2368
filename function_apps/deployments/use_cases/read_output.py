"""The last lines of one instance, as its surface has them."""

from function_apps.deployments.model.stored_output import InstanceOutput
from shared.kernel.concurrency import Failure, isolate
from shared.kernel.observation import Present, Unknown
from shared.surfaces.port import Surface
from shared.surfaces.spec import SurfaceComponent


async def read_output(
    surface: Surface, workload: SurfaceComponent, instance: str, tail: int
) -> InstanceOutput:
    """Return the last *tail* lines of *instance*, or why they cannot be read."""
    reading = surface.logs(workload, instance, tail)
    match await isolate(reading, f"the output of {instance} of {workload.module} is not read"):
        case Present(lines):
            return InstanceOutput(instance, lines)
        case Unknown(reason) | Failure(reason):
            return InstanceOutput(instance, reason=reason)
        case _:
            return InstanceOutput(instance)
