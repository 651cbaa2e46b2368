"""Container images: references, registries, signatures, and how an image is built and pushed."""
