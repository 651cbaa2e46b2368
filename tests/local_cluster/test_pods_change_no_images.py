"""What pods reach of a cluster's registry, its address at the bridge, changes nothing in it."""

import hashlib
import json
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from local_cluster.image_registry import configuration
from shared.images.media_types import CONFIG, MANIFEST
from tests.kit.real_registry import cluster_registry

EMPTY: Final = b"{}"
REPOSITORY: Final = "v2/acme/shop"
REFUSED: Final = 405


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image(note: str) -> bytes:
    config = {"mediaType": CONFIG, "digest": digest_of(EMPTY), "size": len(EMPTY)}
    fixed = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
    return json.dumps({**fixed, "annotations": {"note": note}}).encode()


def ask(method: str, url: str, content: bytes = b"", kind: str = MANIFEST) -> tuple[int, str]:
    """Return the status, and where the answer leads or what digest it has."""
    headers = {"Content-Type": kind, "Accept": MANIFEST}
    request = Request(url, data=content or None, headers=headers, method=method)
    try:
        with urlopen(request, timeout=10) as answer:
            told = answer.headers
            return answer.status, told["Location"] or told["Docker-Content-Digest"] or ""
    except HTTPError as refused:
        return refused.code, ""


def push(address: str, tag: str, manifest: bytes) -> int:
    _, upload = ask("POST", f"http://{address}/{REPOSITORY}/blobs/uploads/")
    put = f"{upload}&digest={digest_of(EMPTY)}"
    ask("PUT", put, EMPTY, "application/octet-stream")
    return ask("PUT", f"http://{address}/{REPOSITORY}/manifests/{tag}", manifest)[0]


@pytest.mark.real
def test_a_pod_reads_an_image_and_can_neither_replace_nor_remove_it(tmp_path: Path) -> None:
    good, bad = image("good"), image("bad")
    with cluster_registry(tmp_path) as (machine, bridge):
        assert push(machine, "1", good) == 201
        read = ask("GET", f"http://{bridge}/{REPOSITORY}/manifests/1")

        attempts = [
            ask("PUT", f"http://{bridge}/{REPOSITORY}/manifests/1", bad),
            ask("DELETE", f"http://{bridge}/{REPOSITORY}/manifests/{digest_of(good)}"),
            ask("DELETE", f"http://{bridge}/{REPOSITORY}/blobs/{digest_of(EMPTY)}"),
            ask("POST", f"http://{bridge}/{REPOSITORY}/blobs/uploads/"),
        ]

        assert read == (200, digest_of(good))
        assert [status for status, _ in attempts] == [REFUSED] * len(attempts)
        assert ask("GET", f"http://{machine}/{REPOSITORY}/manifests/1") == read


def test_only_the_address_of_this_machine_takes_and_removes_images() -> None:
    taking, reading = (
        configuration(Path("/images"), "host:1", is_read_only=each)["storage"]
        for each in (False, True)
    )

    assert taking["delete"]["enabled"]
    assert not taking["maintenance"]["readonly"]["enabled"]
    assert not reading["delete"]["enabled"]
    assert reading["maintenance"]["readonly"]["enabled"]
