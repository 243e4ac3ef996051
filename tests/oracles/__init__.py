"""Slow, plain and exact twins of the fast kernels: mpmath and fractions, written to be checked by eye."""
