#!/usr/bin/python3
"""Baselines, profiles and divergences against SciPy and NumPy: on random
counts, generated values, Telco's columns and edge cases; exact to 1e-9, or
within the error that churn/profile.h states where values share cells.  Then
the baselines that churn_train() stores, against the rows it read.  Prints TAP;
needs a C compiler and telco.csv."""
import csv
import json
import os
import sys

import numpy as np
from scipy import optimize, special, stats
from scipy.spatial.distance import jensenshannon

from _common import (data_file, done, equal, ok, psql, query,
                     skip_all, split)
from _dataset import load

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
import profile_parts  # noqa: E402
from profile_parts import Baseline, Divergences, adjust, measured  # noqa: E402

PATH = data_file("telco.csv")
LIBRARY = profile_parts.load()
if LIBRARY is None:
    skip_all("no C compiler")
QUANTILES = 256
RANDOM = np.random.default_rng(20240601)


# What SciPy and NumPy say of counts

def psi(p, q):
    """The index by its definition in churn/divergence.h."""
    some = (p > 0) | (q > 0)
    p = np.where(p > 0, p, .5)[some]
    q = np.where(q > 0, q, .5)[some]
    p, q = p / p.sum(), q / q.sum()
    return np.sum((q - p) * np.log(q / p))


def noncentral_tail(x, df, noncentrality):
    """Poisson's mixture of SciPy's chi-square tails."""
    mean = noncentrality / 2
    wide = 14 * np.sqrt(mean)
    j = np.arange(max(0, int(mean - wide - 30)), int(mean + wide + 60))
    return np.sum(stats.poisson.pmf(j, mean)
                  * special.gammaincc(df / 2 + j, x / 2))


def psi_low(p, q, confidence=.95):
    """The lower bound of the index, by a root of that tail."""
    df = np.sum((p > 0) | (q > 0)) - 1
    effective = p.sum() * q.sum() / (p.sum() + q.sum())
    x = effective * psi(p, q)
    if df == 0 or stats.chi2.sf(x, df) >= 1 - confidence:
        return 0.
    return optimize.brentq(
        lambda noncentrality: noncentral_tail(x, df, noncentrality)
        - (1 - confidence), 0, x + df + 9, xtol=1e-13 * x,
        rtol=1e-14) / effective


def expected_of(p, q, centres=None):
    """All divergences of counts, by name."""
    p, q = np.asarray(p, float), np.asarray(q, float)
    n, m = p.sum(), q.sum()
    some = (p > 0) | (q > 0)
    distance = np.abs(np.cumsum(p) / n - np.cumsum(q) / m).max()
    result = {
        "psi": psi(p, q), "jensen_shannon": jensenshannon(p, q, 2),
        "kolmogorov_smirnov": distance,
        "kolmogorov_smirnov_p":
            special.kolmogorov(np.sqrt(n * m / (n + m)) * distance),
        "psi_low": psi_low(p, q)}
    if some.sum() > 1:
        table = stats.chi2_contingency(np.array([p[some], q[some]]),
                                       correction=False)
        result.update(chi_square=table[0], chi_square_p=table[1], df=table[2])
    if centres is not None:
        result["wasserstein"] = stats.wasserstein_distance(centres, centres,
                                                           p, q)
    return result


def close(got, expected):
    """Equal to 1e-9, and small p-values to as many digits."""
    return abs(got - expected) <= 1e-9 * max(1, abs(expected)) and \
        (expected == 0 or expected < 1e-280 or expected > 1e-3
         or abs(got - expected) <= 1e-6 * abs(expected)
         or abs(expected) < 1e-12)


def check_counts(ours, expected, what):
    """A test that all are equal."""
    wrong = {name: (getattr(ours, name), value)
             for name, value in expected.items()
             if not close(getattr(ours, name), value)}
    if not ok(not wrong, what):
        print(f"# {wrong}")


def random_counts():
    """Pairs of arrays of counts of many shapes."""
    for n in (2, 3, 5, 20, 258, 4096):
        for size in (1, 50, 5000, 10 ** 7):
            shares = RANDOM.dirichlet(np.full(n, .5))
            shifted = RANDOM.dirichlet(np.full(n, .5))
            for weight in (0, .01, .2, 1):
                yield (RANDOM.multinomial(3 * size, shares),
                       RANDOM.multinomial(
                           size, (1 - weight) * shares + weight * shifted))


wrong = 0
for p, q in random_counts():
    centres = np.cumsum(RANDOM.exponential(size=len(p)))
    ours = Divergences(LIBRARY, p, q, centres)
    expected = expected_of(p, q, centres)
    for name, value in expected.items():
        if not close(getattr(ours, name), value):
            wrong += 1
            print(f"# {name} of {p.sum()} and {q.sum()} rows in {len(p)}"
                  f" cells: {getattr(ours, name)!r}, not {value!r}")
equal(wrong, 0, "random counts: all divergences are SciPy's")

# SciPy's own noncentral distribution at the bound
p, q = np.array([400, 300, 300]), np.array([300, 300, 400])
x = 500 * psi(p, q)
bound = Divergences(LIBRARY, p, q).psi_low
ok(abs(stats.ncx2.sf(x, 2, 500 * bound) - .05) < 1e-9,
   "the index's lower bound, by scipy.stats.ncx2")


# Benjamini and Hochberg

def adjusted(p_values):
    """By the paper's formula; SciPy has it since 1.11."""
    if hasattr(stats, "false_discovery_control"):
        return stats.false_discovery_control(p_values)
    order = np.argsort(p_values)
    n = len(p_values)
    steps = p_values[order] * n / np.arange(1, n + 1)
    result = np.empty(n)
    result[order] = np.minimum.accumulate(steps[::-1])[::-1].clip(0, 1)
    return result


wrong = 0
for n in (1, 2, 5, 20, 1000):
    for power in (.5, 1, 4):
        p_values = RANDOM.uniform(size=n) ** power
        p_values[RANDOM.uniform(size=n) < .2] = .01
        gaps = RANDOM.uniform(size=n) < .1
        ours = adjust(LIBRARY, np.where(gaps, np.nan, p_values))
        if not np.all(gaps):
            wrong += not np.allclose(ours[~gaps], adjusted(p_values[~gaps]),
                                     rtol=1e-12, atol=0)
        wrong += not np.all(np.isnan(ours[gaps]))
equal(wrong, 0, "adjusted p-values are Benjamini's and Hochberg's")


# Values

def document_of(features, score=None):
    """A baseline's document of (name, kind, baseline)."""
    return {"features": [{"name": name, "kind": kind, "baseline": baseline}
                         for name, kind, baseline in features],
            "score": score or measured(LIBRARY, [])}


def cells_of(edges, values):
    """Counts by the definition of cells, with NumPy."""
    if len(edges) == 0:
        return np.array([len(values)])
    cell = np.searchsorted(edges, values, "left") + (values >= edges[0])
    return np.bincount(cell, minlength=len(edges) + 2)


def wasserstein_error(edges, p, q):
    """The sum of (b - a) max(p, q) over the cells of several values in which
    the distribution functions may cross."""
    low, high = edges[:-1], edges[1:]
    wide = np.where(np.nextafter(low, np.float32(np.inf)) == high, 0,
                    high.astype(float) - low)
    before = np.cumsum(p - q)[1:-2]
    p, q = p[2:-1], q[2:-1]
    cross = (before - q < -1e-12) & (before + p > 1e-12)
    return np.sum(wide * np.maximum(p, q) * cross)


def check_numbers(before, after, what, kind="number", exact=None):
    """Profiles values in the cells of others and compares all with SciPy on
    the values themselves; returns the divergences.  exact: whether each value
    has a cell of its own, which else the number of different ones tells."""
    before = np.asarray(before, np.float32)
    after = np.asarray(after, np.float32)
    baseline = Baseline(LIBRARY, document_of(
        [("x", kind, measured(LIBRARY, before, kind))]))
    half = len(after) // 3
    profile = baseline.profile(after[:half])
    baseline.merge(profile, baseline.profile(after[half:]))
    p, q, ours = baseline.compare(0, profile)
    old, new = before[~np.isnan(before)], after[~np.isnan(after)]
    ok(np.array_equal(p.counts, cells_of(p.edges, old))
       and np.array_equal(q.counts, cells_of(p.edges, new))
       and p.missing == len(before) - len(old)
       and q.missing == len(after) - len(new), f"{what}: counts by cell")
    if len(old) == 0 or len(new) == 0:
        ok(all(np.isnan(getattr(ours, name)) for name in
               ("psi", "jensen_shannon", "kolmogorov_smirnov", "chi_square",
                "wasserstein", "psi_low")), f"{what}: nothing is defined")
        return ours
    check_counts(ours, expected_of(p.counts, q.counts),
                 f"{what}: divergences of the counts")
    mean, sd = np.mean(old, dtype=float), np.std(old, ddof=1, dtype=float) \
        if len(old) > 1 else np.nan
    ok(abs(p.mean - mean) <= 1e-9 * max(1, abs(mean))
       and (np.isnan(sd) and np.isnan(p.sd)
            or abs(p.sd - sd) <= 1e-9 * max(1, sd)), f"{what}: mean and sd")
    if exact is None:
        exact = len(np.unique(old)) <= QUANTILES + 1
    with np.errstate(divide="ignore"):  # of the p-value of a few rows
        distance = stats.ks_2samp(old, new, mode="asymp").statistic
    gap = distance - ours.kolmogorov_smirnov
    ok(-1e-9 <= gap <= (1e-9 if exact else 1 / QUANTILES),
       f"{what}: Kolmogorov-Smirnov is {distance:.6f}, {gap:.1e} more than"
       " reckoned")
    distance = stats.wasserstein_distance(old, new)
    gap = abs(distance - ours.wasserstein)
    bound = wasserstein_error(p.edges, p.counts / len(old),
                              q.counts / len(new))
    scale = max(np.abs(old).max(), np.abs(new).max())
    # in cells of several values, the mean of the baseline's is a float
    rounding = 1e-9 * max(1, scale) if exact else \
        2 ** -24 * np.abs(old).mean(dtype=float) + 1e-9
    ok(gap <= bound + rounding,
       f"{what}: Wasserstein is {distance:.6g}, {gap:.1e} off, at most"
       f" {bound:.1e}")
    return ours


def check_categories(before, after, what):
    """The same of texts, None for missing."""
    codes = sorted({text for text in before if text is not None})
    before_codes = [codes.index(text) if text is not None else np.nan
                    for text in before]
    after_codes = [np.nan if text is None else codes.index(text)
                   if text in codes else -np.inf for text in after]
    counted = [before.count(text) for text in codes]
    baseline = Baseline(LIBRARY, document_of([("x", "category", {
        "rows": len(before), "missing": before.count(None), "unseen": 0,
        "counts": counted})]))
    profile = baseline.profile(after_codes)
    p, q, ours = baseline.compare(0, profile)
    known = [text for text in after if text in codes]
    equal((q.missing, q.unseen, q.counts.tolist()),
          (after.count(None), len(after) - after.count(None) - len(known),
           [after.count(text) for text in codes]), f"{what}: counts by code")
    ok(np.array_equal(p.counts, np.bincount(
        [int(code) for code in before_codes if not np.isnan(code)],
        minlength=len(codes))), f"{what}: counts of the baseline")
    # all, with what is missing and unseen as cells, from the texts themselves
    ours = Divergences(
        LIBRARY, np.append(p.counts, [p.missing, p.unseen]).astype(np.uint64),
        np.append(q.counts, [q.missing, q.unseen]).astype(np.uint64))
    labels = codes + [None, "(unseen)"]
    renamed = [text if text is None or text in codes else "(unseen)"
               for text in after]
    if len(before) > 0 and len(after) > 0:
        check_counts(ours, expected_of(
            [before.count(text) for text in labels],
            [renamed.count(text) for text in labels]),
            f"{what}: divergences with missing and unseen")
    else:
        ok(np.isnan(ours.psi) and np.isnan(ours.chi_square)
           and np.isnan(ours.chi_square_p), f"{what}: nothing is defined")
    return ours


def generate(kind, n, shift):
    """Values of a distribution that shift moves."""
    if kind == "normal":
        return RANDOM.normal(100 * shift, 10 + shift, n)
    if kind == "lognormal":
        return RANDOM.lognormal(shift, 2, n)
    if kind == "tail":
        return RANDOM.pareto(1.5 - shift, n)
    if kind == "prices":
        return RANDOM.choice([9.99, 19.99, 20, 29.99], n) + \
            np.where(RANDOM.uniform(size=n) < .5,
                     RANDOM.uniform(0, 30, n).round(2), 0) - shift
    return RANDOM.poisson(40 * (1 + shift), n) + 0.


for kind in ("normal", "lognormal", "tail", "prices", "counts"):
    for n, m, shift in ((300, 40, 0), (1000, 5000, .01), (20000, 20000, .1)):
        values = generate(kind, n, 0)
        others = generate(kind, m, shift)
        others[RANDOM.uniform(size=m) < .05] = np.nan
        check_numbers(values, others, f"{n} and {m} of {kind}, shift {shift}")

check_numbers([3] * 50, [3] * 20, "constant")
check_numbers([3] * 50, [2] * 20 + [3] * 5 + [4] * 10, "constant no more")
check_numbers([np.nan] * 50, [np.nan] * 5, "all null")
check_numbers([np.nan] * 50, [1, 2], "all null no more")
check_numbers([1, 2, 3], [np.nan] * 5, "all null now")
check_numbers([7], [7], "one row")
check_numbers([7], [8, 6, 7], "one row and others")
check_numbers([1, 2, 3], [], "no rows")
check_numbers([], [1, 2, 3], "no rows at training")
check_numbers([0, 1, 1], [1, 1, 0, np.nan], "booleans", "boolean")
check_numbers([20.] * 30 + [30.] * 30, [19.99] * 30 + [30.] * 30,
              "a price just below", exact=True)
check_numbers([20.] * 30 + [50.] * 30, [21.] * 20 + [50.] * 40,
              "a price that rises", exact=True)
check_numbers(RANDOM.uniform(0, 1, 5000), RANDOM.uniform(5, 6, 5000),
              "all above")
check_numbers(np.append(RANDOM.uniform(0, 1, 5000), [20.] * 1000),
              np.append(RANDOM.uniform(0, 1, 5000), [19.9] * 1000),
              "a frequent price just below")
check_categories(["a", "b", "b", None], ["b", "new", "a", None, "new"],
                 "a new category")
check_categories(["a"] * 9, ["a"] * 5, "one category")
check_categories(["a"] * 9 + ["b"] * 3, ["new"] * 5, "new categories only")
check_categories([None] * 9, [None] * 5 + ["new"], "all null categories")
check_categories(["a", "b"], [], "no rows of categories")

# Telco's columns: the first half of the rows, and others that differ
with open(PATH, newline="") as file:
    ROWS = list(csv.DictReader(file))
NUMBERS = ["SeniorCitizen", "tenure", "MonthlyCharges", "TotalCharges"]
TEXTS = [name for name in ROWS[0]
         if name not in NUMBERS + ["customerID", "Churn"]]
SIDES = {"the other half": ROWS[3500:],
         "who churned": [row for row in ROWS if row["Churn"] == "Yes"],
         "20 rows": ROWS[3500:3520]}
for what, rows in SIDES.items():
    for name in NUMBERS:
        check_numbers([float(row[name].strip() or "nan")
                       for row in ROWS[:3500]],
                      [float(row[name].strip() or "nan") for row in rows],
                      f"Telco, {what}, {name}")
    for name in TEXTS:
        check_categories([row[name] for row in ROWS[:3500]],
                         [row[name] for row in rows],
                         f"Telco, {what}, {name}")

# What churn_train() stores
load(PATH, "telco", dict.fromkeys(ROWS[0], "text")
     | dict.fromkeys(["SeniorCitizen", "tenure", "MonthlyCharges"], "numeric"),
     "customerID")
psql("SELECT churn_train('telco', 'Churn', key => 'customerID',"
     " algorithm => 'logistic', transform =>"
     """ '{"rate": "\\"MonthlyCharges\\" / nullif(tenure, 0)"}',"""
     " options => '{\"folds\": 2}')")
STORED = json.loads(psql("SELECT churn.baseline('telco')"))
baseline = Baseline(LIBRARY, STORED)
CATEGORIES = {row["name"]: json.loads(row["categories"]) for row in query(
    "SELECT name, to_json(categories) AS categories FROM churn.features"
    " WHERE model = 'telco' AND kind = 'category'")}


def encoded(name, row):
    """A feature's value as churn encodes it; minus infinity is unseen."""
    if name == "rate":
        return float(row["MonthlyCharges"]) / float(row["tenure"]) \
            if float(row["tenure"]) else np.nan
    if name in NUMBERS:
        return float(row[name].strip() or "nan")
    return CATEGORIES[name].index(row[name]) \
        if row[name] in CATEGORIES[name] else -np.inf


names = [feature["name"] for feature in STORED["features"]]
matrix = np.array([[encoded(name, row) for name in names] for row in ROWS],
                  np.float32)
equal(sorted(names), sorted(NUMBERS + TEXTS + ["rate"]),
      "all columns and the transform have a baseline")
profile = baseline.profile(matrix)
for i, name in enumerate(names):
    p, q, ours = baseline.compare(i, profile)
    ok(np.array_equal(p.counts, q.counts) and p.missing == q.missing
       and p.unseen == q.unseen and ours.psi == 0
       and ours.kolmogorov_smirnov == 0,
       f"stored of {name}: the counts of all rows")
    if name not in CATEGORIES:
        again = measured(LIBRARY, matrix[:, i])
        equal({key: STORED["features"][i]["baseline"][key] for key in again},
              again, f"stored of {name}: as measured here")
scores = {row["customerID"]: float(row["score"]) for row in query(
    'SELECT c."customerID", churn_score(c, \'telco\') AS score FROM telco c')}
keys = sorted(scores)
seed = int(psql("SELECT split_seed FROM churn.models WHERE name = 'telco'"))
tested = np.array([scores[key] for key in keys])[
    split([key.encode() for key in keys], seed) == "test"]
again = measured(LIBRARY, tested)
equal({key: STORED["score"][key] for key in again}, again,
      "stored of the score: that of the test rows")
done()
