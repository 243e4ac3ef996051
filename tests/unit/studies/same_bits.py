"""Whether a study over files gives the bits of the pooled fit, and so do its replays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import sumwise
from sumwise.results.fit import Fit
from sumwise.studies.centre import replay
from tests.unit.studies.federation import federation


def numbers(fit: Fit) -> bytes:
    """All of them that a fit is made of."""
    parts: list[Any] = [fit.coef, fit.se, np.ravel(fit.vcov), [fit.loglik, fit.deviance, fit.nobs]]
    if isinstance(fit, sumwise.MixedFit):
        parts += [fit.theta, np.ravel(fit.covariance), [fit.scale], fit.ngroups]
    elif isinstance(fit, sumwise.GlmFit):
        parts += [
            [fit.null_deviance, fit.pearson, fit.ignored, fit.size or 0, fit.size_se or 0],
            np.ravel(fit.unscaled),
        ]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts]).tobytes()


def check_same_bits(
    where: Path, formula: str, parts: Mapping[str, pd.DataFrame], options: dict[str, Any], pooled: Fit
) -> None:
    """Plain, and with three sites or more masked; ten sites once: they take their time."""
    for masked in (False, True):
        if (masked and len(parts) < 3) or (not masked and len(parts) == 10):
            continue
        study = federation(where / str(masked), formula, parts, secure_sum=masked, **options)
        found = study.fit()
        assert numbers(found) == numbers(pooled)
        assert list(found.sites.index) == sorted(study.parts)
        assert len(found.rounds) == len(pooled.rounds)
        assert numbers(replay(study.study_path, study.messages)) == numbers(pooled)
        assert numbers(replay(study.study_path, study.ledger("site-01"))) == numbers(pooled)
        assert numbers(Fit.from_json(found.to_json())) == numbers(pooled)
        assert found.summary()
