# R's own answers to the cases of glm.json: data, design, and what glm and MASS::glm.nb say.
# Run from the repository root:   Rscript --vanilla tests/reference/glm.R > glm_r.json
suppressMessages(library(MASS))
source("tests/reference/json.R")
options(warn = 1)

# The lines of R's summary from the coefficients on.
printed <- function(fit) {
  lines <- capture.output(print(summary(fit)))
  lines[grep("^Coefficients", lines):length(lines)]
}

# One case as JSON.  The numbers are those of a fit with epsilon = 1e-13, 12 digits; `printed` and `iterations` those with R's defaults.
case <- function(name, formula, data, family, link, source, offset = NULL, weights = NULL) {
  data <- frame(data)
  used <- unique(c(all.vars(formula), weights))
  w <- if (is.null(weights)) rep(1, nrow(data)) else data[[weights]]
  data$w.. <- w
  environment(formula) <- environment()
  control <- glm.control(epsilon = 1e-13, maxit = 200)
  fit <- if (family == "negative binomial") glm.nb(formula, data, weights = w.., control = control)
    else glm(formula, do.call(sub("inverse gaussian", "inverse.gaussian", family), list(link = link)),
             data, weights = w.., control = control)
  default <- if (family == "negative binomial") glm.nb(formula, data, weights = w..) else update(fit, control = list())
  s <- summary(fit)
  extra <- if (family == "negative binomial") list(theta = number(fit$theta), theta_se = number(fit$SE.theta)) else list()
  r <- do.call(object, c(list(
    names = array(text(names(coef(fit)))), column_sums = array(number(colSums(model.matrix(fit)), 15)),
    coef = array(number(s$coefficients[, 1])), se = array(number(s$coefficients[, 2])),
    statistic = array(number(s$coefficients[, 3])), p = array(number(s$coefficients[, 4])),
    deviance = number(fit$deviance), null_deviance = number(fit$null.deviance),
    df_residual = fit$df.residual, df_null = fit$df.null, dispersion = number(s$dispersion),
    loglik = number(as.numeric(logLik(fit))), loglik_df = attr(logLik(fit), "df"),
    aic = number(AIC(fit)), bic = number(BIC(fit)), iterations = default$iter,
    printed = array(text(printed(default)))), extra))
  object(name = text(name), source = text(source), formula = text(paste(deparse(formula), collapse = " ")),
         family = text(family), link = text(link),
         offset = if (is.null(offset)) "null" else text(offset), weights = if (is.null(weights)) "null" else text(weights),
         data = do.call(object, lapply(data[used], column)),
         levels = do.call(object, lapply(Filter(is.factor, data[used]), function(f) array(text(levels(f))))), r = r)
}

dobson <- data.frame(counts = c(18, 17, 15, 20, 10, 20, 25, 13, 12), outcome = gl(3, 1, 9), treatment = gl(3, 3))
clotting <- data.frame(u = c(5, 10, 15, 20, 30, 40, 60, 80, 100), lot1 = c(118, 58, 42, 35, 27, 25, 21, 19, 18),
                       lot2 = c(69, 35, 26, 21, 18, 16, 13, 12, 12), runs = c(1, 2, 1, 3, 1, 2, 1, 1, 2))
budworm <- data.frame(ldose = rep(0:5, 2), sex = factor(rep(c("M", "F"), c(6, 6))),
                      dead = c(1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16), alive = 20 - c(1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16))
smokers <- transform(frame(esoph), tob = unclass(tobgp), alc = unclass(alcgp))
# Two of 24 responses overlap, by 2e-6: without them the data would be separated.
steep <- data.frame(x = c(-11:-1, -1e-6, 1e-6, 1:11), y = c(rep(0, 11), 1, 0, rep(1, 11)))

cases <- c(
  case("dobson", counts ~ outcome + treatment, dobson, "poisson", "log", "?glm; Dobson (1990) p. 93"),
  case("anorexia", Postwt ~ Prewt + Treat + offset(Prewt), anorexia, "gaussian", "identity",
       "?glm; Venables and Ripley (2002) p. 189", offset = "Prewt"),
  case("clotting_lot1", lot1 ~ log(u), clotting, "Gamma", "inverse", "?glm; McCullagh and Nelder (1989) pp. 300-2"),
  case("clotting_lot2", lot2 ~ log(u), clotting, "Gamma", "inverse", "?glm; McCullagh and Nelder (1989) pp. 300-2"),
  case("clotting_log", lot1 ~ log(u), clotting, "Gamma", "log", "?glm data, other link"),
  case("clotting_weights", lot1 ~ log(u), clotting, "Gamma", "log", "?glm data, made-up weights", weights = "runs"),
  case("clotting_frequency", lot1 ~ log(u), clotting[rep(1:9, clotting$runs), ], "Gamma", "log",
       "?glm data, rows repeated as often as the weights of clotting_weights say"),
  case("esoph", cbind(ncases, ncontrols) ~ agegp + tobgp * alcgp, esoph, "binomial", "logit",
       "?esoph (R 4.2.2), first model, treatment contrasts; Breslow and Day (1980)"),
  case("esoph_linear", cbind(ncases, ncontrols) ~ agegp + tob + alc, smokers, "binomial", "logit",
       "?esoph (R 4.2.2), second model, treatment contrasts; Breslow and Day (1980)"),
  case("warpbreaks", breaks ~ wool * tension, warpbreaks, "poisson", "log", "?warpbreaks; Tippett (1950)"),
  case("insurance", Claims ~ District + Group + Age + offset(log(Holders)), Insurance, "poisson", "log",
       "MASS ?Insurance, treatment contrasts; Baxter, Coutts and Ross (1980)", offset = "log(Holders)"),
  case("quine", Days ~ Eth + Sex + Age + Lrn, quine, "negative binomial", "log", "MASS ?quine data; Quine (1975)"),
  case("quine_nested", Days ~ Sex/(Age + Eth * Lrn), quine, "negative binomial", "log", "MASS ?glm.nb; Quine (1975)"),
  case("budworm", cbind(dead, alive) ~ sex * ldose, budworm, "binomial", "logit", "Venables and Ripley (2002) p. 190; Collett (1991)"),
  case("budworm_probit", cbind(dead, alive) ~ sex + ldose, budworm, "binomial", "probit", "Venables and Ripley (2002) p. 192"),
  case("budworm_cloglog", cbind(dead, alive) ~ sex + ldose, budworm, "binomial", "cloglog", "budworm, other link"),
  case("trees", Volume ~ log(Girth) + log(Height), trees, "inverse gaussian", "log", "?trees data; Ryan et al. (1976)"),
  case("plant_growth", weight ~ group, PlantGrowth, "inverse gaussian", "1/mu^2", "?PlantGrowth data; Dobson (1983)"),
  case("cars", dist ~ speed, cars, "gaussian", "identity", "?cars data, weights made up of a column", weights = "speed"),
  case("near_separation", y ~ x, steep, "binomial", "logit", "made up: two of 24 responses overlap by 2e-6")
)
cat("{", '"r_version": ', text(R.version.string), ', "mass_version": ', text(as.character(packageVersion("MASS"))),
    ', "cases": [\n', paste(cases, collapse = ",\n"), "\n]}\n", sep = "")
