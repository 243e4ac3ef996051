# Rscript validation.R FOLDER: fits each case of FOLDER/cases.json (a file of columns each) with every function of R that
# can, and writes FOLDER/answers.json.
folder <- commandArgs(TRUE)[1]
suppressPackageStartupMessages({
  library(jsonlite); library(lme4); library(glmmTMB); library(MASS); library(nlme)
})
cases <- fromJSON(file.path(folder, "cases.json"), simplifyVector = FALSE)

read_data <- function(case) {
  data <- read.csv(file.path(folder, paste0(case$id, ".csv")), stringsAsFactors = FALSE)
  for (name in names(case$levels)) data[[name]] <- factor(data[[name]], levels = unlist(case$levels[[name]]))
  data
}
family_of <- function(case) switch(case$family,
  binomial = binomial(case$link), poisson = poisson(case$link), gamma = Gamma(case$link), gaussian = gaussian(),
  inverse.gaussian = inverse.gaussian(case$link), negbinomial = nbinom2())
lower <- function(V) {  # the Cholesky factor, column by column; nothing where V has not full rank
  L <- try(t(chol(V)), silent = TRUE)
  if (inherits(L, "try-error")) NULL else L[lower.tri(L, TRUE)]
}

fits <- function(case, data) {
  formula <- as.formula(case$formula, env = environment())
  w <- if (case$weights == "") rep(1, nrow(data)) else data[[case$weights]]
  data$w_ <- w
  weighted <- case$weights != ""
  exact <- list(epsilon = 1e-14, maxit = 200)
  plain <- case$kind == "glm"
  found <- list()
  if (plain && case$family == "negbinomial")
    found$`MASS glm.nb` <- function() {
      fit <- glm.nb(formula, data, weights = w_, control = glm.control(1e-14, 200))
      list(loglik = as.numeric(logLik(fit)), beta = coef(fit))
    }
  else if (plain)
    found$`R glm` <- function() {
      fit <- glm(formula, family_of(case), data, weights = w_, control = exact)
      list(loglik = as.numeric(logLik(fit)), beta = coef(fit))
    }
  if (case$kind == "lmm") {
    found$lmer <- function() {
      fit <- lmer(formula, data, weights = w_, REML = case$method == "REML",
                  control = lmerControl(check.conv.singular = "ignore"))
      list(loglik = as.numeric(logLik(fit)), beta = fixef(fit), theta = getME(fit, "theta"), aux = sigma(fit))
    }
    if (!weighted) found$glmmTMB <- function() {
      fit <- glmmTMB(formula, data, REML = case$method == "REML")
      list(loglik = as.numeric(logLik(fit)), beta = fixef(fit)$cond)
    }
    if (case$nlme != "") found$nlme <- function() {
      fit <- lme(as.formula(case$fixed), data, as.formula(case$nlme), method = case$method)
      list(loglik = as.numeric(logLik(fit)), beta = fixef(fit))
    }
  }
  if (case$kind == "glmm") {
    if (case$family %in% c("binomial", "poisson") && (case$nodes == 1 || case$scalar))
      found$glmer <- function() {
        fit <- glmer(formula, data, family_of(case), weights = w_, nAGQ = case$nodes,
                     control = glmerControl(check.conv.singular = "ignore"))
        list(loglik = as.numeric(logLik(fit)), beta = fixef(fit), theta = getME(fit, "theta"))
      }
    if (case$nodes == 1 && !weighted) found$glmmTMB <- function() {
      fit <- glmmTMB(formula, data, family_of(case))
      theta <- unlist(lapply(VarCorr(fit)$cond, lower))
      aux <- switch(case$family, negbinomial = sigma(fit), gamma = 1 / sigma(fit)^2, NULL)
      list(loglik = as.numeric(logLik(fit)), beta = fixef(fit)$cond, theta = theta, aux = aux)
    }
  }
  found
}

answer <- function(fit) {
  said <- character()
  out <- tryCatch(withCallingHandlers({
    setTimeLimit(elapsed = 60, transient = TRUE)
    began <- Sys.time()
    got <- fit()
    got$seconds <- as.numeric(Sys.time() - began, units = "secs")
    got
  }, warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") },
     message = function(m) { said <<- c(said, conditionMessage(m)); invokeRestart("muffleMessage") }),
  error = function(e) list(failure = conditionMessage(e)))
  setTimeLimit()
  for (name in c("beta", "theta")) if (!is.null(out[[name]])) out[[name]] <- I(as.numeric(out[[name]]))
  out$said <- I(said)
  out
}

answers <- lapply(cases, function(case) lapply(fits(case, read_data(case)), answer))
names(answers) <- sapply(cases, `[[`, "id")
write(toJSON(answers, digits = I(17), auto_unbox = TRUE, na = "string", null = "null"),
      file.path(folder, "answers.json"))
