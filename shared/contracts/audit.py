"""What is anchored of audit chains apart from them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contracts.patterns import pattern
from shared.contracts.shape import Resource, Value
from shared.contracts.values import Instant, Label, TenantId


class AuditHead(Value):
    """A record at which a chain is sealed: its number, and the hash that seals all before it."""

    number: Annotated[int, Field(ge=1)]
    hash: Annotated[
        str, StringConstraints(pattern=pattern(r"^[0-9a-f]{64}$", "64 hexadecimal digits"))
    ]


class AuditHeads(Resource):
    """The heads of a tenant's chains that were anchored last, by app."""

    tenant_id: TenantId
    sequence: Annotated[int, Field(ge=0)]
    """How often heads of this tenant were anchored; 0: not yet."""
    anchored_at: Instant | None = None
    heads: Annotated[Mapping[Label, AuditHead], Field(max_length=20)]
