"""Workflows a second, ours beside Restate and DBOS: the comparison of G1 and G2."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from benchmarks import durable_ours, durable_peers
from benchmarks.rounds import Goal, NotMeasured, run

IN_FLIGHT = 16


def compare(
    title: str, workflow: str, counts: Mapping[str, int], goals: Mapping[str, float]
) -> int:
    """Run *workflow* so often on each side in a round; *goals* are ratios to each peer."""
    with ExitStack() as stack:
        peers = {}
        for name, start in (("Restate", durable_peers.restate), ("DBOS", durable_peers.dbos)):
            try:
                peers[name] = stack.enter_context(start())
            except NotMeasured as why:
                peers[name] = why

        def rate(name: str) -> float:
            peer = peers.get(name, durable_ours)
            if isinstance(peer, NotMeasured):
                raise peer
            return peer.measure(IN_FLIGHT, counts[name], workflow)["rate"]

        sides = {name: partial(rate, name) for name in counts}
        asked = [Goal("ours", peer, ratio) for peer, ratio in goals.items()]
        return run(f"{title}, {IN_FLIGHT} in flight", "workflows/s", sides, asked)
