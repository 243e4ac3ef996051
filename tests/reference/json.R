# Writing R's numbers as JSON, for glm.R and lmm.R.

text <- function(x) paste0('"', gsub('"', '\\\\"', x), '"')
array <- function(x) paste0("[", paste(x, collapse = ", "), "]")
number <- function(x, digits = 12) ifelse(is.na(x), "null", formatC(as.numeric(x), digits = digits, format = "g", width = 1))
object <- function(...) {
  parts <- list(...)
  if (length(parts) == 0) return("{}")
  paste0("{", paste(text(names(parts)), unlist(parts), sep = ": ", collapse = ", "), "}")
}
column <- function(x) if (is.numeric(x)) array(number(x, 15)) else array(text(as.character(x)))
plain <- function(x) if (is.factor(x)) factor(x, levels(x), ordered = FALSE) else x
frame <- function(d) as.data.frame(lapply(d, plain))
