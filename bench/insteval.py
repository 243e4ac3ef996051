"""Simulated ratings of lecturers by students, of the size and shape of lme4's InstEval (which ships under another
licence).

73,421 ratings of 1 to 5 by 2,972 students of 1,128 lecturers in 14 departments: every student rates about 25 lecturers,
lecturers are rated by a few to a few hundred, and every lecturer belongs to one department, as do most of the students'
ratings.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

RATINGS, STUDENTS, LECTURERS, DEPARTMENTS = 73_421, 2_972, 1_128, 14


def simulate(seed: int = 1) -> pd.DataFrame:
    """Columns y (1 to 5, float64), s, d, dept (whole numbers from 1), studage, lectage, service."""
    rng = np.random.default_rng(seed)
    department = rng.integers(0, DEPARTMENTS, LECTURERS)
    popularity = rng.gamma(1.2, size=LECTURERS)
    home = rng.integers(0, DEPARTMENTS, STUDENTS)
    share = rng.gamma(6.0, size=STUDENTS)
    student = np.concatenate([np.arange(STUDENTS), rng.choice(STUDENTS, RATINGS - STUDENTS, p=share / share.sum())])
    lecturer = np.empty(RATINGS, dtype=np.int64)
    at_home = rng.uniform(size=RATINGS) < 0.8
    for k in range(DEPARTMENTS):
        own = np.flatnonzero(department == k)
        rows = np.flatnonzero(at_home & (home[student] == k))
        lecturer[rows] = rng.choice(own, len(rows), p=popularity[own] / popularity[own].sum())
    away = np.flatnonzero(~at_home)
    lecturer[away] = rng.choice(LECTURERS, len(away), p=popularity / popularity.sum())
    lecturer[rng.choice(RATINGS, LECTURERS, replace=False)] = np.arange(LECTURERS)  # everybody is rated
    studage, lectage = rng.choice([2, 4, 6, 8], RATINGS), rng.integers(1, 7, RATINGS)
    service = (~at_home).astype(np.int64)
    mean = 3.3 + 0.03 * (studage - 5) - 0.05 * (lectage - 3) - 0.07 * service
    mean = mean + rng.normal(0, 0.33, STUDENTS)[student] + rng.normal(0, 0.52, LECTURERS)[lecturer]
    mean = mean + rng.normal(0, 0.1, DEPARTMENTS)[department[lecturer]]
    y = np.clip(np.rint(mean + rng.normal(0, 1.18, RATINGS)), 1, 5)
    columns = {"y": y, "s": student + 1, "d": lecturer + 1, "dept": department[lecturer] + 1}
    frame = pd.DataFrame(columns | {"studage": studage, "lectage": lectage, "service": service})
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)
