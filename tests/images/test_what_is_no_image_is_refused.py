"""A release names an image for Linux; whatever else a registry has is refused at the command."""

import json
from typing import Any

import pytest

from shared.images.image_manifest import require_image
from shared.images.media_types import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEX,
    LAYER,
    MANIFEST,
)
from shared.images.port import ImageNotSupported, Manifest
from shared.images.reference import parse_reference
from tests.images.registries import Registry, client, serving

REFERENCE = parse_reference("registry.example/team/web:1")
DIGEST = "sha256:" + "a" * 64
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def descriptor(media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 7, **more}


def manifest(config: str, *layers: str, **more: Any) -> bytes:
    described = {"config": descriptor(config), "layers": [descriptor(each) for each in layers]}
    return json.dumps({"schemaVersion": 2, **described, **more}).encode()


def index(*platforms: str | None, **more: Any) -> bytes:
    rows = []
    for each in platforms:
        system, _, architecture = (each or "").partition("/")
        platform = {"platform": {"os": system, "architecture": architecture}} if each else {}
        rows.append(descriptor(MANIFEST, **platform, **more))
    return json.dumps({"schemaVersion": 2, "manifests": rows}).encode()


def judge(media_type: str, body: bytes) -> None:
    require_image(REFERENCE, Manifest(media_type, DIGEST, body))


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        pytest.param(MANIFEST, manifest(CONFIG, LAYER), id="by-oci"),
        pytest.param(MANIFEST, manifest(CONFIG, LAYER.replace("gzip", "zstd")), id="by-zstandard"),
        pytest.param(DOCKER_MANIFEST, manifest(DOCKER_CONFIG, DOCKER_LAYER), id="by-docker"),
        pytest.param(INDEX, index("linux/amd64", "unknown/unknown"), id="with-its-attestation"),
        pytest.param(DOCKER_INDEX, index("windows/amd64", "linux/arm64"), id="for-windows-too"),
        pytest.param(INDEX, index(None), id="that-does-not-say-for-what"),
    ],
)
def test_an_image_is_taken(media_type: str, body: bytes) -> None:
    judge(media_type, body)


@pytest.mark.parametrize(
    ("media_type", "body", "says"),
    [
        pytest.param(MANIFEST, b"", "a manifest that is none", id="nothing"),
        pytest.param(MANIFEST, b"<html>", "a manifest that is none", id="a-page"),
        pytest.param(MANIFEST, b"[" * 5000, "a manifest that is none", id="nested-without-end"),
        pytest.param(MANIFEST, b'{"layers": []}', "a manifest that is none", id="no-configuration"),
        pytest.param(INDEX, b'{"manifests": 7}', "a manifest that is none", id="no-rows"),
        pytest.param(
            MANIFEST, manifest("application/vnd.cncf.helm.config.v1+json", "application/x-tar"),
            "is a Helm chart", id="a-chart",
        ),
        pytest.param(
            MANIFEST, manifest(CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json"),
            "is a signature", id="a-signature",
        ),
        pytest.param(
            MANIFEST, manifest("application/vnd.oci.empty.v1+json", "text/plain",
                               artifactType="application/vnd.example.policy"),
            "is an artifact of type application/vnd.example.policy", id="an-artifact",
        ),
        pytest.param(
            MANIFEST, manifest("application/vnd.example+json", LAYER),
            "is an artifact of type application/vnd.example", id="another-configuration",
        ),
        pytest.param(MANIFEST, manifest(CONFIG), "an image without a layer", id="no-layer"),
        pytest.param(INDEX, index(), "an index without an image", id="an-empty-index"),
        pytest.param(INDEX, index("unknown/unknown"), "without an image", id="attestations-only"),
        pytest.param(
            INDEX, index("linux/amd64", artifactType="application/x"), "without an image",
            id="artifacts-only",
        ),
        pytest.param(
            DOCKER_INDEX, index("windows/amd64"),
            "is for windows/amd64 only, not for linux/amd64 or linux/arm64", id="for-windows",
        ),
        pytest.param(
            DOCKER_MANIFEST,
            manifest(DOCKER_CONFIG, DOCKER_LAYER.replace("diff", "foreign.diff"), DOCKER_LAYER),
            "is an image for Windows", id="with-layers-of-windows",
        ),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_words(media_type: str, body: bytes, says: str) -> None:
    with pytest.raises(ImageNotSupported, match=says) as refused:
        judge(media_type, body)

    assert str(REFERENCE) in refused.value.message


async def test_a_registry_is_asked_for_what_it_has() -> None:
    async with serving(Registry()) as registry:
        registry.put("1", index("windows/amd64"), INDEX)

        with pytest.raises(ImageNotSupported, match="is for windows/amd64 only"):
            await client().resolve(registry.reference())
