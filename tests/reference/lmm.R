# R's own answers to the cases of lmm.json: data, and what lme4::lmer and lmerTest say.
# Run from the repository root:   Rscript --vanilla tests/reference/lmm.R > lmm_r.json
suppressMessages({library(lme4); library(lmerTest)})
source("tests/reference/json.R")
options(warn = 1)

tight <- lmerControl(optCtrl = list(xtol_abs = 1e-13, xtol_rel = 0, ftol_abs = 1e-14, ftol_rel = 0, maxeval = 5000),
                     calc.derivs = FALSE)

# One fit as JSON, 12 digits.  theta, varcorr and ranef by term in lme4's order, which `terms` names.
answers <- function(fit) {
  ranef <- ranef(fit, condVar = TRUE)
  modes <- lapply(ranef, function(b) do.call(object, setNames(
    lapply(seq_len(nrow(b)), function(i) array(number(unlist(b[i, ])))), rownames(b))))
  object(
    names = array(text(names(fixef(fit)))), beta = array(number(fixef(fit))),
    se = array(number(sqrt(diag(as.matrix(vcov(fit)))))), sigma = number(sigma(fit)),
    terms = array(text(names(getME(fit, "theta")))), theta = array(number(getME(fit, "theta"))),
    criterion = number(-2 * as.numeric(logLik(fit))), loglik = number(as.numeric(logLik(fit))),
    loglik_df = attr(logLik(fit), "df"), aic = number(AIC(fit)), bic = number(BIC(fit)),
    satterthwaite = array(number(summary(fit)$coefficients[, "df"])),
    ranef = do.call(object, modes))
}

case <- function(name, formula, data, source, note, weights = NULL) {
  data <- frame(data)
  data$w.. <- if (is.null(weights)) rep(1, nrow(data)) else data[[weights]]
  environment(formula) <- environment()
  fits <- lapply(c(ML = FALSE, REML = TRUE), function(reml)
    suppressMessages(lmer(formula, data, REML = reml, weights = w.., control = tight)))
  used <- unique(c(all.vars(formula), weights))
  object(name = text(name), source = text(source), note = text(note),
         formula = text(paste(deparse(formula, width.cutoff = 200), collapse = " ")),
         weights = if (is.null(weights)) "null" else text(weights),
         data = do.call(object, lapply(data[used], column)),
         levels = do.call(object, lapply(Filter(is.factor, data[used]), function(f) array(text(levels(f))))),
         r = object(column_sums = array(number(colSums(getME(fits$ML, "X")), 15)),
                    ML = answers(fits$ML), REML = answers(fits$REML)))
}

cakes <- transform(frame(cake), unit = factor(paste(recipe, replicate)))
weighted <- transform(sleepstudy, tests = as.numeric(1 + Days %% 3))
davies <- "Davies and Goldsmith (1972)"
cases <- c(
  case("dyestuff", Yield ~ 1 + (1 | Batch), Dyestuff, davies, ""),
  case("dyestuff2", Yield ~ 1 + (1 | Batch), Dyestuff2, "Box and Tiao (1973)", "the variance of Batch is estimated as zero"),
  case("penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, davies, "crossed, balanced"),
  case("penicillin_unbalanced", diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin[seq_len(144) %% 7 != 3, ], davies,
       "crossed; every seventh row left out"),
  case("pastes", strength ~ 1 + (1 | sample) + (1 | batch), Pastes, davies, "nested: sample is cask within batch"),
  case("cake", angle ~ recipe * temperature + (1 | unit), cakes, "Cochran and Cox (1957)", "unit is recipe and replicate"),
  case("sleepstudy", Reaction ~ Days + (1 + Days | Subject), sleepstudy, "Belenky et al. (2003)", ""),
  case("sleepstudy_int", Reaction ~ Days + (1 | Subject), sleepstudy, "Belenky et al. (2003)", ""),
  case("sleepstudy_uncorrelated", Reaction ~ Days + (1 | Subject) + (0 + Days | Subject), sleepstudy, "Belenky et al. (2003)",
       "the same as (Days || Subject)"),
  case("sleepstudy_weights", Reaction ~ Days + (1 | Subject), weighted, "Belenky et al. (2003), made-up weights",
       "precision weights: the variance of a row is sigma^2 / tests", weights = "tests")
)
cat("{", '"r_version": ', text(R.version.string), ', "lme4_version": ', text(as.character(packageVersion("lme4"))),
    ', "cases": [\n', paste(cases, collapse = ",\n"), "\n]}\n", sep = "")
