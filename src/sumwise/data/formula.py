"""A model formula: its response, fixed terms, offsets and random-effect bars.

    cbind(incidence, size - incidence) ~ factor(period) + I(age^2) + offset(log(days)) + (1 | herd)
    '------------ response ----------'   '------- fixed -------'   '--- offset ---'   '-- bar -'

Every variable of the fixed part (a column, or a function call) becomes an `Atom`.  The algebra between atoms
(`+ - * / : ^` and brackets) is kept as text over stand-in names, for formulaic to expand into terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sumwise.data.expression import (
    FACTORS,
    LEARNED,
    Call,
    Column,
    Expression,
    ExpressionParser,
    Token,
    misplaced,
    tokenize,
    walk,
)

MOST_CROSSED = 8
"""Signs `*` and `/` in one term: each doubles the number of products that it stands for."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is modelled.  failures is None for a 0/1 or numeric response; otherwise both are counts."""

    text: str
    successes: Expression
    failures: Expression | None


@dataclass(frozen=True, slots=True)
class Atom:
    """One variable of the fixed part.  text: as the user wrote it; it names the coefficient."""

    text: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Bar:
    """A random-effect term as written, (1 + x | a/b).

    terms: "1 + x"; fixed: the same over stand-ins; separate: written with ||, effects without correlation; group:
    "a/b"; factors: the grouping factors that it stands for, each the columns whose interaction it is, (a,) and (a, b);
    empty where the group is something else; at: its place in the formula.
    """

    text: str
    terms: str
    fixed: str
    separate: bool
    group: str
    factors: tuple[tuple[Column, ...], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula.  fixed: the fixed part over stand-ins, "v0 + v1:v2", where v0 stands for atoms[0]; atoms: those
    of the fixed part, then those that bars alone have.
    """

    text: str
    response: Response
    fixed: str
    atoms: tuple[Atom, ...]
    offsets: tuple[Expression, ...]
    bars: tuple[Bar, ...]

    def predictors(self, *, random: bool = True) -> Iterator[Expression]:
        """All expressions right of the `~`, but for the groups.  random: those that bars alone have as well."""
        fixed = set(stand_ins(self.fixed))
        yield from (atom.expression for i, atom in enumerate(self.atoms) if random or i in fixed)
        yield from self.offsets

    def outcomes(self) -> Iterator[Expression]:
        """The expressions left of the `~`."""
        yield self.response.successes
        if self.response.failures is not None:
            yield self.response.failures

    def columns(self, *, response: bool = True) -> tuple[Column, ...]:
        """Each column of the data that the formula uses, once, at the place of its first use."""
        found: dict[str, Column] = {}
        for expression in (*(self.outcomes() if response else ()), *self.predictors()):
            for part in walk(expression):
                if isinstance(part, Column):
                    found.setdefault(part.name, part)
        for column in (c for bar in self.bars for factor in bar.factors for c in factor):
            found.setdefault(column.name, column)
        return tuple(found.values())

    def learned(self) -> tuple[Call, ...]:
        """Each center() and scale() call, once, in the order of the formula."""
        parts = (part for expression in (*self.outcomes(), *self.predictors()) for part in walk(expression))
        return tuple(dict.fromkeys(p for p in parts if isinstance(p, Call) and p.function in LEARNED))


def stand_ins(fixed: str) -> list[int]:
    """The atoms that an algebra over stand-ins names, each as often as it does."""
    return [int(number) for number in re.findall(r"\bv(\d+)\b", fixed)]


def parse(text: str) -> Formula:
    """Read a formula.

    Raises UsageError, with a caret under the place at fault, for brackets that do not match, a missing or
    second `~`, an empty side, bars outside brackets, unknown functions, and functions that would learn their
    constants from a single site.
    """
    text = "".join(" " if character.isspace() else character for character in text)
    tokens = tokenize(text)
    check_brackets(text, tokens)
    tildes = [i for i, token in enumerate(tokens) if token.value == "~" and token.kind == "operator"]
    if not tildes:
        raise misplaced(text, len(text), "A formula needs a '~' between the response and the terms.")
    if len(tildes) > 1:
        raise misplaced(text, tokens[tildes[1]].start, "A formula has one '~'; this is the second.")
    left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
    response = _response(text, [*left, Token("end", "", tokens[tildes[0]].start, tokens[tildes[0]].start)])
    if len(right) == 1:
        raise misplaced(text, len(text), "No terms to the right of '~'; write 1 for an intercept alone.")
    return _Terms(text, right).formula(response)


def check_brackets(text: str, tokens: Sequence[Token]) -> None:
    """Raises UsageError at a bracket without its partner."""
    opened: list[Token] = []
    for token in tokens:
        if token.kind == "operator" and token.value == "(":
            opened.append(token)
        elif token.kind == "operator" and token.value == ")":
            if not opened:
                raise misplaced(text, token.start, "Malformed formula: this bracket was never opened.")
            opened.pop()
    if opened:
        raise misplaced(text, opened[-1].start, "Malformed formula: this bracket is never closed.")


def _response(text: str, tokens: Sequence[Token]) -> Response:
    """The left side.  Raises UsageError where it is empty, names no column or is not one expression."""
    end = tokens[-1].start
    if len(tokens) == 1:
        raise misplaced(text, end, "No response to the left of '~'.")
    expression = whole(text, tokens)
    if not any(isinstance(part, Column) for part in walk(expression)):
        raise misplaced(text, tokens[0].start, "The response names no column of the data.")
    written = text[tokens[0].start : tokens[-2].stop]
    if isinstance(expression, Call) and expression.function == "cbind":
        response = Response(written, expression.arguments[0], expression.arguments[1])
    else:
        response = Response(written, expression, None)
    for part in (response.successes, *((response.failures,) if response.failures else ())):
        check_calls(text, part)
    return response


def whole(text: str, tokens: Sequence[Token]) -> Expression:
    """The expression that all tokens (the last is `end`) make together."""
    parser = ExpressionParser(text, tokens)
    expression = parser.expression()
    if tokens[parser.at].kind != "end":
        raise misplaced(text, tokens[parser.at].start, "Malformed formula: an operator is missing here.")
    return expression


def check_calls(text: str, expression: Expression, *, outermost: bool = False) -> None:
    """Raises UsageError for a call that has no meaning where it stands."""
    for part in walk(expression):
        if not isinstance(part, Call):
            continue
        if part.function == "cbind":
            raise misplaced(text, part.at, "cbind(successes, failures) can only be the whole response.")
        if part.function == "offset":
            raise misplaced(text, part.at, "offset() must stand alone between '+' signs.")
        if part.function in FACTORS and not (outermost and part is expression):
            raise misplaced(text, part.at, f"{part.function}() must be a term by itself.")
        inner = {p.function for p in walk(part.arguments[0]) if isinstance(p, Call)}
        if part.function in LEARNED and not inner.isdisjoint(LEARNED):
            raise misplaced(text, part.at, f"{part.function}() of something already centred is refused.")


@dataclass(slots=True)
class _Terms:
    """Reads the right side, one item between top-level + and - signs at a time."""

    text: str
    tokens: Sequence[Token]

    def formula(self, response: Response) -> Formula:
        atoms: dict[Expression, Atom] = {}
        fixed: list[str] = []
        offsets: list[Expression] = []
        bars: list[tuple[list[Token], int]] = []
        for sign, item in self._items():
            bar_at = _bar_place(item)
            is_offset = item[0].value == "offset" and item[1].value == "("
            if sign == "-" and (bar_at or is_offset):
                raise misplaced(self.text, item[0].start, "A bar or an offset is added ('+'), never taken away.")
            if bar_at:
                bars.append((item, bar_at))
            elif is_offset:
                offsets.append(self._offset(item))
            else:
                fixed += [sign, *self._algebra(item, atoms)]
        joined = " ".join(fixed[1:] if fixed[:1] == ["+"] else fixed) or "1"
        random = tuple(self._bar(*bar, atoms) for bar in bars)  # after the fixed part, whose atoms come first
        return Formula(self.text, response, joined, tuple(atoms.values()), tuple(offsets), random)

    def _items(self) -> Iterator[tuple[str, list[Token]]]:
        """(its sign, its tokens with an `end` token behind), for each item at the top level."""
        depth, sign = 0, ""
        item: list[Token] = []
        for token in self.tokens:
            depth += (token.value == "(") - (token.value == ")") if token.kind == "operator" else 0
            is_sign = depth == 0 and token.kind == "operator" and token.value in ("+", "-")
            if not item and is_sign:
                sign = "-" if (sign == "-") != (token.value == "-") else "+"
            elif token.kind == "end" or (is_sign and not _wants_operand(item[-1])):
                if not item:
                    raise misplaced(self.text, token.start, "Malformed formula: a term is missing here.")
                yield sign or "+", [*item, Token("end", "", token.start, token.start)]
                sign, item = token.value, []
            else:
                item.append(token)

    def _bar(self, item: Sequence[Token], bar_at: int, atoms: dict[Expression, Atom]) -> Bar:
        """( terms | group ).  Raises UsageError where either side is empty or the brackets hold more."""
        inner = item[1:-2]
        terms, group = inner[: bar_at - 1], inner[bar_at:]
        mark = item[bar_at]
        if not terms:
            raise misplaced(self.text, mark.start, "No terms before the bar; write (1 | g) for an intercept.")
        if not group:
            raise misplaced(self.text, item[-2].start, "No group after the bar; write (1 | g).")
        if any(token.value in ("|", "||") and token.kind == "operator" for token in group):
            raise misplaced(self.text, group[0].start, "A bar term holds one bar.")

        def algebra(side: Sequence[Token], atoms: dict[Expression, Atom]) -> str:
            return " ".join(self._algebra([*side, Token("end", "", side[-1].stop, side[-1].stop)], atoms))

        algebra(group, {})
        return Bar(
            text=self.text[item[0].start : item[-2].stop],
            terms=self.text[terms[0].start : terms[-1].stop],
            fixed=algebra(terms, atoms),
            separate=mark.value == "||",
            group=self.text[group[0].start : group[-1].stop],
            factors=_factors(group),
            at=item[0].start,
        )

    def _offset(self, item: Sequence[Token]) -> Expression:
        call = whole(self.text, item)
        if not (isinstance(call, Call) and call.function == "offset"):
            raise misplaced(self.text, item[0].start, "offset() must stand alone between '+' signs.")
        check_calls(self.text, call.arguments[0])
        return call.arguments[0]

    def _algebra(self, item: Sequence[Token], atoms: dict[Expression, Atom]) -> Iterator[str]:
        """The item's text with each variable replaced by its stand-in; new variables are added to `atoms`."""
        parser = ExpressionParser(self.text, item)
        operand_due, sign_may_come = True, True
        while (token := item[parser.at]).kind != "end":
            value = token.value if token.kind == "operator" else ""
            if operand_due and (value == "(" or (value in ("+", "-") and sign_may_come)):
                yield value
                parser.at += 1
                sign_may_come = value == "("
            elif operand_due and not value:
                yield self._variable(parser, atoms)
                operand_due = False
            elif value == ")" and not operand_due:
                yield value
                parser.at += 1
            elif operand_due or value in ("", "("):
                fault = "a term" if operand_due else "an operator"
                raise misplaced(self.text, token.start, f"Malformed formula: {fault} is missing here.")
            else:
                yield self._operator(parser)
                operand_due, sign_may_come = value not in ("^", "**"), False
        if operand_due:
            raise misplaced(self.text, item[-1].start, "Malformed formula: a term is missing here.")

    def _operator(self, parser: ExpressionParser) -> str:
        """One operator between terms; a power together with its whole-number exponent."""
        token, after = parser.tokens[parser.at], parser.tokens[parser.at + 1]
        parser.at += 1
        if token.value in ("|", "||"):
            raise misplaced(self.text, token.start, "A random-effect bar needs brackets of its own: (1 | g).")
        if token.value in ("^", "**"):
            if not (after.kind == "number" and re.fullmatch("[1-4]", after.value)):
                fault = "Between terms, '^' takes a whole number from 1 to 4, as in (a + b)^2."
                raise misplaced(self.text, after.start, fault)
            parser.at += 1
            return f"** {after.value}"
        if token.value in ("+", "-", "*", "/", ":"):
            if token.value in "*/" and sum(t.value in ("*", "/") for t in parser.tokens) > MOST_CROSSED:
                raise misplaced(self.text, token.start, f"More than {MOST_CROSSED} '*' in one term; write it apart.")
            return token.value
        fault = f"'{token.value}' does not join terms; put a calculation into I(): I(x {token.value} 1)."
        raise misplaced(self.text, token.start, fault)

    def _variable(self, parser: ExpressionParser, atoms: dict[Expression, Atom]) -> str:
        """The stand-in of the variable that starts here; 0 and 1 stand for themselves."""
        first = parser.tokens[parser.at]
        if first.kind == "number" and first.value in ("0", "1"):
            parser.at += 1
            return first.value
        if first.kind != "name":
            fault = "Only 0 and 1 stand among the terms; put a calculation into I(), as in I(2 * x)."
            raise misplaced(self.text, first.start, fault)
        if first.value == ".":
            fault = "'.' (all other columns) is not supported; name the columns."
            raise misplaced(self.text, first.start, fault)
        expression = parser.expression(binding=99)
        check_calls(self.text, expression, outermost=True)
        written = self.text[first.start : parser.tokens[parser.at - 1].stop].strip("`")
        atoms.setdefault(expression, Atom(written, expression))
        return f"v{list(atoms).index(expression)}"


def _wants_operand(token: Token) -> bool:
    """Whether a value must follow this token: an operator or an opening bracket."""
    return token.kind == "operator" and token.value != ")"


def _bar_place(item: Sequence[Token]) -> int:
    """Where the bar stands, if the item (before its `end` token) is a whole ( ... | ... ); otherwise 0."""
    depth = 0
    for place, token in enumerate(item[:-1]):
        if token.kind != "operator":
            continue
        depth += (token.value == "(") - (token.value == ")")
        if depth == 0 and place < len(item) - 2:
            return 0
        if depth == 1 and token.value in ("|", "||") and item[0].value == "(":
            return place
    return 0


def _factors(group: Sequence[Token]) -> tuple[tuple[Column, ...], ...]:
    """The grouping factors of g, a:b:c or a/b/c; none for any other way to write groups."""
    names, signs = group[::2], {token.value for token in group[1::2]}
    if not all(token.kind == "name" for token in names) or signs not in (set(), {":"}, {"/"}):
        return ()
    columns = tuple(Column(token.value, token.start) for token in names)
    return tuple(columns[: i + 1] for i in range(len(columns))) if signs == {"/"} else (columns,)
