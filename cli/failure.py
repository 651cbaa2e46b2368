"""The failure of a command: its message, its remedy and its exit code."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.field_names import field_name, pointer_parts, similar_field
from cli.remedy_lookup import remedy_for
from cli.similar_words import did_you_mean
from cli.typed import as_typed, in_options, option_for, typed_for
from cli.yaml_lines import lines_of

_HIDDEN: Final = "(not shown)"
_USER_IN_URL: Final = re.compile("://.*@", re.DOTALL)
_NAMED_MAX: Final = 50
_WORDS_OF_YAML: Final = {"an array": "a list", "an object": "a mapping"}
"""What people write in a file has other names than what is sent."""


@dataclass(frozen=True)
class Detail:
    """One error in the request; `target` is a JSON pointer into its body."""

    target: str
    message: str
    expected: str = ""
    received: str = ""
    code: str = ""
    line: int | None = None
    """Of the file that was named."""

    def text(self) -> str:
        """Return it as one line, in terms of what was typed."""
        place = field_name(self.target, is_missing=self.code == "Required")
        text = as_typed(self._text(place))
        return f"line {self.line}: {text}" if self.line else text

    def _text(self, place: str) -> str:
        match self.code:
            case "Required" if place:
                return f"{place} is missing"
            case "UnknownField" if place:
                likely = similar_field(pointer_parts(self.target)[-1])
                hint = f"; did you mean {likely}?" if likely else ""
                return f"{place}: there is no such field{hint}"
            case "WrongType" if self.expected == "a string" and _is_scalar(self.received):
                return f"{place}: expected text, got {self.received}: put it in quotes"
            case _:
                text = self._sentence()
                if place and self.target in self.message:
                    return text.replace(self.target, place)
                return f"{place}: {text}" if place else text

    def _sentence(self) -> str:
        text = in_options(self.message).replace(", received ", ", got ") + self._hint()
        expected = in_options(self.expected)
        if expected and expected not in text:
            text += f"; expected {expected}"
        if self.received and self.received not in text and self.code != "RuleBroken":
            text += f", got {self.received}"
        own = typed_for(self.target) if self.received.endswith(_HIDDEN) else None
        if own is not None and not _USER_IN_URL.search(own):
            # Whoever typed it sees it anyway; a password in a URL would stand in the logs of CI.
            text = text.replace(self.received, json.dumps(own, ensure_ascii=False))
        return re.sub("an array|an object", lambda word: _WORDS_OF_YAML[word[0]], text)

    def _hint(self) -> str:
        """Return the word that was probably meant, of those that are allowed."""
        if self.code != "NotAllowed":
            return ""
        return did_you_mean(self.received.strip('"'), re.findall(r"'([^']+)'", self.expected))


def _is_scalar(received: str) -> bool:
    return received[:1].isdecimal() or received[:1] == "-" or received in {"true", "false"}


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
        self.message = as_typed(_in_terms_of_what_was_typed(message, details))
        self.exit_code = exit_code
        self.code = code
        self.details = tuple(details)
        self.trace_id = trace_id
        self.remedy = as_typed(remedy or remedy_for(code, message, exit_code))

    def but(self, *said: str) -> "Failure":
        """Return it with what *said* of what was done before it."""
        if not said:
            return self
        return Failure(
            f"{self.message}; {', '.join(said)}", self.exit_code,
            code=self.code, remedy=self.remedy, details=self.details, trace_id=self.trace_id,
        )  # fmt: skip

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

    @property
    def headline(self) -> str:
        """Return its message, with its code where it has one."""
        return f"{self.message} [{self.code}]" if self.code else self.message

    def lines(self) -> list[str]:
        """Return the lines for standard error, the most important first."""
        lines = [f"error: {self.headline}"]
        texts = [detail.text() for detail in self.details]
        lines += [f"  - {text}" for text in texts if text not in self.message]
        lines.append(f"next:  {self.remedy}")
        if self.trace_id and self.exit_code is ExitCode.DEFECT:
            lines.append(f"trace: {self.trace_id}")
        return lines


def mistakes(details: Sequence[Detail], subject: str, count: int = 0) -> str:
    """Return what is wrong in *subject*: the only detail, or how many there are.

    *count* is how many there are where *details* are only the first of them.
    """
    if len(details) == 1:
        return f"{subject}: {details[0].text()}" if subject else details[0].text()
    only = f", of which the first {len(details)} are named" if count > len(details) else ""
    return f"{subject or 'the request'} has {max(count, len(details))} mistakes{only}"


def refuse_mistakes(details: Sequence[Detail], file: Path | None, remedy: str = "") -> None:
    """Raise a Failure that names each of *details* by its line in *file*; without any do nothing.

    Their targets are pointers into the file; one that an option sets has no line there. As many are
    named as the platform names of a request.
    """
    if not details:
        return
    count, details = len(details), details[:_NAMED_MAX]
    if file is not None:
        # As one reads the file; what an option sets, or is in no line, comes first.
        lines = lines_of(file, [pointer_parts(each.target) for each in details])
        details = [
            each if option_for(each.target) else replace(each, line=line)
            for each, line in zip(details, lines, strict=True)
        ]
        details = sorted(details, key=lambda each: each.line or 0)
    raise Failure(
        mistakes(details, str(file or ""), count),
        ExitCode.USAGE,
        code="Invalid",
        details=details,
        remedy=remedy,
    )


def _in_terms_of_what_was_typed(message: str, details: Sequence[Detail]) -> str:
    """Return *message*; where it only repeats the first of *details*, what that one says."""
    if not details:
        return message
    first = details[0]
    place = first.target or "the body"
    if message.startswith(f"{place}: {first.message}"):
        return mistakes(details, "")
    for each in details:
        if each.target:
            field = rf"(?<![\w/]){re.escape(each.target)}(?![\w/])"
            message = re.sub(field, lambda _, at=each.target: field_name(at), message)  # type: ignore[misc]
    return message
