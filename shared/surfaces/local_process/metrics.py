"""Parses Envoy's Prometheus text into the traffic counters of revisions."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from shared.surfaces.local_process.envoy_config import parse_cluster_name
from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram, RevisionTraffic

_SAMPLE: Final = re.compile(r"^(envoy_cluster_\w+)\{([^}]*)\} (\d+)", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_NO_ANSWER: Final = (
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_cluster_upstream_rq_rx_reset",
    "envoy_cluster_upstream_rq_timeout",
)
_INFINITE: Final = "+Inf"


def read_traffic(text: str) -> Mapping[int, RevisionTraffic]:
    """Return the counters by revision; *text* has the clusters of one component."""
    counters: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    buckets: dict[int, dict[str, int]] = defaultdict(dict)
    for name, labels, value in _samples(text):
        cluster = parse_cluster_name(labels.get("envoy_cluster_name", ""))
        if cluster is None:
            continue
        _, revision = cluster
        if name == "envoy_cluster_upstream_rq_time_bucket":
            buckets[revision][labels["le"]] = value
        elif name == "envoy_cluster_upstream_rq_xx":
            counters[revision][f"{labels['envoy_response_code_class']}xx"] += value
        else:
            counters[revision][name] += value
    return {revision: _traffic(counts, buckets[revision]) for revision, counts in counters.items()}


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], int]]:
    for match in _SAMPLE.finditer(text):
        yield match[1], dict(_LABEL.findall(match[2])), int(match[3])


def _traffic(counters: Mapping[str, int], buckets: Mapping[str, int]) -> RevisionTraffic:
    classes = {c: n for c, n in counters.items() if c.endswith("xx") and c[0].isdigit()}
    return RevisionTraffic(
        requests=sum(classes.values()),
        by_class=classes,
        no_answer=sum(counters.get(name, 0) for name in _NO_ANSWER),
        retries=counters.get("envoy_cluster_upstream_rq_retry", 0),
        latency=_histogram(buckets),
    )


def _histogram(cumulative: Mapping[str, int]) -> Histogram:
    """Return Envoy's cumulative buckets as counts per bucket; `bootstrap` gave it the bounds."""
    by_bound = {float(le): count for le, count in cumulative.items() if le != _INFINITE}
    counts, below = [], 0
    for bound in LATENCY_BOUNDS_MS:
        cumulated = by_bound.get(bound, below)
        counts.append(cumulated - below)
        below = cumulated
    counts.append(cumulative.get(_INFINITE, below) - below)
    return Histogram(LATENCY_BOUNDS_MS, tuple(counts))
