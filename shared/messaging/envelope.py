"""The envelope of every event and command, on every transport: ten keys, in this order."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel
from pydantic_core import from_json, to_json

from shared.contracts.validation import is_small, parse
from shared.contracts.values import Instant, TenantId, is_finite
from shared.kernel.errors import Invalid, Violation
from shared.kernel.ids import id_shape
from shared.telemetry.names import (
    CORRELATION,
    ENVIRONMENT,
    MESSAGE_ID,
    MESSAGE_TYPE,
    MODULE,
    PROJECT,
    TENANT,
)
from shared.telemetry.work import Value

TYPE_PROPERTY: Final = "cs-event-type"
TENANT_PROPERTY: Final = "cs-tenant-id"
TRACE_PROPERTY: Final = "cs-trace-id"
SENDER_PROPERTY: Final = "cs-sender"
"""Ours: the service or the other platform that sent the message, for audit and operations."""
PARENT_PROPERTY: Final = "Diagnostic-Id"
"""The `traceparent` of the publication, where it is recorded; Service Bus has this name for it.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-end-to-end-tracing"""
TENANT_PROPERTY_ACCEPTED: Final = "tenant-id"
"""Also accepted on receipt; never sent."""
_ENVIRONMENT: Final = re.compile(id_shape("env"))
_PAYLOAD: Final = b',"payload":'
_EMPTY_PAYLOAD: Final = b',"payload":{}}'


class Envelope(BaseModel):
    """One event or command. `payload` is the only variable part."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        ser_json_inf_nan="constants",  # it is refused where it is read, and is no null
    )

    event_id: Annotated[str, Field(pattern=r"^evt-[0-9a-f-]{36}$")]
    event_type: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{2,79}$")]
    tenant_id: TenantId
    project_id: Annotated[str, Field(pattern=r"^proj-[a-z0-9-]{1,60}$")] | None = None
    module_id: Annotated[str, Field(pattern=r"^module-[a-z0-9-]{1,60}$")] | None = None
    trace_id: Annotated[str, Field(pattern=r"^trace-[0-9A-Za-z-]{1,64}$")]
    correlation_id: Annotated[str, Field(pattern=r"^corr-[0-9A-Za-z-]{1,64}$")]
    causation_id: Annotated[str, Field(pattern=r"^evt-[0-9a-f-]{36}$")] | None = None
    occurred_at: Instant
    payload: dict[str, JsonValue]

    def to_json(self) -> bytes:
        """Return the canonical encoding."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True)

    def properties(self) -> Mapping[str, str]:
        """Return the broker properties that subscriptions filter on."""
        return {
            TYPE_PROPERTY: self.event_type,
            TENANT_PROPERTY: self.tenant_id,
            TRACE_PROPERTY: self.trace_id,
        }


_VALIDATOR: Final = Envelope.__pydantic_validator__
"""What `model_validate_json` calls, after it has looked at its options in Python."""


def attributes_of(envelope: Envelope) -> dict[str, Value]:
    """Return what spans say of a message; of its payload only which environment it is about."""
    attributes: dict[str, Value] = {
        TENANT: envelope.tenant_id,
        CORRELATION: envelope.correlation_id,
        MESSAGE_ID: envelope.event_id,
        MESSAGE_TYPE: envelope.event_type,
    }
    environment = str(envelope.payload.get("environmentId"))
    optional = {
        PROJECT: envelope.project_id,
        MODULE: envelope.module_id,
        ENVIRONMENT: environment if _ENVIRONMENT.fullmatch(environment) else None,
    }
    return attributes | {name: value for name, value in optional.items() if value is not None}


def parse_envelope(body: bytes) -> Envelope:
    """Return the envelope that *body* holds in canonical JSON.

    Raises:
        Invalid: each key that is wrong, by JSON pointer.
    """
    if (canonical := _canonical(body)) is not None:
        return canonical
    try:
        envelope = parse(Envelope, body)
    except Invalid as problem:
        raise Invalid(
            f"the message is not an envelope: {problem.message}",
            code="MalformedEnvelope",
            target=problem.target,
            details=problem.details,
        ) from problem
    if not is_finite(envelope.payload):
        expected = "finite numbers, as JSON has them"
        raise Invalid(
            f"/payload: expected {expected}, received NaN or an infinite one",
            code="MalformedEnvelope",
            target="/payload",
            details=[Violation("WrongType", "/payload", "not finite", expected, "NaN or infinite")],
        )
    return envelope


def _canonical(body: bytes) -> Envelope | None:
    """Return the envelope in a small *body* that ends as we would write its payload.

    This is the fast path. Writing a payload again drops duplicate names and numbers that are not
    finite, so such a body has neither, and `parse` need not read it a second time to see that. Of
    the other fields one stands twice if there are more commas than fields. A payload is read by
    itself, as pydantic takes half as long again for it inside a model.
    """
    at = body.find(_PAYLOAD)
    if at < 0 or not body.endswith(b"}") or not is_small(body):
        return None
    head, text = body[:at], body[at + len(_PAYLOAD) : -1]
    try:
        envelope: Envelope = _VALIDATOR.validate_json(
            head + _EMPTY_PAYLOAD, strict=True, by_alias=True, by_name=False
        )
        payload = from_json(text, cache_strings="keys")
    except ValueError:
        return None
    if not isinstance(payload, dict) or to_json(payload, inf_nan_mode="null") != text:
        return None
    if head.count(b",") + 2 != len(envelope.model_fields_set):
        return None
    envelope.payload.update(payload)
    return envelope


def require_same_tenant(envelope: Envelope, properties: Mapping[str, str]) -> None:
    """Refuse a message whose broker properties name another tenant than its envelope."""
    for name in (TENANT_PROPERTY, TENANT_PROPERTY_ACCEPTED):
        tenant = properties.get(name)
        if tenant is not None and tenant != envelope.tenant_id:
            raise Invalid(
                f"property {name} names another tenant than the envelope",
                code="TenantMismatch",
                target="/tenantId",
                details=[
                    Violation("TenantMismatch", "/tenantId", "differs", tenant, envelope.tenant_id)
                ],
            )
