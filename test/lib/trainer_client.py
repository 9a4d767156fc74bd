"""Speaks the protocol of churn/protocol.h with churn-trainer.

Used by tests, and by hand:

    trainer_client.py TRAINER FILE.csv --label Churn --positive Yes \
        [--key customerID] [--params '{"rounds": 100}'] [--artifact model.ubj]
"""

import argparse
import csv
import json
import math
import os
import select
import socket
import struct
import subprocess
import time

TEXT_NULL = 0xFFFF
TEXT_LONG = 0xFFFE
TEXT_MAX = 1024
FRAME_MAX = 1024 * 1024
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0",
               "LC_ALL": "C"}


def frame(kind, payload=b""):
    """A frame of one character's type."""
    return kind.encode() + struct.pack("=I", len(payload)) + payload


def encode_row(columns, values, label, key=None, score=None):
    """A row of ROWS; values are floats, texts, or None for NULL."""
    parts = [struct.pack("=B", label)]
    if score is not None:
        parts.append(struct.pack("=f", score))
    if key is not None:
        key = key.encode()
        parts.append(struct.pack("=H", len(key)) + key)
    for column, value in zip(columns, values):
        if column["kind"] != "text":
            parts.append(struct.pack("=f",
                                     math.nan if value is None else value))
        elif value is None:
            parts.append(struct.pack("=H", TEXT_NULL))
        else:
            value = value.encode()
            if len(value) > TEXT_MAX:
                parts.append(struct.pack("=H", TEXT_LONG))
            else:
                parts.append(struct.pack("=H", len(value)) + value)
    return b"".join(parts)


def pack_rows(rows):
    """ROWS frames of encoded rows."""
    piece, size = [], 0
    for row in rows:
        if size + len(row) > FRAME_MAX:
            yield frame("R", b"".join(piece))
            piece, size = [], 0
        piece.append(row)
        size += len(row)
    if piece:
        yield frame("R", b"".join(piece))


class Answer:
    """All that a trainer said, and how it ended."""

    def __init__(self):
        self.ready = False
        self.progress = []
        self.notices = []
        self.failure = None
        self.artifact = b""
        self.result = None
        self.status = None
        self.seconds = None

    def take(self, kind, payload):
        """Takes a frame."""
        if kind == "K":
            self.ready = True
        elif kind == "P":
            self.progress.append(struct.unpack("=IIIIQd", payload))
        elif kind == "N":
            self.notices.append(json.loads(payload))
        elif kind == "F":
            self.failure = json.loads(payload)
        elif kind == "A":
            self.artifact += payload
        elif kind == "M":
            self.result = json.loads(payload)
        else:
            raise ValueError("unknown frame %r" % kind)

    def notice_text(self):
        """All notices as one text."""
        return "\n".join(n["message"] + " " + n.get("detail", "")
                         for n in self.notices)


class Trainer:
    """A churn-trainer that is running."""

    def __init__(self, program, environment=None, before_exec=None):
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [program], stdin=theirs, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=before_exec,
            env=ENVIRONMENT if environment is None else environment)
        theirs.close()
        self.answer = Answer()
        self.input = b""
        self.ended = False

    def _read(self):
        """Reads what is there; notes the end of output."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
        self.input += data
        while len(self.input) >= 5:
            length = struct.unpack("=I", self.input[1:5])[0]
            if len(self.input) < 5 + length:
                break
            self.answer.take(self.input[:1].decode(),
                             self.input[5:5 + length])
            self.input = self.input[5 + length:]

    def send(self, data):
        """Sends bytes, reading answers meanwhile; stops when it has ended."""
        view = memoryview(data)
        self.socket.setblocking(False)
        while view and not self.ended:
            readable, writable, _ = select.select([self.socket],
                                                  [self.socket], [], 60)
            if readable:
                self._read()
                continue
            if writable:
                try:
                    view = view[self.socket.send(view):]
                except BlockingIOError:
                    pass
                except ConnectionError:
                    self._drain()
        self.socket.setblocking(True)

    def _drain(self):
        self.socket.setblocking(True)
        while not self.ended:
            self._read()

    def wait_ready(self):
        """Waits for READY or the end."""
        while not self.ended and not self.answer.ready:
            self._read()

    def finish(self, timeout=120):
        """Reads to the end and waits for the process."""
        self.socket.settimeout(timeout)
        while not self.ended:
            self._read()
        self.answer.status = self.process.wait(timeout)
        self.answer.seconds = time.monotonic() - self.started
        self.socket.close()
        return self.answer


class Data:
    """Rows of a CSV file as the extension would send them."""

    def __init__(self, path, label, positive, key=None, numbers=()):
        with open(path, newline="") as file:
            table = list(csv.reader(file))
        names = table[0]
        label_at = names.index(label)
        key_at = names.index(key) if key else None
        used = [i for i in range(len(names)) if i not in (label_at, key_at)]
        self.columns = [
            {"name": names[i],
             "kind": "number" if names[i] in numbers else "text",
             "type": "numeric" if names[i] in numbers else "text"}
            for i in used]
        self.labels = [int(row[label_at] == positive) for row in table[1:]]
        self.keys = [row[key_at] for row in table[1:]] if key else None
        self.values = [
            [float(row[i]) if names[i] in numbers else row[i] for i in used]
            for row in table[1:]]

    def config(self, **more):
        """CONFIG for these rows."""
        config = {"protocol": 1, "algorithm": "xgboost",
                  "columns": self.columns, "params": {},
                  "split_seed": "7", "has_key": self.keys is not None,
                  "has_champion": False, "threads": 1,
                  "estimated_rows": len(self.labels)}
        config.update(more)
        config["options"] = {"folds": 0, "calibration": "none",
                             **more.get("options", {})}
        return config

    def rows(self, order=None, scores=None):
        """The encoded rows, in an order."""
        for i in order if order is not None else range(len(self.labels)):
            yield encode_row(self.columns, self.values[i], self.labels[i],
                             self.keys[i] if self.keys else None,
                             scores[i] if scores is not None else None)


def train(program, config, rows, **more):
    """Runs a whole training; rows are encoded rows."""
    trainer = Trainer(program, **more)
    trainer.send(frame("C", json.dumps(config).encode()))
    trainer.wait_ready()
    for piece in pack_rows(rows):
        trainer.send(piece)
        if trainer.ended:
            break
    trainer.send(frame("E"))
    return trainer.finish()


def main():
    """Trains on a CSV file and prints what the trainer said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trainer")
    parser.add_argument("csv")
    parser.add_argument("--label", required=True)
    parser.add_argument("--positive", required=True)
    parser.add_argument("--key")
    parser.add_argument("--numbers", default="")
    parser.add_argument("--params", default="{}")
    parser.add_argument("--options", default="{}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--artifact")
    given = parser.parse_args()
    data = Data(given.csv, given.label, given.positive, given.key,
                tuple(given.numbers.split(",")))
    answer = train(os.path.abspath(given.trainer),
                   data.config(params=json.loads(given.params),
                               options=json.loads(given.options),
                               threads=given.threads),
                   data.rows())
    for notice in answer.notices:
        print("NOTICE: ", notice["message"])
        if "detail" in notice:
            print("DETAIL: ", notice["detail"])
    if answer.failure:
        print("ERROR: ", answer.failure)
    if answer.result:
        print(json.dumps(answer.result, indent=1))
    print("status %s, %.2f s, %d progress frames, artifact of %d bytes"
          % (answer.status, answer.seconds, len(answer.progress),
             len(answer.artifact)))
    if given.artifact:
        with open(given.artifact, "wb") as file:
            file.write(answer.artifact)


if __name__ == "__main__":
    main()
