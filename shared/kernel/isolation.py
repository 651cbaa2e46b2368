"""Failures that concern one of many: kept as a value and logged, so that the others go on."""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from shared.kernel.errors import Refused, Unavailable

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """One item's failure; *reason* is a sentence for an operator."""

    reason: str


async def isolate(work: Awaitable[T], subject: str) -> T | Failure:
    """Return the result of *work*, or its failure: one defect stops nobody else.

    *subject* names the item in the log.
    """
    try:
        return await work
    except (Refused, Unavailable) as problem:
        _log.warning("%s: %s", subject, problem.message)
        return Failure(problem.message)
    except Exception as defect:  # noqa: BLE001  the purpose of this function
        _log.exception("%s failed", subject)
        return Failure(f"{type(defect).__name__}: {defect}")
