"""The programs compared: one thin adapter each, listed once."""

from __future__ import annotations

from bench.rivals import glmm, gpboost, mixedlm, r, statsmodels, sumwise
from bench.rivals.measure import Rival

RIVALS: dict[str, Rival] = {
    rival.name: rival
    for rival in (
        sumwise.RIVAL,
        glmm.RIVAL,
        mixedlm.RIVAL,
        gpboost.RIVAL,
        r.GLMER,
        r.GLMMTMB,
        statsmodels.RIVAL,
    )
}
