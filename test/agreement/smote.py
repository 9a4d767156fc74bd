#!/usr/bin/python3
"""The trainer's SMOTE-NC against the algorithm written plainly in Python, row
by row, and against imbalanced-learn's (Debian: python3-imblearn), as
distributions.  Prints TAP; needs a C compiler and, for the second part,
telco.csv and imbalanced-learn."""
import os
import sys

import numpy as np
from scipy import stats

from _common import done, equal, ok, skip_all

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
import trainer_parts  # noqa: E402
from trainer_parts import balance  # noqa: E402

LIBRARY = trainer_parts.load()
if LIBRARY is None:
    skip_all("no C compiler")
K = 5


def penalty_of(numbers):
    """The median of the numbers' standard deviations, squared."""
    return np.float32(np.median(np.nanstd(numbers.astype(np.float64),
                                          axis=0)) ** 2)


def nearest(numbers, codes):
    """For each row the K nearest others, by Chawla et al. 2002, 6.1, with a
    missing value as far from a value as two categories are."""
    penalty = penalty_of(numbers)
    distances = np.zeros((len(numbers),) * 2, np.float32)
    for column in numbers.T:
        off = column[None, :] - column[:, None]
        missing = np.isnan(column)
        differ = missing[None, :] != missing[:, None]
        distances += np.where(differ, penalty,
                              np.where(np.isnan(off), np.float32(0),
                                       off * off))
    for column in codes.T:
        distances += np.where(column[None, :] != column[:, None], penalty,
                              np.float32(0))
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :K]


def majority(codes, row, neighbours):
    """In each nominal column what most neighbours have, codes from 1."""
    result = []
    for column in codes.T:
        votes = {}
        for neighbour in neighbours:
            votes[column[neighbour]] = votes.get(column[neighbour], 0) + 1
        most = max(votes.values())
        tied = [value for value, count in votes.items() if count == most]
        result.append(column[row] if column[row] in tied else
                      min(tied, key=lambda value: value or np.inf))
    return result


def could_be(made, numbers, codes, neighbours, whole):
    """True if the made row is one of some row and one of its nearest."""
    ncolumns = numbers.shape[1]
    made_codes = np.where(np.isnan(made[ncolumns:]), 0,
                          made[ncolumns:] + 1).astype(int)
    for row in range(len(numbers)):
        if list(made_codes) != majority(codes, row, neighbours[row]):
            continue
        for other in neighbours[row]:
            start = numbers[row].astype(np.float64)
            step = numbers[other].astype(np.float64) - start
            step[np.isnan(step)] = 0
            fixed = np.where(np.isnan(start), np.isnan(made[:ncolumns]),
                             np.abs(made[:ncolumns] - start) < 1e-6)
            if not fixed[step == 0].all():
                continue
            # the gaps that each column allows must have one in common
            low, high = 0.0, 1.0
            for column in np.flatnonzero(step):
                slack = .5 if column in whole else 1e-4
                ends = sorted((made[column] + sign * slack - start[column])
                              / step[column] for sign in (-1, 1))
                low, high = max(low, ends[0]), min(high, ends[1])
            if low <= high + 1e-9:
                return True
    return False


def check_rows():
    """Each made row is one that the plain algorithm could have made."""
    source = np.random.default_rng(3)
    n = 600
    labels = (source.random(n) < .25).astype(np.uint8)
    numbers = np.column_stack([
        source.integers(0, 73, n), source.normal(70, 30, n).round(2),
        source.gamma(2, 500, n)]).astype(np.float32)
    numbers[source.random(n) < .1, 1] = np.nan
    codes = np.column_stack([source.integers(0, 4, n),
                             source.integers(1, 3, n)]).astype(np.uint16)
    weights = (source.random(n) < .8).astype(np.float32)
    new, made = balance(LIBRARY, numbers, codes, labels, weights, "smote")
    used = weights > 0
    rare = used & (labels == 1)
    equal(len(made), int((used & (labels == 0)).sum() - rare.sum()),
          "as many rows are made as are missing")
    ok((new[:n] == weights).all() and (new[n:] == 1).all(),
       "real rows keep their weights, made ones weigh 1")
    neighbours = nearest(numbers[rare], codes[rare])
    strange = [i for i, row in enumerate(made) if not could_be(
        row, numbers[rare], codes[rare], neighbours, {0})]
    equal(strange, [], f"{len(made)} made rows are of training rows that"
          " churned and their nearest")
    again = balance(LIBRARY, numbers, codes, labels, weights, "smote")[1]
    ok(np.array_equal(made, again, equal_nan=True), "and the same each time")


def check_imblearn(path):
    """Made rows of Telco are distributed as imbalanced-learn's."""
    import pandas as pd
    try:
        from imblearn.over_sampling import SMOTENC
    except ImportError:
        ok(True, "# SKIP no imbalanced-learn")
        return
    rows = pd.read_csv(path)
    labels = (rows.Churn == "Yes").to_numpy().astype(np.uint8)
    rows["TotalCharges"] = pd.to_numeric(rows.TotalCharges,
                                         errors="coerce").fillna(0)
    names = ["tenure", "MonthlyCharges", "TotalCharges"]
    nominal = [name for name in rows.columns if name not in
               names + ["customerID", "Churn"]]
    numbers = rows[names].to_numpy(np.float32)
    codes = np.column_stack([rows[name].astype("category").cat.codes + 1
                             for name in nominal]).astype(np.uint16)
    _, made = balance(LIBRARY, numbers, codes, labels, np.ones(len(labels)),
                      "smote")
    both = np.hstack([numbers, codes - 1])
    theirs, _ = SMOTENC(range(3, both.shape[1]), random_state=1,
                        k_neighbors=K).fit_resample(both, labels)
    theirs = theirs[len(labels):]
    equal(len(made), len(theirs), "as many rows as imbalanced-learn makes")
    for i, name in enumerate(names):
        gap = stats.ks_2samp(made[:, i], theirs[:, i].round(0) if i == 0
                             else theirs[:, i]).statistic
        ok(gap < .05, f"{name}: distributions differ by {gap:.3f} at most")
    for i, name in enumerate(nominal):
        shares = [np.bincount(sample[:, 3 + i].astype(int), minlength=8)
                  / len(sample) for sample in (made, theirs)]
        gap = np.abs(shares[0] - shares[1]).max()
        ok(gap < .06, f"{name}: shares differ by {gap:.3f} at most")


check_rows()
telco = os.path.join(os.environ.get("CHURN_TEST_DATA", ""), "telco.csv")
if os.path.exists(telco):
    check_imblearn(telco)
else:
    ok(True, "# SKIP no telco.csv; set CHURN_TEST_DATA")
done()
