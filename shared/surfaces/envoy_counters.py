"""The counters of an Envoy whose clusters are revisions: how it counts, and what it counted."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.surfaces.traffic import LATENCY_BOUNDS_MS, Histogram, RevisionTraffic

PATH: Final = "stats/prometheus"
STARTED_HEADER: Final = "x-envoy-started"
"""Of an answer with counters: another word at each start of the Envoy."""
_SAMPLE: Final = re.compile(r"^(envoy_cluster_\w+)\{([^}]*)\} (\d+)", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_NO_ANSWER: Final = (
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_cluster_upstream_rq_rx_reset",
    "envoy_cluster_upstream_rq_timeout",
)
_INFINITE: Final = "+Inf"


def counting() -> Mapping[str, Any]:
    """Return the part of a bootstrap by which an Envoy counts as `read` expects it."""
    buckets = {"match": {"prefix": "cluster."}, "buckets": list(LATENCY_BOUNDS_MS)}
    return {
        # Histograms are as of the last flush, counters are current.
        "stats_flush_interval": "0.5s",
        "stats_config": {"histogram_bucket_settings": [buckets]},
    }


def pattern(clusters: str) -> str:
    """Return the regular expression of the counters of clusters whose names match *clusters*."""
    return rf"^cluster\.{clusters}\.upstream_(rq|cx_connect_fail)"


def read(text: str, revision_of: Callable[[str], int | None]) -> Mapping[int, RevisionTraffic]:
    """Return the counters by revision; *text* has the clusters of one component.

    *revision_of* returns the revision of a cluster's name, None for another name.
    """
    counters: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    buckets: dict[int, dict[str, int]] = defaultdict(dict)
    for match in _SAMPLE.finditer(text):
        name, labels, value = match[1], dict(_LABEL.findall(match[2])), int(match[3])
        revision = revision_of(labels.get("envoy_cluster_name", ""))
        if revision is None:
            continue
        if name == "envoy_cluster_upstream_rq_time_bucket":
            buckets[revision][labels["le"]] = value
        elif name == "envoy_cluster_upstream_rq_xx":
            counters[revision][f"{labels['envoy_response_code_class']}xx"] += value
        else:
            counters[revision][name] += value
    return {revision: _traffic(counts, buckets[revision]) for revision, counts in counters.items()}


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
    """Return Envoy's cumulative buckets as counts per bucket; `counting` gave it the bounds."""
    by_bound = {float(le): count for le, count in cumulative.items() if le != _INFINITE}
    counts, below = [], 0
    for bound in LATENCY_BOUNDS_MS:
        cumulated = by_bound.get(bound, below)
        counts.append(cumulated - below)
        below = cumulated
    counts.append(cumulative.get(_INFINITE, below) - below)
    return Histogram(LATENCY_BOUNDS_MS, tuple(counts))
