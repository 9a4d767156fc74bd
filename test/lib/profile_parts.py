"""Baselines, profiles and divergences of src/common, compiled as a library and
called from Python."""
import ctypes
import json

import numpy as np

import compiled

SOURCES = ["test/lib/profile_parts.c"] + [
    f"src/common/{name}.c" for name in
    ("arena", "artifact_arrays", "artifact_description", "decimal",
     "dictionary", "divergence", "divergence_tail", "document", "hash", "json",
     "json_write", "profile", "profile_make", "profile_read")]
KINDS = ["number", "boolean", "category", "age"]


def load():
    """The library, or None without a compiler."""
    library = compiled.load(SOURCES)
    if library is None:
        return None
    for name in ("psi", "jensen_shannon", "kolmogorov_smirnov", "chi_square",
                 "wasserstein", "psi_low"):
        getattr(library, "churn_divergence_" + name).restype = ctypes.c_double
    for name in ("baseline", "profile"):
        getattr(library, "parts_" + name).restype = ctypes.c_void_p
    library.parts_make.restype = ctypes.c_char_p
    library.parts_wasserstein.restype = ctypes.c_double
    return library


def pointer(array):
    """An array's address."""
    return array.ctypes.data_as(ctypes.c_void_p)


class Divergences:
    """All divergences of two arrays of counts, by name."""

    def __init__(self, library, p, q, centres=None, confidence=0.95):
        p = np.ascontiguousarray(p, np.uint64)
        q = np.ascontiguousarray(q, np.uint64)
        assert len(p) == len(q)
        args = (pointer(p), pointer(q), ctypes.c_size_t(len(p)))
        p_value = ctypes.c_double()
        df = ctypes.c_uint64()
        self.psi = library.churn_divergence_psi(*args)
        self.jensen_shannon = library.churn_divergence_jensen_shannon(*args)
        self.kolmogorov_smirnov = library.churn_divergence_kolmogorov_smirnov(
            *args, ctypes.byref(p_value))
        self.kolmogorov_smirnov_p = p_value.value
        self.chi_square = library.churn_divergence_chi_square(
            *args, ctypes.byref(df), ctypes.byref(p_value))
        self.chi_square_p = p_value.value
        self.df = df.value
        self.psi_low = library.churn_divergence_psi_low(
            *args, ctypes.c_double(confidence))
        if centres is not None:
            centres = np.ascontiguousarray(centres, np.float64)
            self.wasserstein = library.churn_divergence_wasserstein(
                pointer(centres), *args)


def adjust(library, p_values):
    """churn_divergence_adjust()."""
    result = np.array(p_values, np.float64)
    library.churn_divergence_adjust(pointer(result),
                                    ctypes.c_size_t(len(result)))
    return result


def measured(library, values, kind="number"):
    """The "baseline" of numbers, NaN for missing, as the trainer makes it."""
    values = np.asarray(values, np.float32)
    kept = np.sort(values[~np.isnan(values)])
    return json.loads(library.parts_make(
        pointer(kept), ctypes.c_size_t(len(kept)),
        ctypes.c_uint64(len(values) - len(kept)), KINDS.index(kind)))


class Side:
    """Counts of a feature: of the baseline or of a profile."""


class Baseline:
    """churn_baseline_read() of a document."""

    def __init__(self, library, document):
        self.library = library
        self.nfeatures = len(document["features"])
        self.kinds = [feature["kind"] for feature in document["features"]]
        self.kinds.append("number")
        text = json.dumps(document).encode()
        message = ctypes.create_string_buffer(1024)
        self.address = library.parts_baseline(
            text, ctypes.c_size_t(len(text)), message)
        if self.address is None:
            raise ValueError(message.value.decode())

    def side(self, feature):
        """The baseline's side of a feature; the last is the score."""
        nedges = ctypes.c_uint32()
        n = self.library.parts_ncells(ctypes.c_void_p(self.address), feature,
                                      ctypes.byref(nedges))
        side = Side()
        side.counts = np.zeros(n, np.uint64)
        side.edges = np.zeros(nedges.value, np.float32)
        moments = np.zeros(2)
        missing, unseen = ctypes.c_uint64(), ctypes.c_uint64()
        self.library.parts_cells(
            ctypes.c_void_p(self.address), feature, pointer(side.counts),
            pointer(side.edges), ctypes.byref(missing), ctypes.byref(unseen),
            pointer(moments))
        side.missing, side.unseen = missing.value, unseen.value
        side.mean, side.sd = moments
        return side

    def profile(self, rows, scores=None):
        """churn_profile_add() of rows; minus infinity is an unseen
        category."""
        rows = np.ascontiguousarray(rows, np.float32).reshape(
            -1, self.nfeatures)
        scores = np.ascontiguousarray(np.full(len(rows), np.nan)
                                      if scores is None else scores)
        return self.library.parts_profile(
            ctypes.c_void_p(self.address), pointer(rows), pointer(scores),
            ctypes.c_size_t(len(rows)))

    def merge(self, profile, other):
        """churn_profile_merge()."""
        assert self.library.parts_merge(ctypes.c_void_p(profile),
                                        ctypes.c_void_p(other)) == 1

    def counts(self, profile, feature):
        """The profile's side of a feature."""
        n = self.library.parts_ncells(ctypes.c_void_p(self.address), feature,
                                      ctypes.byref(ctypes.c_uint32()))
        side = Side()
        side.counts = np.zeros(n, np.uint64)
        missing, unseen = ctypes.c_uint64(), ctypes.c_uint64()
        self.library.parts_counts(
            ctypes.c_void_p(self.address), ctypes.c_void_p(profile), feature,
            pointer(side.counts), ctypes.byref(missing), ctypes.byref(unseen))
        side.missing, side.unseen = missing.value, unseen.value
        return side

    def compare(self, feature, profile):
        """Both sides of a feature, and their divergences."""
        p = self.side(feature)
        q = self.counts(profile, feature)
        ours = Divergences(self.library, p.counts, q.counts)
        if self.kinds[feature] != "category":
            ours.wasserstein = self.library.parts_wasserstein(
                ctypes.c_void_p(self.address), ctypes.c_void_p(profile),
                feature)
        return p, q, ours
