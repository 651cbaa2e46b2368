"""ProveRelease: what one module runs since a deployment, told by secret_bindings to itself.

Apart from `secret_bindings.py`, which the types of releases are built from.
"""

from typing import Annotated

from pydantic import Field

from shared.contracts.catalog import ReleaseOfComponent
from shared.contracts.releases import InstanceProof


class ProveRelease(ReleaseOfComponent):
    """secret_bindings to itself: note which versions one module runs since a deployment.

    One that was rolled back proves what was restored.
    """

    proofs: Annotated[tuple[InstanceProof, ...], Field(max_length=100)] = ()
    """Of its instances."""
