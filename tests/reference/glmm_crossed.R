# Laplace's approximation with several grouping factors, by glmmTMB and glmer:
#     Rscript --vanilla tests/reference/glmm_crossed.R > tests/reference/glmm_crossed.json
# from this folder's parent's parent.  The data of the simulated cases are drawn here and stored with the answers.
suppressMessages({library(glmmTMB); library(lme4)})
source("tests/reference/json.R")
set.seed(20261124)

grid <- expand.grid(a = 1:12, b = 1:7, r = 1:2)
grid <- grid[sample(nrow(grid), 130), ]
grid$x <- round(rnorm(nrow(grid)), 3)
eta <- 0.4 + 0.3 * grid$x + 0.6 * rnorm(12)[grid$a] + 0.5 * rnorm(7)[grid$b] + 0.3 * rnorm(12)[grid$a] * grid$x
grid$count <- rpois(nrow(grid), exp(eta))
grid$many <- rnbinom(nrow(grid), size = 1.5, mu = exp(eta))
grid$amount <- signif(rgamma(nrow(grid), shape = 3, rate = 3 / exp(eta)), 4)
grid$hit <- rbinom(nrow(grid), 1, plogis(eta - 0.4))
grid$a <- sprintf("a%02d", grid$a); grid$b <- sprintf("b%d", grid$b); grid$r <- NULL
herds <- transform(frame(lme4::cbpp), animal = sprintf("o%02d", seq_len(nrow(lme4::cbpp))))
herds$herd <- as.character(herds$herd); herds$healthy <- herds$size - herds$incidence
herds$period <- as.integer(herds$period)

cases <- list(
  list("herds", "cbind(incidence, healthy) ~ period + (1 | herd) + (1 | animal)", herds, "binomial", binomial()),
  list("counts", "count ~ x + (1 + x | a) + (1 | b)", grid, "poisson", poisson()),
  list("overdispersed", "many ~ x + (1 | a) + (1 | b)", grid, "negbinomial", nbinom2()),
  list("amounts", "amount ~ x + (1 | a) + (1 | b)", grid, "gamma", Gamma("log")),
  list("hits", "hit ~ x + (1 | a) + (1 | b)", grid, "binomial", binomial()),
  list("nested", "count ~ x + (1 | a / b)", grid, "poisson", poisson())
)
lines <- sapply(cases, function(case) {
  control <- glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 4000, rel.tol = 1e-14, x.tol = 1e-12))
  m <- suppressWarnings(glmmTMB(as.formula(case[[2]]), case[[3]], family = case[[5]], control = control))
  beta <- fixef(m)$cond
  aux <- if (case[[4]] == "negbinomial") sigma(m) else if (case[[4]] == "gamma") 1 / sigma(m)^2 else NA
  sd <- unlist(lapply(VarCorr(m)$cond, function(v) attr(v, "stddev")))
  other <- if (case[[4]] %in% c("negbinomial", "gamma")) NA else {
    g <- suppressWarnings(suppressMessages(glmer(as.formula(case[[2]]), case[[3]], family = case[[5]])))
    as.numeric(logLik(g))
  }
  data <- do.call(object, lapply(case[[3]], column))
  object(name = text(case[[1]]), formula = text(case[[2]]), family = text(case[[4]]), data = data, levels = "{}",
         loglik = number(as.numeric(logLik(m)), 14), beta = array(number(beta)), names = array(text(names(beta))),
         se = array(number(sqrt(diag(vcov(m)$cond)))), sd = array(number(sd)), aux = number(aux),
         loglik_of_glmer = number(other))
})
said <- sprintf("tests/reference/glmm_crossed.R, %s, glmmTMB %s, lme4 %s; 2026-11-24", R.version.string,
                packageVersion("glmmTMB"), packageVersion("lme4"))
cat(sprintf("{%s: %s,\n%s: [\n%s\n]}\n", text("provenance"), text(said), text("cases"), paste(lines, collapse = ",\n")))
