"""The other programs of the validation: R's functions (one process for all cases), glmm and mixedlm (PyPI)."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.validation_cases import Case

SCRIPT = Path(__file__).parent / "rivals" / "validation.R"
PYPI_GLMM_FAMILIES = {"negbinomial": "negativebinomial", "inverse.gaussian": "inversegaussian"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a program says.  loglik: nan where it failed; beta (p,), theta (m,), aux: None where it does not tell;
    said: its warnings, or why it failed.
    """

    program: str
    loglik: float
    beta: np.ndarray | None = None
    theta: np.ndarray | None = None
    aux: float | None = None
    said: str = ""
    seconds: float = float("nan")


def _bars(formula: str) -> int:
    return formula.count("|") - formula.count("||")


def by_r(cases: Sequence[Case], folder: Path, timeout: float) -> list[list[Estimate]]:
    """What R's functions say, for each case."""
    entries = []
    for number, case in enumerate(cases):
        data = case.data
        data.to_csv(folder / f"{number}.csv", index=False, float_format="%.17g")
        texts = [name for name in data if not pd.api.types.is_numeric_dtype(data[name])]
        levels = {
            name: list(data[name].cat.categories)
            if isinstance(data[name].dtype, pd.CategoricalDtype)
            else sorted(set(data[name]))
            for name in texts
        }
        entry = {name: getattr(case, name) for name in ("formula", "kind", "family", "link", "method", "nodes")}
        scalar = (
            _bars(case.formula) == 1
            and "||" not in case.formula
            and ("(1 | " in case.formula or "(0 + " in case.formula)
        )
        nlme, fixed = _nlme(case)
        more = {"id": str(number), "weights": case.weights, "scalar": scalar, "nlme": nlme, "fixed": fixed}
        entries.append(entry | more | {"levels": levels})
    (folder / "cases.json").write_text(json.dumps(entries), encoding="utf-8")
    command = ["Rscript", "--vanilla", str(SCRIPT), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if run.returncode:
        raise RuntimeError(run.stderr[-2000:])
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return [[_of_r(name, a) for name, a in (answers[str(k)] or {}).items()] for k in range(len(cases))]


def _nlme(case: Case) -> tuple[str, str]:
    """The random and the fixed part as nlme writes them, "" where it is not asked."""
    if case.kind != "lmm" or case.table is None or _bars(case.formula) != 1 or "||" in case.formula:
        return "", ""
    fixed, _, bar = case.formula.partition(" + (")
    return "~ " + bar.rstrip(")"), fixed


def _number(value: Any) -> float:
    return float(value) if value not in (None, "NA", "NaN") else float("nan")


def _array(values: Any) -> np.ndarray | None:
    return None if not values else np.array([_number(v) for v in values])


def _of_r(program: str, found: dict[str, Any]) -> Estimate:
    if "failure" in found:
        return Estimate(program, float("nan"), said=f"fails: {found['failure']}")
    aux = found.get("aux")
    return Estimate(
        program,
        _number(found["loglik"]),
        _array(found.get("beta")),
        _array(found.get("theta")),
        _number(aux) if isinstance(aux, (int, float)) else None,
        "; ".join(found["said"]),
        found["seconds"],
    )


def by_glmm(case: Case) -> Estimate | None:
    """glmm (PyPI); None where it has not the model."""
    import glmm

    if "||" in case.formula:
        return None
    data, kwargs = case.data, {}
    if case.kind == "lmm":
        kwargs["reml"] = case.method == "REML"
    if case.weights:
        kwargs["weights"] = data[case.weights].to_numpy()
    if case.offset:
        kwargs["offset"] = data[case.offset].to_numpy()
    formula = case.formula.replace(" + offset(o)", "")
    family = PYPI_GLMM_FAMILIES.get(case.family, case.family)
    link = None if case.link == "identity" else case.link
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit = glmm.fit(data, formula, family=family, link=link, nagq=max(case.nodes, 1), **kwargs)
        except Exception as error:  # whatever it raises is its answer
            return Estimate("glmm", float("nan"), said=f"fails: {error}")
    words = "; ".join(f"{w.category.__name__}: {w.message}" for w in said)
    if not fit.converged:
        words = f"says it did not converge; {words}"
    aux = 1 / fit.dispersion if case.family == "gamma" else fit.dispersion
    return Estimate("glmm", float(fit.loglik), np.asarray(fit.beta, float), _theta(fit), aux, words)


def _theta(fit: Any) -> np.ndarray:
    """Lower triangles of the Cholesky factors of the effects' covariances, whose own come column by column."""
    found: list[float] = []
    for packed in fit.varcorr:
        q = round((np.sqrt(8 * len(packed) + 1) - 1) / 2)
        V = np.zeros((q, q))
        V.T[np.triu_indices(q)] = packed
        L = _semidefinite(V)
        found.extend(L[i, j] for j in range(q) for i in range(j, q))
    return np.array(found)


def _semidefinite(V: np.ndarray) -> np.ndarray:
    """The Cholesky factor of the lower triangle of V, with columns of zeros where rank is lacking."""
    L, q = np.zeros_like(V), len(V)
    for j in range(q):
        pivot = V[j, j] - L[j] @ L[j]
        if pivot > 1e-14 * V[j, j]:
            L[j:, j] = (V[j:, j] - L[j:] @ L[j]) / np.sqrt(pivot)
    return L


def by_mixedlm(case: Case) -> Estimate | None:
    """mixedlm (PyPI); asked for simulated models of one grouping factor without offset, trials or weights."""
    import mixedlm

    foreign = case.offset or case.weights or "cbind" in case.formula or "||" in case.formula or "/" in case.formula
    if case.kind == "glm" or foreign or _bars(case.formula) != 1:
        return None
    data = case.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if case.kind == "lmm":
                fit = mixedlm.lmer(case.formula, data, REML=case.method == "REML")
            elif (case.family, case.link) in (("binomial", "logit"), ("poisson", "log")):
                if case.nodes > 1 and "(1 + " in case.formula:
                    return None
                family = getattr(mixedlm.families, case.family.capitalize())()
                fit = mixedlm.glmer(case.formula, data, family=family, nAGQ=case.nodes)
            else:
                return None
            beta, theta = np.array(list(fit.fixef().values())), np.asarray(fit.theta, float)
            said = "" if fit.converged else "says it did not converge"
            return Estimate("mixedlm", float(fit.logLik().value), beta, theta, None, said)
        except Exception as error:  # whatever it raises is its answer
            return Estimate("mixedlm", float("nan"), said=f"fails: {error}")
