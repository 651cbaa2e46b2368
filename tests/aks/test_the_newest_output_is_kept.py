"""Of an output that is too long the newest lines are read: the ones that say why it ended."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.logs import OUTPUT_BYTES_MAX, tail


class Kubelet:
    """The output of a container, and of its start before, as a kubelet gives it."""

    def __init__(self, lines: list[str], before: list[str]) -> None:
        self.starts = {"false": lines, "true": before}

    async def text(
        self, _: str, params: Mapping[str, str], *, namespace: str, at_most: int, timeout_s: float
    ) -> tuple[int, bytes]:
        lines = self.starts[params["previous"]][-int(params["tailLines"]) :]
        whole = "".join(f"{line}\n" for line in lines).encode()
        return 200, whole[: min(int(params["limitBytes"]), at_most)]


def read(lines: list[str], asked: int, before: list[str] | None = None) -> tuple[str, ...]:
    pod: dict[str, Any] = {
        "metadata": {"namespace": "n", "name": "p"},
        "status": {"containerStatuses": [{"restartCount": 1}]},
    }
    api = cast("ClusterApi", Kubelet(lines, before or []))
    return asyncio.run(tail(api, pod, asked))


def test_the_newest_lines_of_a_long_output_are_read() -> None:
    lines = [f"{number:0200}" for number in range(10_000)]

    found = read(lines, 10_000, before=["from the start before"])

    assert found == tuple(lines[-len(found) :])
    assert OUTPUT_BYTES_MAX / 4 < sum(map(len, found)) <= OUTPUT_BYTES_MAX


def test_long_lines_before_the_last_do_not_hide_it() -> None:
    lines = ["x" * 600_000, "y" * 600_000, "why it ended"]

    assert read(lines, 3)[-1] == "why it ended"


def test_the_start_before_goes_on_with_what_is_missing() -> None:
    assert read(["b", "c"], 3, before=["x", "a"]) == ("a", "b", "c")


def test_what_the_kubelet_says_of_a_removed_container_is_no_output_of_it() -> None:
    removed = ["unable to retrieve container logs for containerd://26d6e90b8d28"]

    assert read(removed, 5, before=["why it ended"]) == ("why it ended",)
    assert read(["a line", *removed], 2) == ("a line", *removed)
