"""Ratios: Sumwise against other programs, and against what the machine can do at best.  See README.md."""
