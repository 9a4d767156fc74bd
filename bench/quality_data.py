"""The data sets that bench/quality knows, and those it makes of them."""
import hashlib
import os
import warnings
from dataclasses import dataclass

import numpy as np
import pandas

# Named data sets: file, label, key, value of the label that means churned.
FILES = {
    "telco": ("telco.csv", "Churn", "customerID", "Yes"),
    "mlc": ("mlc_churn.csv", "churn", None, "yes"),
}

YES = ("true", "yes", "y", "t", "1", "1.0", "churned")


@dataclass
class DataSet:
    """Rows as the CSV file has them, without the label; positive has 1 for
    those who churned.  Columns of strings are what PostgreSQL gets as text.
    """
    name: str
    frame: pandas.DataFrame
    positive: np.ndarray
    key: str        # the key's column, or None

    def fingerprint(self):
        """A hash of all that the peers learn from."""
        text = self.frame.to_csv(index=False).encode()
        digest = hashlib.sha256(text)
        digest.update(self.positive.astype(np.uint8).tobytes())
        digest.update(repr(self.key).encode())
        return digest.hexdigest()

    def features(self):
        """The features as a Python user would prepare them: without the key,
        and with numbers in texts read as such."""
        frame = self.frame.drop(columns=[self.key] if self.key else [])
        return pandas.DataFrame({name: as_feature(frame[name])
                                 for name in frame.columns})


def as_feature(column):
    """A column as a number or a category."""
    if pandas.api.types.is_numeric_dtype(column):
        return column.astype(np.float64)
    texts = column.str.strip().replace("", np.nan)
    numbers = pandas.to_numeric(texts, errors="coerce")
    if numbers.notna().sum() == texts.notna().sum():
        return numbers.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = pandas.to_datetime(texts, errors="coerce", format="%Y-%m-%d")
    if times.notna().sum() == texts.notna().sum():
        return (times - pandas.Timestamp(0)) / pandas.Timedelta(days=1)
    return texts.astype("category")


def read(path, label, key, positive):
    """Reads a CSV file; rows without a label are left out."""
    frame = pandas.read_csv(path, keep_default_na=False, na_values=[""],
                            dtype={key: str} if key else None)
    for column in (label, key):
        if column and column not in frame.columns:
            raise SystemExit(f"error: {path} has no column \"{column}\"")
    frame = frame[frame[label].notna()].reset_index(drop=True)
    labels = frame.pop(label).astype(str).str.strip()
    if positive is None:
        churned = labels.str.lower().isin(YES)
    else:
        churned = labels == positive
    if not 0 < churned.sum() < len(churned):
        raise SystemExit(f"error: {path}: \"{label}\" has {churned.sum()}"
                         f" churned of {len(churned)}; see --positive")
    for name in frame.columns:
        if frame[name].dtype == bool:
            frame[name] = frame[name].astype(np.int64)
    return frame, churned.to_numpy(np.int64)


def directory():
    return os.environ.get("CHURN_TEST_DATA", "../shared/data")


def read_named(name):
    file, label, key, positive = FILES[name]
    path = os.path.join(directory(), file)
    if not os.path.exists(path):
        return None
    return DataSet(name, *read(path, label, key, positive), key)


# Each variant takes a data set and a generator of random numbers, and returns
# the rows to keep, or changes the frame.

def keep_rows(data, rows):
    data.frame = data.frame.iloc[rows].reset_index(drop=True)
    data.positive = data.positive[rows]


def few_rows(data, random):
    """1,000 customers."""
    keep_rows(data, np.sort(random.permutation(len(data.positive))[:1000]))


def rare(data, random):
    """So few who churn that they are 3 % of the customers."""
    churned = np.flatnonzero(data.positive == 1)
    stayed = np.flatnonzero(data.positive == 0)
    count = round(len(stayed) * 0.03 / 0.97)
    churned = random.permutation(churned)[:count]
    keep_rows(data, np.sort(np.concatenate([churned, stayed])))


def noise(data, random):
    """40 columns that say nothing: 30 numbers, and 10 categories of which
    some have hundreds of values."""
    n = len(data.positive)
    columns = {f"noise_{i}": random.normal(size=n).round(4)
               for i in range(30)}
    for i, values in enumerate((2, 3, 5, 10, 20, 50, 100, 200, 400, 800)):
        columns[f"group_{i}"] = [f"g{v}" for v in random.integers(0, values,
                                                                  n)]
    data.frame = pandas.concat([data.frame, pandas.DataFrame(columns)],
                               axis=1)


def nulls(data, random):
    """A fifth of all values is missing."""
    for name in data.frame.columns:
        hidden = random.random(len(data.frame)) < 0.2
        if name != data.key:
            data.frame[name] = data.frame[name].mask(hidden)


def wide(data, random):
    """Every number eight times, each time with other measuring errors."""
    numbers = [name for name in data.frame.columns
               if pandas.api.types.is_float_dtype(data.frame[name])
               or data.frame[name].nunique() > 20
               and pandas.api.types.is_numeric_dtype(data.frame[name])]
    columns = {}
    for name in numbers:
        spread = data.frame[name].std()
        for i in range(8):
            columns[f"{name}_{i}"] = (
                data.frame[name]
                + random.normal(scale=0.5 * spread, size=len(data.frame))
            ).round(3)
    data.frame = pandas.concat([data.frame.drop(columns=numbers),
                                pandas.DataFrame(columns)], axis=1)


def zips(data, random):
    """A column of 1,500 places, whose churn differs."""
    effect = random.normal(scale=1.0, size=1500)
    order = np.argsort(effect)
    rank = np.where(data.positive == 1, random.beta(2.5, 2, len(data.frame)),
                    random.beta(2, 2.5, len(data.frame)))
    places = order[np.minimum((rank * 1500).astype(int), 1499)]
    data.frame = data.frame.assign(place=[f"p{place}" for place in places])


VARIANTS = {
    "telco-1k": ("telco", few_rows), "mlc-1k": ("mlc", few_rows),
    "telco-rare": ("telco", rare), "mlc-rare": ("mlc", rare),
    "telco-noise": ("telco", noise), "mlc-noise": ("mlc", noise),
    "telco-nulls": ("telco", nulls), "mlc-nulls": ("mlc", nulls),
    "mlc-wide": ("mlc", wide), "telco-places": ("telco", zips),
}


def describe():
    """Names and what they are."""
    for name, (file, *_) in FILES.items():
        yield name, file
    for name, (base, change) in VARIANTS.items():
        yield name, f"{base}: {' '.join(change.__doc__.split())}"


def load(name, label=None, key=None, positive=None):
    """The data set of a name or path; None if its file is not there."""
    if name in FILES:
        return read_named(name)
    if name in VARIANTS:
        base, change = VARIANTS[name]
        data = read_named(base)
        if data is not None:
            data.name = name
            seed = hashlib.sha256(name.encode()).digest()[:8]
            change(data, np.random.default_rng(list(seed)))
        return data
    if not os.path.exists(name):
        raise SystemExit(f"error: no data set and no file \"{name}\"; see"
                         " bench/quality --list")
    if label is None:
        raise SystemExit(f"error: {name} needs --label")
    stem = os.path.splitext(os.path.basename(name))[0]
    return DataSet(stem, *read(name, label, key, positive), key)
