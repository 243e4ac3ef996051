"""A fit as the marginaleffects package wants its models: predictions, comparisons and slopes are its work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumwise.data import Contract, open_sites, parse, rows
from sumwise.data.expression import Column, walk
from sumwise.errors import DataError, UsageError
from sumwise.results.responses import LINKS

if TYPE_CHECKING:
    from sumwise.results.fit import Fit

Floats = NDArray[np.float64]


def model(fit: Fit, data: Any) -> Any:
    """See Fit.marginal."""
    try:
        import polars as pl
        from marginaleffects.classes import ModelAbstract, ModelVault
    except ImportError as error:
        raise UsageError(
            f"marginal effects are the work of the package marginaleffects, which cannot be loaded ({error}): "
            f"pip install 'sumwise[marginaleffects]'"
        ) from error
    if np.isnan(fit.coef.to_numpy()).any():
        lost = fit.coef.index[np.isnan(fit.coef.to_numpy())].tolist()
        raise DataError(f"'{lost[0]}' has no coefficient, because other columns explain it: leave it out and fit again")
    frame = _frame(data)
    formula, contract = parse(fit.formula), Contract.from_dict(fit.contract)
    used = {part.name for e in formula.predictors(random=False) for part in walk(e) if isinstance(part, Column)}
    response = next(part.name for part in walk(formula.response.successes) if isinstance(part, Column))
    strange = [name for name in (response, *used) if not name.isidentifier()]
    if strange:
        raise UsageError(f"marginaleffects reads columns with plain names: rename {strange[0]!r}")
    levels = {rule.name: rule.levels for rule in contract.columns if rule.name in used and rule.levels}

    class Model(ModelAbstract):  # type: ignore[misc]
        """What marginaleffects asks of a model."""

        def get_vcov(self, vcov: Any = True) -> Floats | None:
            if isinstance(vcov, np.ndarray):
                return vcov
            if not isinstance(vcov, bool):
                raise UsageError(f"vcov={vcov!r}: True, False or a matrix")
            return fit.vcov.to_numpy() if vcov else None

        def get_exog(self, newdata: Any) -> Floats:
            """(n, p + 1): the design matrix, and the offset."""
            table = newdata.to_pandas() if isinstance(newdata, pl.DataFrame) else pd.DataFrame(newdata)
            for name, found in levels.items():  # labels are texts there
                known = {str(level): level for level in found}
                table[name] = [known.get(label, label) for label in table[name].astype(str)]
            (source,) = open_sites(table).values()
            new = rows(formula, contract, source, grouped=False)
            offset = np.zeros(len(new.kept)) if new.offset is None else new.offset
            return np.column_stack([*new.x, offset])

        def get_predict(self, params: Floats, newdata: Any) -> Any:
            exog = newdata if isinstance(newdata, np.ndarray) else self.get_exog(newdata)
            mean = LINKS[fit.link].mean(exog[:, :-1] @ np.asarray(params) + exog[:, -1])
            return pl.DataFrame({"rowid": np.arange(len(mean), dtype=np.int32), "estimate": mean})

    kept = frame[[response, *sorted(used)]].copy()
    for name, found in levels.items():
        places = {level: str(level) for level in found}
        kept[name] = pd.Categorical([places[value] for value in kept[name]], [str(level) for level in found])
    table = pl.from_pandas(kept)
    table = table.with_columns([pl.col(name).cast(pl.Enum(kept[name].cat.categories.tolist())) for name in levels])
    vault = ModelVault(
        coef=fit.coef.to_numpy(),
        coefnames=np.array(fit.terms),
        formula=f"{response} ~ {' + '.join(sorted(used)) or '1'}",
        modeldata=table,
        package="sumwise",
        variable_names=[response, *sorted(used)],
    )
    return Model(fit, vault)


def _frame(data: Any) -> pd.DataFrame:
    """The table that was fitted, as a pandas frame."""
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "to_pandas"):
        found: pd.DataFrame = data.to_pandas()
        return found
    raise UsageError(f"marginal takes a table, pandas, polars or Arrow, not {type(data).__name__}; read files first")
