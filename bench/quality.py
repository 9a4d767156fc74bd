"""How good our models are, beside the peers'.  bench/quality calls this."""
import argparse
import collections
import json
import statistics
import sys
import time

import numpy as np
from sklearn.metrics import (average_precision_score, brier_score_loss,
                             log_loss, roc_auc_score)

import quality_data
from harness import say

# Ours may be worse than the best peer by this much.
MARGIN = 0.002
JUDGED = ("PR-AUC", "ROC-AUC")
BINS = 10


def calibration_error(positive, score):
    """The expected calibration error: the mean difference between mean score
    and share of churners in ten bins of equal width, weighted by rows."""
    bins = np.minimum((score * BINS).astype(int), BINS - 1)
    sums = np.bincount(bins, score - positive, BINS)
    return np.abs(sums).sum() / len(score)


METRICS = {
    "PR-AUC": average_precision_score,
    "ROC-AUC": roc_auc_score,
    "log loss": lambda positive, score: log_loss(
        positive, np.clip(score, 1e-15, 1 - 1e-15)),
    "Brier": brier_score_loss,
    "ECE": calibration_error,
}


def measure(data, folds, scores):
    """Metric → its values, one a fold."""
    return {metric: [float(function(data.positive[test], fold))
                     for (_, _, test), fold in zip(folds, scores.folds)]
            for metric, function in METRICS.items()}


def mean_and_error(values):
    """Mean and standard error, as if the folds were independent."""
    if len(values) < 2:
        return statistics.fmean(values), float("nan")
    return (statistics.fmean(values),
            statistics.stdev(values) / len(values) ** 0.5)


def differences(ours, peer):
    return [a - b for a, b in zip(ours, peer)]


def print_rows(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width)
                  for cell, width in zip(row[1:], widths[1:])]
        say("  ".join(cells).rstrip())
        if number == 0:
            say("-" * (sum(widths) + 2 * (len(widths) - 1)))


def print_means(names, measured, seconds):
    """Means and standard deviations over the folds."""
    rows = [["mean (sd)", *METRICS, "s a fold"]]
    for name in names:
        cells = [f"{statistics.fmean(values):.4f}"
                 f" ({statistics.pstdev(values):.4f})"
                 for values in measured[name].values()]
        rows.append([name, *cells, f"{statistics.fmean(seconds[name]):.1f}"])
    print_rows(rows)


def print_differences(names, measured):
    """Ours less each peer's, fold by fold."""
    rows = [["ours - peer (se)", *METRICS, ""]]
    for name in names[1:]:
        cells = []
        for metric in METRICS:
            mean, error = mean_and_error(differences(
                measured[names[0]][metric], measured[name][metric]))
            cells.append(f"{mean:+.4f} ({error:.4f})")
        rows.append([name, *cells, ""])
    print_rows(rows)


def judge(names, measured):
    """Compares ours with the best peer, metric by metric."""
    verdicts = []
    for metric in JUDGED:
        best = max(names[1:],
                   key=lambda name: statistics.fmean(measured[name][metric]))
        mean, error = mean_and_error(differences(
            measured[names[0]][metric], measured[best][metric]))
        verdicts.append({
            "metric": metric, "best_peer": best, "difference": mean,
            "standard_error": error, "target": -MARGIN,
            "passed": mean >= -MARGIN})
        say(f"{metric}: {mean:+.4f} ({error:.4f}) beside the best peer,"
            f" {best}; target ≥ {-MARGIN}:"
            f" {'PASS' if mean >= -MARGIN else 'MISS'}")
    return verdicts


def run_data_set(data, options):
    """Measures everything on one data set and prints it."""
    from quality_folds import all_scores, outer_folds
    features = data.frame.shape[1] - (data.key is not None)
    say(f"\n== {data.name}: {len(data.positive)} rows, {features} features,"
        f" {data.positive.mean():.1%} churned; {options.folds} folds ×"
        f" {options.seeds} seeds")
    ours, peers = all_scores(data, options)
    folds = list(outer_folds(data, options.folds, options.seeds))
    names = [scores.name for scores in (ours, *peers)]
    measured = {scores.name: measure(data, folds, scores)
                for scores in (ours, *peers)}
    seconds = {scores.name: scores.seconds for scores in (ours, *peers)}
    say()
    print_means(names, measured, seconds)
    verdicts = []
    if peers:
        say()
        print_differences(names, measured)
        say()
        verdicts = judge(names, measured)
    chosen = collections.Counter(remark["algorithm"]
                                 for remark in ours.remarks)
    say("ours chose " + ", ".join(f"{name} {count}×" for name, count
                                  in chosen.most_common())
        + f"; at most {max(ours.seconds):.1f} s a training")
    return {"data": data.name, "rows": len(data.positive),
            "features": features, "share": float(data.positive.mean()),
            "folds": options.folds, "seeds": options.seeds,
            "metrics": measured, "seconds": seconds,
            "trainings": ours.remarks, "verdicts": verdicts}


def object_option(text):
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("wants a JSON object")
    return value


def print_list():
    from quality_peers import PEERS
    say("data sets:")
    for name, what in quality_data.describe():
        say(f"  {name:12} {what}")
    say("peers:")
    for name, function in PEERS.items():
        say(f"  {name:14} {' '.join(function.__doc__.split())}")


def read_options():
    parser = argparse.ArgumentParser(prog="bench/quality", allow_abbrev=False)
    parser.add_argument("--data", default="telco,mlc")
    parser.add_argument("--label")
    parser.add_argument("--key")
    parser.add_argument("--positive")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--peers")
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--params", type=object_option, default={})
    parser.add_argument("--options", type=object_option, default={})
    parser.add_argument("--no-cache", dest="cache", action="store_false")
    parser.add_argument("--json")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.folds < 2 or options.seeds < 1:
        parser.error("at least 2 folds and 1 seed")
    return parser, options


def choose_peers(parser, options):
    from quality_peers import PEERS
    if options.peers is None:
        return list(PEERS)
    if options.peers == "none":
        return []
    wanted = options.peers.split(",")
    for name in wanted:
        if name not in PEERS:
            parser.error(f"no peer \"{name}\"; there are: "
                         + ", ".join(PEERS))
    return wanted


def main():
    parser, options = read_options()
    if options.list:
        print_list()
        return 0
    options.peers = choose_peers(parser, options)
    options.settings = {
        "algorithm": options.algorithm, "params": options.params,
        "options": {"test_fraction": 0, "promote": "always"}
        | options.options}
    start = time.monotonic()
    results = []
    for name in options.data.split(","):
        data = quality_data.load(name, options.label, options.key,
                                 options.positive)
        if data is None:
            say(f"\nSKIPPED {name}: its file is not in"
                f" {quality_data.directory()}")
            continue
        results.append(run_data_set(data, options))
    say(f"\n{(time.monotonic() - start) / 60:.0f} minutes")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"settings": options.settings, "results": results},
                      file, indent=1)
            file.write("\n")
    missed = [verdict for result in results for verdict in result["verdicts"]
              if not verdict["passed"]]
    return 2 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
