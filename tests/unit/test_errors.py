"""What messages show of values that somebody else chose."""

import pytest

from sumwise.errors import shown, shown_key


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20, "20"),
        ("north", "'north'"),
        ("x" * 100, "'" + "x" * 59),
        ("\x1b[31mred", r"'\x1b[31mred'"),
        ("one\ntwo", r"'one\ntwo'"),
        (int("f" * 5000, 16), "too large to show, of type int"),
        ({"a": [int("f" * 5000, 16)]}, "too large to show, of type dict"),
        (nested(100_000), "too large to show, of type list"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_shown_in_few_characters_that_can_be_seen(value: object, text: str) -> None:
    assert shown(value) == text


def test_so_many_characters_are_shown() -> None:
    assert shown("abcdef", 3) == "'ab"


@pytest.mark.parametrize(("key", "text"), [("min-rows_2", "min-rows_2"), ("", "''"), ("a b", "'a b'"), ("é", "'é'")])
def test_a_key_is_shown_as_it_is_where_toml_takes_it_so(key: str, text: str) -> None:
    assert shown_key(key) == text


def test_a_key_of_any_length_and_of_any_characters_is_shown() -> None:
    assert shown_key("k" * 61) == "'" + "k" * 59
    assert shown_key("a\x1b[2J") == r"'a\x1b[2J'"
    assert shown_key("a\n") == r"'a\n'"
