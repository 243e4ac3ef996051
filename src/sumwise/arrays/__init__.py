"""Least squares for those who have arrays and no table."""
