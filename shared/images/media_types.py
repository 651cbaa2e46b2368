"""The media types of manifests and blobs, by OCI and by Docker.

https://github.com/opencontainers/image-spec/blob/main/media-types.md
"""

from typing import Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES: Final = frozenset({INDEX, DOCKER_INDEX})
IMAGES: Final = (INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)
"""What is run here, and what registries are asked for."""
