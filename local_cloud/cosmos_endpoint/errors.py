"""The error answer of the Cosmos DB REST protocol."""

from collections.abc import Mapping


class CosmosError(Exception):
    """An error answer: `{"code", "message"}` with a status and perhaps a substatus."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        substatus: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.substatus = substatus
        self.headers = dict(headers or {})


def bad_request(message: str, *, substatus: int = 0) -> CosmosError:
    """Return the refusal of what the service takes from nobody, or this endpoint cannot do."""
    return CosmosError(400, "BadRequest", message, substatus=substatus)
