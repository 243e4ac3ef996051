"""The demonstrations: one for rows at hand, one for a study of three hospitals."""
