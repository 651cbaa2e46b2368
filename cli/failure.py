"""The failure of a command: its message, its remedy and its exit code."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cli.exit_codes import ExitCode
from cli.remedies import remedy_for
from cli.typed import option_for


@dataclass(frozen=True)
class Detail:
    """One error in the request; `target` is a JSON pointer into its body."""

    target: str
    message: str
    expected: str = ""
    received: str = ""

    def text(self, said: str = "") -> str:
        """Return it as one line, without what *said* says already; empty when that is all of it."""
        place = option_for(self.target) or self.target or "body"
        if said.startswith(f"{place}: {self.message}"):
            return ""
        parts = [] if said.startswith(self.message) else [self.message]
        if self.expected and self.expected not in self.message:
            parts.append(f"expected {self.expected}")
        text = f"{place}: {'; '.join(parts)}"
        if self.received and self.received not in self.message:
            text += f", got {self.received}"
        return text if parts else ""


class Failure(Exception):
    """Ends a command. Without *remedy* it gets the remedy of its *code*."""

    def __init__(
        self,
        message: str,
        exit_code: ExitCode,
        *,
        code: str = "",
        remedy: str = "",
        details: Sequence[Detail] = (),
        trace_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = _with_options(message, details)
        self.exit_code = exit_code
        self.code = code
        self.details = tuple(details)
        self.trace_id = trace_id
        self.remedy = remedy or remedy_for(code, message, exit_code)

    def body(self) -> dict[str, Any]:
        """Return it as programs read it; `error` is as the API answers it."""
        error = {
            "code": self.code or self.exit_code.name.title().replace("_", ""),
            "message": self.message,
            "details": [asdict(detail) for detail in self.details],
            "next": self.remedy,
            "traceId": self.trace_id or None,
        }
        return {"error": error, "exitCode": int(self.exit_code)}

    def lines(self) -> list[str]:
        """Return the lines for standard error, the most important first."""
        headline = f"error: {self.message}"
        lines = [headline if not self.code else f"{headline} [{self.code}]"]
        lines += [f"  - {text}" for d in self.details if (text := d.text(self.message))]
        lines.append(f"next:  {self.remedy}")
        if self.trace_id and self.exit_code is ExitCode.DEFECT:
            lines.append(f"trace: {self.trace_id}")
        return lines


def _with_options(message: str, details: Sequence[Detail]) -> str:
    """Return *message* with the option that was typed in place of the field that it begins with."""
    for detail in details:
        option = option_for(detail.target)
        if option and message.startswith(f"{detail.target}: "):
            return f"{option}{message.removeprefix(detail.target)}"
    return message
