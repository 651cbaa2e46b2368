"""ASP.NET Core route templates, as far as the Functions host uses them.

Literal and parameter segments, `{x?}`, `{x=default}`, `{*rest}`, several parameters in one segment,
constraints chained with `:`. Matching ignores case; values are percent-decoded text (`%2F` stays),
a constraint checks but does not convert.
https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from local_host.routing.route_constraints import Check, ConstraintRefused, constraint


class TemplateRefused(ValueError):
    """A template the host cannot parse; the function does not run."""


@dataclass(frozen=True)
class Parameter:
    """One `{…}`. `checks` must all hold when a value is there."""

    name: str
    checks: Sequence[Check] = ()
    kinds: Sequence[str] = ()
    """The constraints as written, to tell templates apart that cannot meet."""
    default: str | None = None
    is_optional: bool = False
    is_catch_all: bool = False


@dataclass(frozen=True)
class Segment:
    """Between two slashes: one literal, or a pattern with parameters."""

    literal: str | None
    """Lower-case, when the segment has no parameter."""
    parameters: Sequence[Parameter] = ()
    pattern: re.Pattern[str] | None = None
    """For a segment that mixes text and parameters; None for `{x}` alone."""

    @property
    def may_be_absent(self) -> bool:
        parameter = (
            self.parameters[0] if len(self.parameters) == 1 and self.pattern is None else None
        )
        return parameter is not None and (
            parameter.is_optional or parameter.default is not None or parameter.is_catch_all
        )

    @property
    def is_catch_all(self) -> bool:
        return bool(self.parameters) and self.parameters[-1].is_catch_all

    def accepts(self, text: str) -> Mapping[str, str] | None:
        """Return the values that *text*, already decoded, gives; None when it does not match."""
        if self.literal is not None:
            return {} if text.lower() == self.literal else None
        if self.pattern is None:
            values = {self.parameters[0].name: text}
        else:
            match = self.pattern.fullmatch(text)
            if match is None:
                return None
            values = {
                parameter.name: match[f"p{index}"]
                for index, parameter in enumerate(self.parameters)
                if match[f"p{index}"] is not None
            }
        for parameter in self.parameters:
            value = values.get(parameter.name)
            if value is not None and not all(check(value) for check in parameter.checks):
                return None
        return values


@dataclass(frozen=True)
class Template:
    """A parsed route. `text` is as written, the prefix in front."""

    text: str
    segments: Sequence[Segment]

    def match(self, parts: Sequence[str]) -> dict[str, str] | None:
        """Return the route values for a path split at `/` and decoded, None when it differs."""
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if segment.is_catch_all:
                return self._rest(segment.parameters[-1], parts[index:], values)
            if index >= len(parts):
                if not segment.may_be_absent:
                    return None
                default = segment.parameters[0].default
                if default is not None:
                    values[segment.parameters[0].name] = default
                continue
            accepted = segment.accepts(parts[index])
            if accepted is None:
                return None
            values.update(accepted)
        return values if len(parts) <= len(self.segments) else None

    @staticmethod
    def _rest(
        parameter: Parameter, parts: Sequence[str], values: dict[str, str]
    ) -> dict[str, str] | None:
        value = "/".join(parts) or parameter.default
        if value is None:
            return values
        if not all(check(value) for check in parameter.checks):
            return None
        values[parameter.name] = value
        return values


def split(path: str) -> list[str]:
    """Return the decoded segments of a percent-encoded *path*; a trailing slash adds none."""
    bare = path.strip("/")
    if not bare:
        return []
    parts = bare.split("/")
    return [_decoded(part) if "%" in part else part for part in parts]


_KEPT: Final = re.compile("(%2f)", re.IGNORECASE)


def _decoded(part: str) -> str:
    return "".join(
        piece if index % 2 else unquote(piece) for index, piece in enumerate(_KEPT.split(part))
    )


def parse(text: str) -> Template:
    """Return the template *text*; leading and trailing slashes do not count.

    Raises:
        TemplateRefused: unbalanced braces, an unknown constraint, an optional parameter or
            catch-all that is not last, a name used twice.
    """
    bare = text.strip("/")
    pieces = _split_outside_braces(bare) if bare else []
    segments = tuple(_segment(piece, text) for piece in pieces)
    names: set[str] = set()
    for index, segment in enumerate(segments):
        is_last = index == len(segments) - 1
        if segment.is_catch_all and not is_last:
            raise TemplateRefused(f"route {text!r}: a catch-all must be the last segment")
        for parameter in segment.parameters:
            if parameter.name.lower() in names:
                raise TemplateRefused(f"route {text!r}: {{{parameter.name}}} is there twice")
            names.add(parameter.name.lower())
            if parameter.is_optional and not all(s.may_be_absent for s in segments[index + 1 :]):
                raise TemplateRefused(
                    f"route {text!r}: optional {{{parameter.name}?}} must be at the end"
                )
    return Template(text, segments)


def _split_outside_braces(text: str) -> list[str]:
    pieces, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            break
        if character == "/" and depth == 0:
            pieces.append(text[start:index])
            start = index + 1
    if depth != 0:
        raise TemplateRefused(f"route {text!r}: braces do not match; write {{name}}")
    return [*pieces, text[start:]]


def _segment(piece: str, whole: str) -> Segment:
    if not piece:
        raise TemplateRefused(f"route {whole!r} has an empty segment: write single slashes")
    if "{" not in piece:
        return Segment(piece.lower())
    tokens = list(_tokens(piece))
    parameters = [_parameter(body, whole) for is_parameter, body in tokens if is_parameter]
    if len(tokens) == 1:
        return Segment(None, (parameters[0],))
    if any(parameter.is_catch_all for parameter in parameters):
        raise TemplateRefused(f"route {whole!r}: a catch-all must be a segment of its own")
    return Segment(None, tuple(parameters), _mixed(tokens, parameters))


def _tokens(piece: str) -> list[tuple[bool, str]]:
    tokens: list[tuple[bool, str]] = []
    index = 0
    while index < len(piece):
        if piece[index] != "{":
            end = piece.find("{", index)
            end = len(piece) if end < 0 else end
            tokens.append((False, piece[index:end]))
        else:
            end = _closing(piece, index) + 1
            tokens.append((True, piece[index + 1 : end - 1]))
        index = end
    return tokens


def _closing(piece: str, start: int) -> int:
    depth = 0
    for index in range(start, len(piece)):
        depth += (piece[index] == "{") - (piece[index] == "}")
        if depth == 0:
            return index
    raise AssertionError(piece)  # braces were counted before


def _mixed(tokens: Sequence[tuple[bool, str]], parameters: Sequence[Parameter]) -> re.Pattern[str]:
    # Greedy from the left gives what ASP.NET gets by reading from the right: a short last part.
    pattern, index = "", 0
    for is_parameter, body in tokens:
        if not is_parameter:
            pattern += re.escape(body)
            continue
        group = f"(?P<p{index}>.+)"
        if parameters[index].is_optional and pattern.endswith(r"\."):
            pattern = f"{pattern[:-2]}(?:\\.{group})?"
        else:
            pattern += group
        index += 1
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


_NAME: Final = re.compile(r"(?P<stars>\*{0,2})(?P<name>[^:=?*{}/]+)")


def _parameter(body: str, whole: str) -> Parameter:
    match = _NAME.match(body)
    if match is None:
        raise TemplateRefused(f"route {whole!r}: {{{body}}} has no parameter name")
    rest = body[match.end() :]
    checks, kinds = [], []
    while rest.startswith(":"):
        kind, rest = _constraint_text(rest[1:])
        kinds.append(kind)
        try:
            checks.append(constraint(kind))
        except ConstraintRefused as problem:
            raise TemplateRefused(f"route {whole!r}: {problem}") from problem
    is_optional = rest == "?"
    default = rest[1:] if rest.startswith("=") else None
    if rest and not is_optional and default is None:
        raise TemplateRefused(f"route {whole!r}: cannot read {{{body}}} after {rest!r}")
    return Parameter(
        match["name"], tuple(checks), tuple(kinds), default, is_optional, bool(match["stars"])
    )


def _constraint_text(text: str) -> tuple[str, str]:
    """Split one constraint from what follows it; a `)` inside `regex(…)` is balanced."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character in ":=?":
            return text[:index], text[index:]
    return text, ""
