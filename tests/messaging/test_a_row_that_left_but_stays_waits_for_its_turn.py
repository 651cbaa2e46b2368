"""A row that was sent and could not be deleted is due again later, not again in the same sweep."""

from shared.messaging.outbox import Raise, encode
from shared.persistence.store import Create, Query
from tests.kit.virtual_time import run_virtual
from tests.messaging.parts import PARTITION, Parts


def test_a_row_whose_deletion_fails_is_sent_once_in_a_sweep_and_postponed() -> None:
    async def main() -> None:
        parts = Parts()
        now = parts.clock.now()
        rows = encode([Raise("op-1", f"event-{n}") for n in range(Query.limit)], now, parts.entropy)
        for row, body in rows:
            await parts.store.inner.batch(PARTITION, [Create(row.id, body)])
        await parts.clock.sleep(20)
        parts.store.faults = ["away"] * 3 * len(rows)
        await parts.relay.sweep()

        assert len(parts.hub.told) == len(rows)
        assert parts.relay.sweeps.failures(parts.clock.now()) == {"sweep_outbox": len(rows)}

    run_virtual(main())
