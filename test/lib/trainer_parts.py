"""Modules of the trainer, compiled as a library and called from Python.

Skips the test, loudly, where there is no C compiler.
"""
import ctypes

import numpy as np

import compiled

SOURCES = ["test/lib/trainer_parts.c"] + [
    f"src/common/{name}.c" for name in
    ("arena", "calibration", "hash")] + [
    f"src/trainer/{name}.c" for name in
    ("balance", "calibrate", "calibrate_isotonic", "memory", "smote")]
KINDS = ["none", "platt", "beta", "isotonic"]
SAMPLINGS = ["none", "class_weight", "oversample", "smote"]


def load():
    """The library, or None without a compiler."""
    library = compiled.load(SOURCES)
    if library is None:
        return None
    library.parts_logit.restype = ctypes.c_double
    library.parts_balance.restype = ctypes.c_size_t
    return library


def pointer(array):
    """An array's address, None for None."""
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


class Calibration:
    """churn_calibration_fit() of margins and labels."""

    def __init__(self, library, margins, labels, folds=None, wanted=None):
        self.library = library
        margins = np.ascontiguousarray(margins, np.float32)
        labels = np.ascontiguousarray(labels, np.uint8)
        folds = None if folds is None else np.ascontiguousarray(folds,
                                                                np.uint8)
        self.parameters = np.zeros(4)
        self.knots = np.zeros(2048)
        self.log_loss = np.zeros(4)
        why = ctypes.create_string_buffer(256)
        self.number = library.parts_calibrate(
            pointer(margins), pointer(labels), pointer(folds),
            ctypes.c_size_t(len(margins)),
            -1 if wanted is None else KINDS.index(wanted),
            pointer(self.parameters), pointer(self.knots),
            pointer(self.log_loss), why)
        self.kind = KINDS[self.number]
        self.why = why.value.decode()
        count = int(self.parameters[3])
        self.margins = self.knots[:count]
        self.logits = self.knots[count:2 * count]

    def logit(self, margins):
        """Calibrated log-odds."""
        return np.array([self.library.parts_logit(
            self.number, pointer(self.parameters), pointer(self.knots),
            ctypes.c_double(margin)) for margin in margins])

    def __call__(self, margins):
        return 1 / (1 + np.exp(-self.logit(margins)))


def balance(library, numbers, codes, labels, weights, sampling, ratio=1.0,
            seed=1, room=1000000):
    """churn_balance_make(); the weights of all rows and the rows made.
    numbers is rows by columns, NaN for missing, codes likewise from 1, 0 for
    missing; made rows have codes from 0 and NaN for missing."""
    n = len(labels)
    numbers = np.ascontiguousarray(np.asarray(numbers, np.float32).T)
    codes = np.ascontiguousarray(np.asarray(codes, np.uint16).T)
    weights = np.ascontiguousarray(weights, np.float32)
    columns = numbers.shape[0] + codes.shape[0]
    new_weights = np.zeros(n + room, np.float32)
    made = np.zeros((room, columns), np.float32)
    count = library.parts_balance(
        pointer(numbers), ctypes.c_size_t(numbers.shape[0]), pointer(codes),
        ctypes.c_size_t(codes.shape[0]),
        pointer(np.ascontiguousarray(labels, np.uint8)), pointer(weights),
        ctypes.c_size_t(n), SAMPLINGS.index(sampling),
        ctypes.c_double(ratio), ctypes.c_uint64(seed), pointer(new_weights),
        pointer(made), ctypes.c_size_t(room))
    assert count <= room
    return new_weights[:n + count], made[:count]
