"""Checks of every row at a site: missing values, infinite values, a response outside its family's domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sumwise.data.values import Values, all_finite
from sumwise.errors import DataError, SiteError, UsageError

IN_A_FIT = 'Fill them, or drop these rows: missing="drop" in a fit, --missing drop on the command line.'
IN_NEW_ROWS = "Fill them, or leave these rows out of the table: a row with a missing value has no prediction."
"""What to do about missing values."""


def complete_rows(columns: Mapping[str, Values]) -> tuple[np.ndarray | None, dict[str, int]]:
    """(keep, counts).

    keep (n,) bool: true where no column is missing, or None if every row is complete.   counts: missing
    values by column, for the columns that have any.
    """
    keep, counts = None, {}
    for name, values in columns.items():
        absent = values.absent()
        if absent is not None:
            counts[name] = int(absent.sum())
            keep = ~absent if keep is None else keep & ~absent
    return keep, counts


def refuse_missing(counts: Mapping[str, Mapping[str, int]], remedy: str = IN_A_FIT) -> None:
    """Raises DataError where counts {site: {column: missing values}} holds any.  remedy: what to do."""
    lines = [
        f"site '{site}': " + ", ".join(f"{column} {count}" for column, count in found.items())
        for site, found in counts.items()
        if found
    ]
    if lines:
        shown = "; ".join(lines[:20]) + (f"; and {len(lines) - 20} more sites" if len(lines) > 20 else "")
        fault = f"Missing values, by site and column: {shown}."
        raise DataError(f"{fault} {remedy}")


def check_has_rows(site: str, n: int) -> None:
    """Raises SiteError for a site with n = 0 rows."""
    if n == 0:
        raise SiteError(f"Site '{site}' has no rows. Leave the site out, or supply its rows.")


def check_some_row_complete(found: Mapping[str, tuple[np.ndarray | None, Mapping[str, int]]]) -> None:
    """Raises DataError if no site has a complete row.  found: {site: (rows to keep, missing values by column)}."""
    if all(keep is not None and not keep.any() for keep, _ in found.values()):
        columns = sorted({column for _, counts in found.values() for column in counts})
        raise DataError(f"No row is complete at any site: values are missing in {', '.join(columns)}. Supply them.")


def check_missing_option(missing: str) -> None:
    """Raises UsageError unless missing is "error" or "drop"."""
    if missing not in ("error", "drop"):
        raise UsageError(f'missing is "error" or "drop", not {missing!r}.')


def check_columns_finite(site: str, columns: Mapping[str, Values], rows: np.ndarray | None) -> None:
    """Raises DataError for an infinite value in a number column.  Missing values must be gone already.

    rows (n,): the rows' places in the table, or None where no row was dropped.
    """
    for name, values in columns.items():
        if values.kind == "number" and values.values.dtype.kind == "f" and not all_finite(values.values):
            bad = ~np.isfinite(values.values)
            found = where(bad, rows, values.values)
            raise DataError(f"Site '{site}', column '{name}': {found}. Infinite values cannot be fitted; mend them.")


def check_result_finite(
    site: str, text: str, result: np.ndarray, inputs: Mapping[str, Values], rows: np.ndarray | None
) -> None:
    """Raises DataError where a calculation made an infinite or undefined value from finite inputs.

    text: the calculation, for the message; inputs: its columns; rows: as above.
    """
    if all_finite(np.atleast_1d(result)):
        return
    bad = np.broadcast_to(~np.isfinite(result), (max((len(v) for v in inputs.values()), default=1),))
    first = int(np.argmax(bad))
    of = ", ".join(f"{name} = {values.values[first]}" for name, values in inputs.items() if values.kind == "number")
    fault = f"Site '{site}': '{text}' is infinite or undefined, as log(0), log(-1) and 1/0 are"
    found = where(bad, rows, result) + (f" ({of})" if of else "")
    raise DataError(f"{fault}: {found}. Change the formula or these rows.")


def check_sizes(site: str, x: tuple[np.ndarray, ...], columns: tuple[str, ...]) -> None:
    """Raises DataError for a column (n,) whose largest size lies outside 1e-100 .. 1e100 (zeros pass)."""
    for name, column in zip(columns, x, strict=True):
        largest = max(float(column.max()), -float(column.min()))
        if largest > 1e100 or 0 < largest < 1e-100:
            worst = column[int(np.argmax(np.abs(column)))]
            raise DataError(
                f"Site '{site}', column '{name}': values reach {worst:.3g}. Squares of such numbers leave the range of "
                f"floating point; change the unit of the column."
            )


def check_family(family: str) -> None:
    """Raises UsageError for an unknown family."""
    if family not in DOMAINS:
        raise UsageError(f"Unknown family '{family}'. Known are: {', '.join(sorted(DOMAINS))}.")


def check_response(
    family: str,
    site: str,
    text: str,
    successes: np.ndarray,
    failures: np.ndarray | None,
    rows: np.ndarray | None,
) -> None:
    """Raises DataError where a response lies outside the family's domain.

    text: the response as written; successes, failures (n,) float64; failures is None for a single response.
    """
    DOMAINS[family](site, text, successes, failures, rows)


def _binomial(
    site: str, text: str, successes: np.ndarray, failures: np.ndarray | None, rows: np.ndarray | None
) -> None:
    place = f"Site '{site}', response '{text}':"
    if failures is None:
        bad = (successes != 0) & (successes != 1)
        if bad.any():
            hint = "Write cbind(successes, failures) for counts, (y == 2) for another coding."
            raise DataError(f"{place} a binomial response is 0 or 1; {where(bad, rows, successes)}. {hint}")
        return
    for name, counts in (("successes", successes), ("failures", failures)):
        for bad, fault in ((counts < 0, "negative"), (counts != np.rint(counts), "not whole numbers")):
            if bad.any():
                excess = name == "failures" and fault == "negative"
                why = " (more successes than trials)" if excess else ""
                hint = "Write cbind(successes, failures), or cbind(successes, size - successes)."
                raise DataError(f"{place} {name} are {fault}{why}; {where(bad, rows, counts)}. {hint}")


def _single(family: str, site: str, text: str, failures: np.ndarray | None) -> None:
    if failures is not None:
        raise UsageError(f"Site '{site}', response '{text}': cbind() is for family='binomial', not for '{family}'.")


def _counts(site: str, text: str, counts: np.ndarray, failures: np.ndarray | None, rows: np.ndarray | None) -> None:
    _single("poisson", site, text, failures)
    for bad, fault in ((counts < 0, "negative"), (counts != np.rint(counts), "not whole numbers")):
        if bad.any():
            hint = "A rate is fitted as a count with offset(log(exposure))." if fault != "negative" else "Mend them."
            raise DataError(f"Site '{site}', response '{text}': counts are {fault}; {where(bad, rows, counts)}. {hint}")


def _positive(site: str, text: str, values: np.ndarray, failures: np.ndarray | None, rows: np.ndarray | None) -> None:
    _single("gamma", site, text, failures)
    bad = values <= 0
    if bad.any():
        fault = "a gamma or inverse gaussian response is above zero"
        hint = "Model whether it is zero by itself, family='binomial', and its size in the other rows."
        raise DataError(f"Site '{site}', response '{text}': {fault}; {where(bad, rows, values)}. {hint}")


DOMAINS: dict[str, Callable[[str, str, np.ndarray, np.ndarray | None, np.ndarray | None], None]] = {
    "binomial": _binomial,
    "poisson": _counts,
    "negbinomial": _counts,
    "gamma": _positive,
    "inverse.gaussian": _positive,
    "gaussian": lambda *_: None,  # any number will do, and finite they are by now
}
"""Family name -> check of its response."""


def where(bad: np.ndarray, rows: np.ndarray | None, values: np.ndarray) -> str:
    """ "3 of 56 rows, the first is row 17 (counted from 1) with value inf" """
    first = int(np.argmax(bad))
    row = 1 + (first if rows is None else int(rows[first]))
    value = np.broadcast_to(values, bad.shape)[first]
    counted = f"{int(bad.sum())} of {len(bad)} rows"
    return f"{counted}, the first is row {row} (counted from 1) with value {float(value)!r}"
