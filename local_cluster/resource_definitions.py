"""The kinds that every cluster has beside Kubernetes' own: of Gateway API, KEDA, Secrets Store.

Each is a file, named as its definition: what rollouts, scaling and secrets need, from their
projects (`definitions/README.md`).
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from local_cluster.kubernetes_api import KubernetesApi

_FOLDER: Final = Path(__file__).parent / "definitions"
_PATH: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def definitions() -> Sequence[Path]:
    return sorted(_FOLDER.glob("*.yaml"))


async def make_definitions(api: KubernetesApi) -> None:
    async def make(file: Path) -> None:
        text = await asyncio.to_thread(file.read_bytes)
        await api.apply_text(f"{_PATH}/{file.stem}", text)

    await asyncio.gather(*map(make, definitions()))


async def are_served(api: KubernetesApi) -> bool:
    """Return whether objects of each of these kinds can be made."""
    found = {each["metadata"]["name"]: each for each in await api.items(_PATH)}
    return all(
        any(
            condition["type"] == "Established" and condition["status"] == "True"
            for condition in found.get(file.stem, {}).get("status", {}).get("conditions") or ()
        )
        for file in definitions()
    )
