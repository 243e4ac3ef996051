# Rscript fit.R PACKAGE FOLDER FORMULA NODES REPEATS SLOW: reads the columns of FOLDER, times the fit, prints JSON.
given <- commandArgs(TRUE)
package <- given[1]; folder <- given[2]; nodes <- as.integer(given[4])
suppressPackageStartupMessages(library(package, character.only = TRUE))
formula <- as.formula(given[3])

columns <- read.csv(file.path(folder, "columns.csv"), colClasses = "character", na.strings = character())
data <- list()
for (i in seq_len(nrow(columns))) {
  path <- file.path(folder, paste0(columns$name[i], ".bin"))
  values <- readBin(path, "double", file.size(path) / 8)
  if (columns$levels[i] != "") {
    levels <- strsplit(columns$levels[i], "|", fixed = TRUE)[[1]]
    values <- factor(values, levels = seq_along(levels), labels = levels)
  }
  data[[columns$name[i]]] <- values
}
data <- as.data.frame(data)

kilobytes <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line))
}
fit_once <- function() {
  began <- Sys.time()
  fit <- suppressWarnings(suppressMessages(
    if (package == "lme4") glmer(formula, data, family = binomial, nAGQ = nodes)
    else glmmTMB(formula, data, family = binomial)
  ))
  list(fit = fit, seconds = as.numeric(Sys.time() - began, units = "secs"))
}

rest <- NA
growth <- "null"
invisible(gc())
if (file.exists("/proc/self/clear_refs")) {
  writeLines("5", "/proc/self/clear_refs")
  rest <- kilobytes("VmRSS")
}
first <- fit_once()
if (!is.na(rest)) growth <- sprintf("%.0f", 1024 * (kilobytes("VmHWM") - rest))
seconds <- first$seconds
repeats <- as.integer(given[5])
if (repeats > 0 && seconds < as.numeric(given[6]))
  seconds <- median(replicate(repeats, fit_once()$seconds))

fixed <- if (package == "lme4") fixef(first$fit) else fixef(first$fit)$cond
spread <- if (package == "lme4") VarCorr(first$fit)[[1]] else VarCorr(first$fit)$cond[[1]]
loglik <- as.numeric(logLik(first$fit))
number <- function(x) ifelse(is.finite(x), sprintf("%.17g", x), "NaN")
cat(sprintf('{"seconds": %s, "growth": %s, "loglik": %s, "sigma": %s, "beta": [%s]}\n', number(seconds), growth,
            number(loglik), number(attr(spread, "stddev")[[1]]), paste(number(fixed), collapse = ", ")))
