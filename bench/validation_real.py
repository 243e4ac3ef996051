"""Data sets that ship with R's packages, with the formulas that their help pages and textbooks fit."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from bench.validation_cases import Case

EXPORT = """
folder <- commandArgs(TRUE)[1]
sets <- strsplit(commandArgs(TRUE)[2], ",")[[1]]
for (set in sets) {
  at <- strsplit(set, ":")[[1]]
  data <- as.data.frame(get(data(list = at[2], package = at[1], envir = environment())[1]))
  levels <- list()
  for (name in names(data)) {
    if (is.ordered(data[[name]]) || is.factor(data[[name]])) {
      data[[name]] <- droplevels(factor(as.character(data[[name]]), levels = levels(data[[name]])))
      levels[[name]] <- I(levels(data[[name]]))
    }
    data[[name]] <- if (is.numeric(data[[name]])) as.numeric(data[[name]]) else as.character(data[[name]])
  }
  names(data) <- gsub(".", "_", names(data), fixed = TRUE)
  names(levels) <- gsub(".", "_", names(levels), fixed = TRUE)
  write.csv(format.data.frame(data, digits = 15, trim = TRUE), file.path(folder, paste0(at[2], ".csv")),
            row.names = FALSE, quote = TRUE)
  write(jsonlite::toJSON(levels), file.path(folder, paste0(at[2], ".json")))
}
"""

LMM = [
    ("lme4:sleepstudy", "Reaction ~ Days + (1 | Subject)"),
    ("lme4:sleepstudy", "Reaction ~ Days + (1 + Days | Subject)"),
    ("lme4:sleepstudy", "Reaction ~ Days + (Days || Subject)"),
    ("lme4:Dyestuff", "Yield ~ 1 + (1 | Batch)"),
    ("lme4:Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
    ("lme4:Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    ("lme4:Pastes", "strength ~ 1 + (1 | batch/cask)"),
    ("lme4:cake", "angle ~ recipe * temp + (1 | recipe:replicate)"),
    ("nlme:Orthodont", "distance ~ age * Sex + (1 + age | Subject)"),
    ("nlme:Orthodont", "distance ~ age + (1 | Subject)"),
    ("nlme:Machines", "score ~ Machine + (1 | Worker)"),
    ("nlme:Machines", "score ~ Machine + (1 | Worker/Machine)"),
    ("nlme:Rail", "travel ~ 1 + (1 | Rail)"),
    ("nlme:Oats", "yield ~ nitro + (1 | Block/Variety)"),
    ("nlme:Oats", "yield ~ nitro * Variety + (1 | Block/Variety)"),
    ("nlme:Pixel", "pixel ~ day + I(day^2) + (1 + day | Dog) + (1 | Dog:Side)"),
    ("nlme:BodyWeight", "weight ~ Time * Diet + (1 + Time | Rat)"),
    ("nlme:ergoStool", "effort ~ Type + (1 | Subject)"),
    ("MASS:oats", "Y ~ N + V + (1 | B/V)"),
]
"""Fitted by REML and by ML."""

LARGE = [("lme4:InstEval", "y ~ service + (1 | s) + (1 | d)")]
"""By REML only."""

GLMM = [
    ("lme4:cbpp", "cbind(incidence, healthy) ~ period + (1 | herd)", "binomial", "logit", (1, 9)),
    ("lme4:VerbAgg", "yes ~ Anger + Gender + btype + situ + (1 | id)", "binomial", "logit", (1, 9)),
    ("lme4:grouseticks", "TICKS ~ YEAR + cHEIGHT + (1 | BROOD)", "poisson", "log", (1, 9)),
    ("lme4:grouseticks", "TICKS ~ YEAR + cHEIGHT + (1 | LOCATION)", "poisson", "log", (1, 9)),
    ("lme4:VerbAgg", "yes ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", "binomial", "logit", (1,)),
    (
        "lme4:grouseticks",
        "TICKS ~ YEAR + HEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
        "poisson",
        "log",
        (1,),
    ),
    (
        "lme4:Arabidopsis",
        "total_fruits ~ nutrient * amd + rack + status + (1 | popu) + (1 | gen)",
        "poisson",
        "log",
        (1,),
    ),
    ("lme4:Arabidopsis", "total_fruits ~ nutrient * amd + rack + status + (1 | popu)", "poisson", "log", (1, 9)),
    ("lme4:Arabidopsis", "total_fruits ~ nutrient * amd + rack + status + (1 | gen)", "negbinomial", "log", (1, 9)),
    ("lme4:Arabidopsis", "total_fruits ~ nutrient + amd + (1 + nutrient | gen)", "poisson", "log", (1, 25)),
    ("MASS:bacteria", "yes ~ trt + late + (1 | ID)", "binomial", "logit", (1, 9)),
    ("MASS:epil", "y ~ trt * lbase + lage + V4 + (1 | subject)", "poisson", "log", (1, 9)),
    ("MASS:epil", "y ~ trt * lbase + lage + V4 + (1 + V4 | subject)", "poisson", "log", (1, 25)),
    ("MASS:epil", "y ~ trt * lbase + lage + V4 + (1 | subject)", "negbinomial", "log", (1, 9)),
    ("glmmTMB:Salamanders", "count ~ mined + spp + (1 | site)", "poisson", "log", (1, 9)),
    ("glmmTMB:Salamanders", "count ~ mined + spp + (1 | site)", "negbinomial", "log", (1, 9)),
    (
        "glmmTMB:Owls",
        "SiblingNegotiation ~ FoodTreatment * SexParent + offset(logBroodSize) + (1 | Nest)",
        "poisson",
        "log",
        (1, 9),
    ),
    (
        "glmmTMB:Owls",
        "SiblingNegotiation ~ FoodTreatment * SexParent + (1 + ArrivalTime | Nest)",
        "negbinomial",
        "log",
        (1, 25),
    ),
]

GLM = [
    ("MASS:quine", "Days ~ Sex / (Age + Eth * Lrn)", "negbinomial", "log"),
    ("MASS:epil", "y ~ lbase * trt + lage + V4", "poisson", "log"),
    ("MASS:birthwt", "low ~ age + lwt + factor(race) + smoke + ptl + ht + ui", "binomial", "logit"),
    ("MASS:birthwt", "low ~ age + lwt + factor(race) + smoke + ptl + ht + ui", "binomial", "probit"),
    ("MASS:bacteria", "yes ~ trt * late", "binomial", "cloglog"),
    ("MASS:Insurance", "Claims ~ District + Group + Age + offset(log(Holders))", "poisson", "log"),
    ("MASS:Pima_tr", "yes ~ npreg + glu + bp + skin + bmi + ped + age", "binomial", "logit"),
    ("datasets:esoph", "cbind(ncases, ncontrols) ~ agegp + tobgp + alcgp", "binomial", "logit"),
    ("datasets:warpbreaks", "breaks ~ wool * tension", "poisson", "log"),
    ("datasets:warpbreaks", "breaks ~ wool * tension", "gamma", "inverse"),
    ("datasets:InsectSprays", "count ~ spray", "poisson", "log"),
    ("datasets:infert", "case ~ spontaneous + induced + age + parity", "binomial", "logit"),
    ("datasets:airquality", "Ozone ~ Wind + Temp", "gamma", "log"),
    ("datasets:airquality", "Ozone ~ Wind + Temp", "inverse.gaussian", "log"),
]


def _tables(names: list[str]) -> dict[str, pd.DataFrame]:
    """The data frames of R's data sets, "package:name" each; factors keep the order of their levels."""
    with tempfile.TemporaryDirectory() as folder:
        asked = ",".join(name.replace("Pima_tr", "Pima.tr") for name in names)
        command = ["Rscript", "--vanilla", "-e", EXPORT, folder, asked]
        subprocess.run(command, capture_output=True, text=True, check=True)
        found = {}
        for name in names:
            stem = Path(folder) / name.split(":")[1].replace("Pima_tr", "Pima.tr")
            levels = json.loads(stem.with_name(stem.name + ".json").read_text())
            frame = pd.read_csv(
                stem.with_name(stem.name + ".csv"), skipinitialspace=True, dtype=dict.fromkeys(levels, str)
            )
            for column, order in levels.items():
                frame[column] = pd.Categorical(frame[column].str.strip(), categories=order)
            found[name] = _derived(name, frame.dropna().reset_index(drop=True))
        return found


def _derived(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """With the columns that some programs' formulas could not work out."""
    match name:
        case "lme4:cbpp":
            return frame.assign(healthy=frame["size"] - frame["incidence"])
        case "lme4:VerbAgg":
            return frame.assign(yes=(frame["r2"] == "Y").astype(float))
        case "MASS:bacteria":
            return frame.assign(yes=(frame["y"] == "y").astype(float), late=(frame["week"] > 2).astype(float))
        case "MASS:Pima_tr":
            return frame.assign(yes=(frame["type"] == "Yes").astype(float))
    return frame


def real_cases() -> list[Case]:
    """All of them."""
    entries = [entry[0] for entry in (*LMM, *LARGE, *GLMM, *GLM)]
    tables = _tables(list(dict.fromkeys(entries)))
    found: list[Case] = []
    linear = [(name, formula, method) for name, formula in LMM for method in ("REML", "ML")]
    linear += [(name, formula, "REML") for name, formula in LARGE]
    found += [Case(n, "lmm", f, "gaussian", "identity", method=method, table=tables[n]) for n, f, method in linear]
    found += [
        Case(name, "glmm", formula, family, link, nodes=nodes, table=tables[name])
        for name, formula, family, link, orders in GLMM
        for nodes in orders
    ]
    found += [Case(name, "glm", formula, family, link, table=tables[name]) for name, formula, family, link in GLM]
    return found
