#!/usr/bin/python3
"""The trainer's calibrations against scikit-learn's, and how well they do on
Telco.  Prints TAP; needs a C compiler, and telco.csv for the last part."""
import os
import sys

import numpy as np
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from _common import done, ok, skip_all

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
import trainer_parts  # noqa: E402
from trainer_parts import Calibration  # noqa: E402

LIBRARY = trainer_parts.load()
if LIBRARY is None:
    skip_all("no C compiler")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def reference(inputs, labels):
    """Logistic regression with next to no penalty on Platt's smoothed targets: each
    row once with either label, weighed by its target."""
    target = np.where(labels == 1,
                      (labels.sum() + 1) / (labels.sum() + 2),
                      1 / ((1 - labels).sum() + 2))
    fit = LogisticRegression(C=1e12, tol=1e-10, solver="newton-cholesky")
    fit.fit(np.vstack([inputs, inputs]),
            np.repeat([1, 0], len(labels)),
            np.concatenate([target, 1 - target]))
    return np.append(fit.coef_[0], fit.intercept_)


def beta_inputs(margins):
    return np.column_stack([-np.log1p(np.exp(-margins)),
                            np.log1p(np.exp(margins))])


def pooled(margins, labels):
    """The isotonic calibration as calibrate_isotonic.c describes it, from
    scikit-learn's fit: blocks of equal rates, small ones joined to the next,
    log-odds at the mean margin of each."""
    order = np.argsort(margins, kind="stable")
    margins, labels = margins[order].astype(np.float64), labels[order]
    rates = IsotonicRegression(y_min=0, y_max=1).fit_transform(
        margins, labels)
    cuts = np.flatnonzero(np.diff(rates) > 1e-12) + 1
    blocks = []
    for rows in np.split(np.arange(len(labels)), cuts):
        block = [len(rows), labels[rows].sum(), margins[rows].sum()]
        if blocks and blocks[-1][0] < max(50, -(-len(labels) // 1000)):
            blocks[-1] = [a + b for a, b in zip(blocks[-1], block)]
        else:
            blocks.append(block)
    if len(blocks) > 1 and blocks[-1][0] < 50:
        last = blocks.pop()
        blocks[-1] = [a + b for a, b in zip(blocks[-1], last)]
    rows, positives, sums = np.array(blocks).T
    rates = positives / rows
    if rates[0] == 0:
        rates[0] = min(1 / (rows[0] + 2), rates[1] / 2)
    if rates[-1] == 1:
        rates[-1] = 1 - min(1 / (rows[-1] + 2), (1 - rates[-2]) / 2)
    return sums / rows, np.log(rates / (1 - rates))


def check_fits(name, margins, labels):
    """Parameters of each kind."""
    platt = Calibration(LIBRARY, margins, labels, wanted="platt")
    theta = reference(margins[:, None].astype(np.float64), labels)
    gap = np.abs(platt.parameters[:2] - theta).max()
    ok(gap < 1e-6, f"{name}: Platt's parameters are LogisticRegression's"
       f" ({gap:.1e})")
    theirs = _SigmoidCalibration().fit(margins.astype(np.float64), labels)
    gap = np.abs(platt(margins) - theirs.predict(
        margins.astype(np.float64))).max()
    ok(gap < 1e-4, f"{name}: its probabilities are those of"
       f" CalibratedClassifierCV(method='sigmoid') ({gap:.1e})")

    beta = Calibration(LIBRARY, margins, labels, wanted="beta")
    inputs = beta_inputs(margins.astype(np.float64))
    theta = reference(inputs, labels)
    if theta[:2].min() >= .001:
        gap = np.abs(beta.parameters[:3] - theta).max()
        ok(gap < 1e-5, f"{name}: beta's parameters are LogisticRegression's"
           f" ({gap:.1e})")
    else:
        # theirs goes without the input whose slope ours holds at .001
        low = theta[:2].argmin()
        theta = reference(inputs[:, [1 - low]], labels)
        gap = abs(beta.parameters[1 - low] - theta[0])
        ok(beta.parameters[low] == .001 and gap < .01,
           f"{name}: a slope is held, the other that of a fit without"
           f" ({gap:.1e})")

    isotonic = Calibration(LIBRARY, margins, labels, wanted="isotonic")
    knots, logits = pooled(margins, labels)
    ok(len(isotonic.margins) == len(knots)
       and np.allclose(isotonic.margins, knots, rtol=1e-9, atol=1e-9)
       and np.allclose(isotonic.logits, logits, rtol=1e-9, atol=1e-6),
       f"{name}: isotonic knots are IsotonicRegression's blocks"
       f" ({len(knots)})")


def ece(scores, labels, bins=10):
    """Expected calibration error, bins of equal width."""
    places = np.minimum((scores * bins).astype(int), bins - 1)
    return sum(abs(scores[places == i].sum() - labels[places == i].sum())
               for i in range(bins)) / len(labels)


def check_telco(path):
    """Out-of-fold margins of boosters, calibrated by the other folds."""
    import pandas as pd
    import xgboost
    from sklearn.model_selection import StratifiedKFold
    rows = pd.read_csv(path)
    labels = (rows.pop("Churn") == "Yes").to_numpy().astype(int)
    rows = rows.drop(columns="customerID")
    rows["TotalCharges"] = pd.to_numeric(rows.TotalCharges, errors="coerce")
    for name in rows.columns:
        if rows[name].dtype == object:
            rows[name] = rows[name].astype("category")
    for what, params, rounds in (
            ("default booster", {"max_depth": 4, "eta": .05}, 100),
            ("overfitted booster", {"max_depth": 6, "eta": .2}, 150),
            ("classes weighed alike", {"max_depth": 4, "eta": .05,
                                       "scale_pos_weight": 2.77}, 100)):
        margins = np.zeros(len(labels), np.float32)
        folds = np.zeros(len(labels), int)
        for fold, (train, held) in enumerate(StratifiedKFold(
                5, shuffle=True, random_state=1).split(rows, labels)):
            booster = xgboost.train(
                dict(params, objective="binary:logistic", subsample=.8,
                     tree_method="hist", nthread=1), xgboost.DMatrix(
                         rows.iloc[train], labels[train],
                         enable_categorical=True), rounds)
            margins[held] = booster.predict(xgboost.DMatrix(
                rows.iloc[held], enable_categorical=True), output_margin=True)
            folds[held] = fold
        chosen = Calibration(LIBRARY, margins, labels, folds)
        scores = np.zeros(len(labels))
        for fold in range(5):
            held = folds == fold
            scores[held] = Calibration(
                LIBRARY, margins[~held], labels[~held], folds[~held],
                wanted=chosen.kind)(margins[held])
        error = ece(scores, labels)
        ok(error <= .02, f"Telco, {what}: expected calibration error"
           f" {error:.4f}, was {ece(sigmoid(margins), labels):.4f};"
           f" {chosen.why}")
        ranks = np.argsort(np.argsort(margins, kind="stable"))
        again = np.argsort(np.argsort(chosen(margins), kind="stable"))
        ok((ranks == again).all(), f"Telco, {what}: the ranking stays")


source = np.random.default_rng(1)
plain = source.normal(-1, 1.5, 20000).astype(np.float32)
check_fits("shifted margins", plain,
           (source.random(20000) < sigmoid(.6 * plain + .8)).astype(int))
check_fits("one-sided margins", plain, (
    source.random(20000) < sigmoid(np.where(plain < 0, .4, 2) * plain - .5)
).astype(int))
check_fits("margins that mislead below", plain, (
    source.random(20000) < sigmoid(np.where(plain < -1, -.4 * (plain + 1) - 1,
                                            plain))).astype(int))
coarse = np.round(plain * 4) / 4
check_fits("tied margins", coarse,
           (source.random(20000) < sigmoid(coarse)).astype(int))

telco = os.path.join(os.environ.get("CHURN_TEST_DATA", ""), "telco.csv")
if os.path.exists(telco):
    check_telco(telco)
else:
    ok(True, "# SKIP no telco.csv; set CHURN_TEST_DATA")
done()
