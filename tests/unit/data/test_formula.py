"""Formula text: what it is read as, and where a malformed one is pointed at."""

from __future__ import annotations

import pytest

from sumwise.data import parse
from sumwise.data.expression import Binary, Call, Column, Number, spell, walk
from sumwise.errors import UsageError


def pointed_at(text: str) -> tuple[str, int]:
    """(message, place of the caret in the formula) of the error that parsing raises."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    message, shown, caret = str(caught.value).split("\n")
    assert shown == "    " + text
    assert caret.strip() == "^"
    return message, len(caret) - 1 - 4


def test_a_full_formula_is_split_into_its_parts():
    formula = parse("cbind(incidence, size - incidence) ~ factor(period)*age + offset(log(days)) + (1 | herd)")
    assert formula.response.text == "cbind(incidence, size - incidence)"
    assert formula.response.successes == Column("incidence", 0)
    assert formula.response.failures == Binary("-", Column("size", 0), Column("incidence", 0), 0)
    assert formula.fixed == "v0 * v1"
    assert [atom.text for atom in formula.atoms] == ["factor(period)", "age"]
    assert formula.offsets == (Call("log", (Column("days", 0),), 0),)
    (bar,) = formula.bars
    assert (bar.text, bar.terms, bar.group) == ("(1 | herd)", "1", "herd")
    assert [column.name for column in formula.columns()] == [
        "incidence",
        "size",
        "period",
        "age",
        "days",
        "herd",
    ]


@pytest.mark.parametrize(
    ("bar", "terms", "fixed", "group", "factors"),
    [
        ("(1 | g)", "1", "1", "g", [["g"]]),
        ("(1 + x | g)", "1 + x", "1 + v0", "g", [["g"]]),
        ("(x || g)", "x", "v0", "g", [["g"]]),
        ("(1 | a/b)", "1", "1", "a/b", [["a"], ["a", "b"]]),
        ("(1 | a/b:c)", "1", "1", "a/b:c", []),
        ("(0 + I(x^2) | site:patient)", "0 + I(x^2)", "0 + v1", "site:patient", [["site", "patient"]]),
        ("(1 | `my herd`)", "1", "1", "`my herd`", [["my herd"]]),
    ],
)
def test_every_grammatical_bar_is_read(bar, terms, fixed, group, factors):
    formula = parse(f"y ~ x + {bar}")
    (read,) = formula.bars
    assert (read.text, read.terms, read.fixed, read.group) == (bar, terms, fixed, group)
    assert read.separate == ("||" in bar)
    assert [[column.name for column in factor] for factor in read.factors] == factors
    assert formula.fixed == "v0"


def test_a_bar_alone_leaves_the_intercept():
    assert parse("y ~ (1 | g)").fixed == "1"
    assert parse("y ~ 0 + (1 | g)").fixed == "0"
    assert parse("y ~ (1 | g) - 1").fixed == "- 1"


def test_both_spellings_of_a_power_and_of_a_function_are_one_variable():
    formula = parse("y ~ I(age^2) + I(age ** 2) + log(age) + np.log(age)")
    assert [atom.text for atom in formula.atoms] == ["I(age^2)", "log(age)"]
    assert formula.fixed == "v0 + v0 + v1 + v1"


def test_names_may_hold_dots_and_backticks_hold_anything():
    formula = parse("y.1 ~ .x + `my column (cm)` + größe")
    assert [column.name for column in formula.columns()] == ["y.1", ".x", "my column (cm)", "größe"]


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ("-x^2", "-(x^2)"),
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a^b^2", "a^(b^2)"),
        ("a^-1", "a^(-1)"),
        ("x == 1 & y > 2 | z == 3", "((x == 1) & (y > 2)) | (z == 3)"),
        ("!a & b", "(!a) & b"),
    ],
)
def test_operators_bind_as_in_r(written, meaning):
    """Expected brackets: the table of precedences on R's help page ?Syntax."""
    formula = parse(f"I({written}) ~ 1")
    assert spell(formula.response.successes).removeprefix("I(")[:-1] == meaning


def test_numbers_are_read_in_every_notation():
    for text, value in (("2", 2.0), (".5", 0.5), ("1e-3", 1e-3), ("2.5E+2", 250.0)):
        response = parse(f"I(x / {text}) ~ 1").response.successes
        assert response == Call("I", (Binary("/", Column("x", 0), Number(value, 0), 0),), 0)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("y x", 3, "needs a '~'"),
        ("y ~ x ~ z", 6, "second"),
        ("~ x", 0, "No response"),
        ("y ~", 3, "intercept alone"),
        ("1 ~ x", 0, "names no column"),
        ("y ~ (1 | )", 9, "No group"),
        ("y ~ ( | g)", 6, "No terms before the bar"),
        ("y ~ 1 | g", 6, "brackets of its own"),
        ("y ~ x + (a + (1 | g))", 16, "brackets of its own"),
        ("y ~ (1 | a | b)", 9, "one bar"),
        ("y ~ x - (1 | g)", 8, "never taken away"),
        ("y ~ x - offset(z)", 8, "never taken away"),
        ("y ~ (a", 4, "never closed"),
        ("y ~ a)", 5, "never opened"),
        ("y ~ 'a", 4, "quote is never closed"),
        ("y ~ a +", 7, "term is missing"),
        ("y ~ a *", 7, "term is missing"),
        ("y ~ a b", 6, "operator is missing"),
        ("y ~ a:-b", 6, "term is missing"),
        ("y ~ ()", 5, "term is missing"),
        ("y z ~ a", 2, "operator is missing"),
        ("y ~ I()", 6, "value is missing"),
        ("y ~ a @ b", 6, "no meaning"),
        ("y ~ x > 3", 6, "I(x > 1)"),
        ("y ~ 2 * x", 4, "Only 0 and 1"),
        ("y ~ a^b", 6, "whole number"),
        ("y ~ .", 4, "name the columns"),
        ("y ~ I(0 < x < 1)", 12, "do not chain"),
        ("y ~ log(x, 2)", 4, "1 argument"),
        ("cbind(y) ~ x", 0, "2 arguments"),
        ("y ~ C(x, base = 2)", 14, "Options"),
        ("y ~ C(x + 1)", 4, "one column"),
        ("y ~ I(factor(x) + 1)", 6, "term by itself"),
        ("y ~ offset(a) * b", 4, "stand alone"),
        ("y ~ a * offset(b)", 8, "stand alone"),
        ("y ~ cbind(a, b)", 4, "whole response"),
        ("y ~ center(scale(x))", 4, "already centred"),
    ],
)
def test_a_malformed_formula_is_pointed_at(text, place, words):
    message, caret = pointed_at(text)
    assert words in message
    assert caret == place


def test_an_unknown_function_is_named_with_its_nearest_known_one():
    message, caret = pointed_at("y ~ x + sqr(x)")
    assert "'sqr'" in message
    assert "'sqrt'" in message
    assert caret == 8


@pytest.mark.parametrize("function", ["poly", "bs", "ns", "cr", "cc", "cs", "te", "hashed", "lag"])
def test_what_would_learn_from_one_site_is_refused_with_the_reason(function):
    message, caret = pointed_at(f"y ~ x + {function}(x)")
    assert f"{function}() would learn" in message
    assert "one site only. Instead," in message
    assert caret == 8


def test_line_breaks_count_as_spaces():
    assert parse("y ~ a +\n\tb").text == "y ~ a +  b"
    assert parse("y ~ a +\n\tb").fixed == "v0 + v1"


LONG = [
    "I(" + "-" * 3000 + "x)",
    "I(" + "!" * 3000 + "x)",
    "I(" + "(" * 3000 + "x" + ")" * 3000 + ")",
    "I(" * 3000 + "x" + ")" * 3000,
    "I(" + "+".join("x" * 3000) + ")",
    "I(" + "^".join("x" * 3000) + ")",
    "a + I(" + "x == (" * 3000 + "x" + ")" * 3000 + ")",
]


@pytest.mark.parametrize("terms", LONG, ids=lambda terms: terms[:12])
@pytest.mark.parametrize("formula", ["y ~ {}", "{} ~ y", "y ~ offset({})", "y ~ (1 + {} | g)"])
def test_an_expression_too_long_to_be_read_is_refused(terms, formula):
    with pytest.raises(UsageError):
        parse(formula.format(terms))


def test_how_long_an_expression_may_be():
    """What reads it nests: 200 parts leave room in Python's thousand levels."""
    longest = parse("y ~ I(" + " + ".join(["x"] * 199) + ")")
    assert len(list(walk(longest.atoms[0].expression))) == 1 + 2 * 199 - 1
    assert parse("y ~ I(" + "-" * 198 + "x)").atoms == parse("y ~ I(" + "-" * 198 + "x)").atoms
    with pytest.raises(UsageError, match="More than 200 operators and brackets in one expression"):
        parse("y ~ I(" + " + ".join(["x"] * 200) + ")")
    many = " + ".join(f"x{i}" for i in range(1000))
    assert len(parse(f"y ~ {many} + ({many}):z").atoms) == 1001  # terms are no operators of one expression


@pytest.mark.parametrize("power", ["0", "10", "9" * 5000, "1.5", "1e0", "01"])
def test_a_power_between_terms_is_a_digit(power):
    with pytest.raises(UsageError, match=r"takes a whole number from 1 to 4, as in \(a \+ b\)\^2"):
        parse(f"y ~ (a + b)^{power}")


def test_digits_are_those_of_ascii():
    with pytest.raises(UsageError, match="has no meaning here"):
        parse("y ~ (a + b)^\u0663")


def test_a_term_that_would_stand_for_very_many_is_refused():
    with pytest.raises(UsageError, match="More than 8 '\\*' in one term"):
        parse("y ~ " + " * ".join(f"x{i}" for i in range(10)))
    many = " + ".join(f"x{i} * z{i}" for i in range(20))
    assert len(parse(f"y ~ {many}").atoms) == 40
