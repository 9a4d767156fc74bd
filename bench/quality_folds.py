"""Scores of the held-out rows of every outer fold: ours by SQL, the peers' in
Python.  The peers' are kept in files, since they never change."""
import hashlib
import io
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np
import pandas
import sklearn
import xgboost
from sklearn.model_selection import StratifiedKFold

import quality_peers
from harness import Session, say


# The peers' code as it was loaded.
with open(quality_peers.__file__, encoding="utf-8") as source:
    PEERS_CODE = source.read()

# What the worker processes, which are forks of this one, work on.
shared = {}


@dataclass
class Scores:
    """What a model gave: one array of probabilities a fold, seconds of
    training a fold, and remarks for the record."""
    name: str
    folds: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    remarks: list = field(default_factory=list)


def outer_folds(data, folds, seeds):
    """(seed, training rows, test rows) of each fold."""
    for seed in range(seeds):
        split = StratifiedKFold(folds, shuffle=True, random_state=seed)
        for train, test in split.split(data.positive, data.positive):
            yield seed, train, test


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def type_of(column):
    if pandas.api.types.is_integer_dtype(column):
        return "bigint"
    if pandas.api.types.is_float_dtype(column):
        return "double precision"
    return "text"


def copy_in(session, table, frame):
    """Makes a table of a frame's rows."""
    columns = ", ".join(f"{quoted(name)} {type_of(frame[name])}"
                        for name in frame.columns)
    session.run(f"CREATE TABLE {table} ({columns})")
    session.cursor.copy_expert(
        f"COPY {table} FROM STDIN (FORMAT csv)",
        io.StringIO(frame.to_csv(index=False, header=False)))


def free_name(frame, name):
    """A column's name that the frame does not have."""
    while name in frame.columns:
        name += "_"
    return name


def our_fold(number):
    """Trains on a fold's training rows with churn_train() and scores its test
    rows with churn_score()."""
    data, settings = shared["data"], shared["settings"]
    _, train, test = shared["folds"][number]
    label = free_name(data.frame, "churned")
    row = free_name(data.frame, "row_number")
    model = f"quality_{number}"
    session = Session()
    copy_in(session, f"train_{number}", data.frame.iloc[train].assign(
        **{label: np.where(data.positive[train] == 1, "yes", "no")}))
    copy_in(session, f"test_{number}", data.frame.iloc[test].assign(
        **{row: np.arange(len(test))}))
    session.run("SET churn.training_threads = 1")
    session.cursor.execute(
        "SELECT algorithm, version, seconds FROM churn_train(%s, %s,"
        " key => %s, model => %s, algorithm => %s, params => %s,"
        " options => %s)",
        (f"train_{number}", label, data.key, model, settings["algorithm"],
         json.dumps(settings["params"]), json.dumps(settings["options"])))
    algorithm, version, seconds = session.cursor.fetchone()
    session.cursor.execute(
        f"SELECT churn_score(t.*, %s, %s) FROM test_{number} t"
        f" ORDER BY {quoted(row)}", (model, version))
    scores = np.array([score for score, in session.cursor.fetchall()],
                      dtype=np.float64)
    remark = {"algorithm": algorithm,
              "version": session.value(
                  "SELECT to_jsonb(v) - '{artifact,compiled}'::text[]"
                  " FROM churn.model_versions v"
                  f" WHERE model = '{model}' AND version = {version}"),
              "notices": [notice.strip()
                          for notice in session.connection.notices]}
    session.run(f"SELECT churn_drop_model('{model}')")
    session.run(f"DROP TABLE train_{number}, test_{number}")
    session.close()
    return scores, float(seconds), remark


def peer_fold(name, number):
    data, features = shared["data"], shared["features"]
    seed, train, test = shared["folds"][number]
    start = time.monotonic()
    scores = quality_peers.predict(
        name, features.iloc[train], data.positive[train],
        features.iloc[test], seed)
    return scores, time.monotonic() - start, None


def run_all(jobs, name, function, arguments):
    """The scores of all folds, several at a time, in the order of the
    folds."""
    scores = Scores(name)
    start = time.monotonic()
    with ProcessPoolExecutor(jobs, get_context("fork")) as pool:
        for result in pool.map(function, *arguments):
            scores.folds.append(result[0])
            scores.seconds.append(result[1])
            scores.remarks.append(result[2])
    say(f"   {name}: {len(scores.folds)} folds in"
        f" {time.monotonic() - start:.0f} s")
    return scores


def cache_path(name, seed):
    """The file of a peer's scores of one seed's folds: its name changes with
    the data, the rows of each fold, the peers' code, and the libraries'
    versions."""
    directory = os.environ.get("CHURN_QUALITY_CACHE")
    if not directory:
        return None
    os.makedirs(directory, mode=0o700, exist_ok=True)
    digest = hashlib.sha256(repr(
        (shared["data"].fingerprint(), name, seed, PEERS_CODE,
         sklearn.__version__, xgboost.__version__, np.__version__,
         pandas.__version__)).encode())
    for fold_seed, _, test in shared["folds"]:
        if fold_seed == seed:
            digest.update(repr(test.tolist()).encode())
    return os.path.join(directory, digest.hexdigest()[:24] + ".npz")


def read_cache(path, name):
    if path is None or not os.path.exists(path):
        return None
    with np.load(path, allow_pickle=False) as file:
        folds = np.split(file["scores"], np.cumsum(file["sizes"])[:-1])
        return Scores(name, folds, file["seconds"].tolist())


def write_cache(path, scores):
    if path is None:
        return
    partial = f"{path}.{os.getpid()}.npz"
    np.savez_compressed(partial, scores=np.concatenate(scores.folds),
                        sizes=[len(fold) for fold in scores.folds],
                        seconds=scores.seconds)
    os.replace(partial, path)


def peer_scores(name, options):
    """A peer's scores of all folds, from files as far as there are any."""
    scores = Scores(name)
    for seed in range(options.seeds):
        path = cache_path(name, seed)
        part = read_cache(path, name) if options.cache else None
        if part is None:
            numbers = [number for number, fold in enumerate(shared["folds"])
                       if fold[0] == seed]
            part = run_all(options.jobs, f"{name}, seed {seed}", peer_fold,
                           ([name] * len(numbers), numbers))
            write_cache(path, part)
        scores.folds += part.folds
        scores.seconds += part.seconds
    return scores


def all_scores(data, options):
    """Ours first, then each peer's."""
    shared.update(data=data, features=data.features(),
                  folds=list(outer_folds(data, options.folds, options.seeds)),
                  settings=options.settings)
    name = options.settings["algorithm"]
    ours = run_all(options.jobs, f"churn {name}", our_fold,
                   (range(len(shared["folds"])),))
    return ours, [peer_scores(peer, options) for peer in options.peers]
