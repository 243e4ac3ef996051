"""Tokens and expressions of a formula, in R's spelling and in Python's.

Formula text comes from users and, in a study, over a wire.  So no part of it is ever run as Python: it is
parsed into the few node types below, and `evaluate.py` knows what each of them means.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sumwise.errors import UsageError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>(?:[^\W\d]|\.(?!\d))[\w.]*)
      | `(?P<quoted>[^`]+)`
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<operator>\*\*|==|!=|<=|>=|&&|\|\||[-+*/^:<>&|!~(),=])""",
    re.VERBOSE,
)

_COMPARES = 4
# R's precedence, loosest first; Python binds & tighter than ==, which would make `x == 1 & y == 2` a trap.
_BINDING = {
    **dict.fromkeys(("|", "||"), 1),
    **dict.fromkeys(("&", "&&"), 2),
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), _COMPARES),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/"), 6),
    "^": 8,
}
_PREFIX = {"!": 3, "-": 7, "+": 7}
_SPELLING = {"**": "^", "&&": "&", "||": "|"}

ELEMENTARY = ("abs", "exp", "log", "log10", "log1p", "log2", "sqrt")
FACTORS = ("C", "factor", "as.factor")
LEARNED = ("center", "scale")
MOST_PARTS = 200
"""Operators, brackets and arguments in one expression: what reads it goes one level deeper for each of them."""

_KNOWN = (*ELEMENTARY, *FACTORS, *LEARNED, "I", "cbind", "offset")
_REFUSED = {
    **dict.fromkeys(("poly", "np.poly"), "write powers of a centred column: center(x) + I(center(x)^2)"),
    **dict.fromkeys(
        ("bs", "ns", "cr", "cc", "cs", "te", "s"),
        "put the spline's columns into the data, with the same knots at every site, and name those columns",
    ),
    **dict.fromkeys(("standardize", "np.std", "np.mean", "mean", "sd"), "write scale(x) or center(x)"),
    "lag": "put the lagged column into the data",
    "hashed": "write C(x); its levels are agreed between all sites",
}


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a formula.  kind: number, name, text, operator or end.  start, stop: where it stands."""

    kind: str
    value: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number written in the formula.  text: as written, for exact decimals; empty: its shortest decimal."""

    value: float
    at: int = field(compare=False)
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text written in the formula."""

    value: str
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the data."""

    name: str
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """function(arguments); the function's name without a leading `np.`."""

    function: str
    arguments: tuple[Expression, ...]
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Prefix:
    """-x, +x or !x."""

    operator: str
    operand: Expression
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """left operator right; powers are always spelt ^, logical operators & and |."""

    operator: str
    left: Expression
    right: Expression
    at: int = field(compare=False)


Expression = Number | Text | Column | Call | Prefix | Binary


def misplaced(text: str, at: int, message: str) -> UsageError:
    """The error for a fault at one place of a formula: the message, the formula, a caret under the place."""
    return UsageError(f"{message}\n    {text}\n    {' ' * at}^")


def suggest(name: str, known: Sequence[str]) -> str:
    """A hint naming the known words nearest to `name`; without near ones, all of them, at most a dozen."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(f"'{word}'" for word in near) + "?"
    more = f" and {len(known) - 12} more" if len(known) > 12 else ""
    return f"Known are: {', '.join(known[:12])}{more}."


def tokenize(text: str) -> list[Token]:
    """All tokens of the text, spaces left out, with one `end` token behind the last.

    Raises UsageError at a character that no formula contains, or at a quote that is never closed.
    """
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            unclosed = text[at] in "\"'`"
            fault = "this quote is never closed" if unclosed else f"the character {text[at]!r} has no meaning here"
            raise misplaced(text, at, f"Malformed formula: {fault}.")
        kind = str(match.lastgroup)
        if kind != "space":
            value = match[kind][1:-1] if kind == "text" else match[kind]
            kind = "name" if kind == "quoted" else kind
            tokens.append(Token(kind, value, at, match.end()))
        at = match.end()
    return [*tokens, Token("end", "", len(text), len(text))]


@dataclass(slots=True)
class ExpressionParser:
    """Operator-precedence parser over tokens[at:]; leaves `at` behind the expression it has read."""

    text: str
    tokens: Sequence[Token]
    at: int = 0
    parts: int = 0

    def expression(self, binding: int = 0) -> Expression:
        """The longest expression from here whose operators bind tighter than `binding`.

        Raises UsageError for one of more than MOST_PARTS parts.
        """
        self.parts = 0
        return self._part(binding)

    def _part(self, binding: int = 0) -> Expression:
        self.parts += 1
        if self.parts > MOST_PARTS:
            fault = f"More than {MOST_PARTS} operators and brackets in one expression; put the sum into a column."
            raise misplaced(self.text, self.tokens[self.at].start, fault)
        left = self._operand()
        while True:
            token = self.tokens[self.at]
            operator = _SPELLING.get(token.value, token.value)
            strength = _BINDING.get(operator, 0) if token.kind == "operator" else 0
            if strength <= binding:
                return left
            self.at += 1
            # a^b^c is a^(b^c): the right operand of a power may hold a power
            right = self._part(strength - 1 if operator == "^" else strength)
            left = Binary(operator, left, right, token.start)
            if strength == _COMPARES and self.tokens[self.at].value in _BINDING:
                self._refuse_chain(self.tokens[self.at])

    def _operand(self) -> Expression:
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "number":
            return Number(float(token.value), token.start, token.value)
        if token.kind == "text":
            return Text(token.value, token.start)
        if token.kind == "name":
            return self._call(token) if self._next_is("(") else Column(token.value, token.start)
        if token.kind == "operator" and token.value in _PREFIX:
            return Prefix(token.value, self._part(_PREFIX[token.value]), token.start)
        if token.value == "(":
            inner = self._part()
            self._expect(")", token)
            return inner
        raise misplaced(self.text, token.start, "Malformed formula: a value is missing here.")

    def _refuse_chain(self, token: Token) -> None:
        """In a < x < b the second sign would compare a truth value with b."""
        if token.kind == "operator" and _BINDING[token.value] == _COMPARES:
            raise misplaced(self.text, token.start, "Comparisons do not chain; write (a < x) & (x < b).")

    def _call(self, name: Token) -> Call:
        function = checked_function(self.text, name)
        bracket = self.tokens[self.at]
        self.at += 1
        arguments = [self._part()]
        while self._next_is(","):
            self.at += 1
            arguments.append(self._part())
        if self._next_is("="):
            fault = f"Options such as '{self.tokens[self.at - 1].value} =' have no meaning in {name.value}()."
            raise misplaced(self.text, self.tokens[self.at].start, fault)
        self._expect(")", bracket)
        wanted = 2 if function == "cbind" else 1
        if len(arguments) != wanted:
            fault = f"{name.value}() takes {wanted} argument{'s'[: wanted - 1]}, not {len(arguments)}."
            raise misplaced(self.text, name.start, fault)
        if function in FACTORS and not isinstance(arguments[0], Column):
            raise misplaced(self.text, name.start, f"{name.value}() takes the name of one column.")
        return Call(function, tuple(arguments), name.start)

    def _next_is(self, operator: str) -> bool:
        token = self.tokens[self.at]
        return token.kind == "operator" and token.value == operator

    def _expect(self, closing: str, opening: Token) -> None:
        token = self.tokens[self.at]
        if token.kind == "end":
            raise misplaced(self.text, opening.start, "Malformed formula: this bracket is never closed.")
        if not self._next_is(closing):
            raise misplaced(self.text, token.start, f"Malformed formula: an operator or '{closing}' is missing here.")
        self.at += 1


def checked_function(text: str, name: Token) -> str:
    """The function's own name (np.log -> log).

    Raises UsageError for a function that is unknown, and for one that would learn from a single site's rows.
    """
    bare = re.sub(r"^(np|numpy)\.", "", name.value)
    refusal = _REFUSED.get(name.value) or _REFUSED.get(bare)
    if refusal is not None:
        fault = f"{name.value}() would learn its constants from the rows of one site only. Instead, {refusal}."
        raise misplaced(text, name.start, fault)
    if name.value in _KNOWN or bare in ELEMENTARY:
        return bare
    raise misplaced(text, name.start, f"Unknown function '{name.value}'. {suggest(name.value, _KNOWN)}")


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all its parts, from left to right, the whole before its parts."""
    yield expression
    match expression:
        case Call(arguments=parts):
            pass
        case Prefix(operand=operand):
            parts = (operand,)
        case Binary(left=left, right=right):
            parts = (left, right)
        case _:
            parts = ()
    for part in parts:
        yield from walk(part)


def spell(expression: Expression) -> str:
    """The expression in R's spelling, for messages and for the names of learned constants."""
    match expression:
        case Number(value=value):
            return f"{value:.15g}"
        case Text(value=value):
            return f'"{value}"'
        case Column(name=name):
            return name
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(spell(argument) for argument in arguments)})"
        case Prefix(operator=operator, operand=operand):
            return operator + _bracketed(operand)
        case Binary(operator=operator, left=left, right=right):
            space = "" if operator == "^" else " "
            return f"{_bracketed(left)}{space}{operator}{space}{_bracketed(right)}"


def _bracketed(operand: Expression) -> str:
    return f"({spell(operand)})" if isinstance(operand, Binary | Prefix) else spell(operand)
