"""POST /drift/{environmentId}/scan: have an environment scanned now, not in its turn."""

from function_apps.drift.errors import DriftNotFound
from function_apps.drift.model.environment_scan import order_scan
from function_apps.drift.ports import DriftApp
from function_apps.drift.repository import SCANS
from shared.contracts.drift import ScanOrder
from shared.kernel.context import Context
from shared.kernel.errors import Conflict
from shared.kernel.ids import parse_id
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import Decision, Json, Outcome, View


async def scan_now(
    environment_id: str, order: ScanOrder, ctx: Context, app: DriftApp
) -> Outcome[Json]:
    """Make the environment due; the next look for what is due scans it.

    Raises:
        DriftNotFound: no such environment was provisioned.
        Conflict: it is gone.
    """
    parse_id(environment_id, "env")

    def decide(view: View) -> Decision[Json]:
        known = view.get(SCANS, environment_id)
        if not known.revision:
            raise DriftNotFound(environment_id)
        if known.ended_at is not None:
            raise Conflict(f"{environment_id} was decommissioned: nothing of it is scanned")
        scan = order_scan(known, order.planes, ctx.now(), confirmed=order.confirm_absent)
        audited = Audited("OrderScan", environment_id)
        return Decision({}, writes=[SCANS.put(scan)], audited=audited)

    return await app.service.work.change(ctx, SCANS, environment_id, decide)
