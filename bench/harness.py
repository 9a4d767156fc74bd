"""What all measures share: connections, helpers that run beside us, runs that
alternate, and the table at the end."""
import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field

import psycopg2


def say(text=""):
    print(text, flush=True)


def connect(**options):
    """A new connection to the private server, which commits by itself."""
    connection = psycopg2.connect("", **options)
    connection.autocommit = True
    return connection


class Session:
    """One connection that stays, with one cursor."""

    def __init__(self, **options):
        self.connection = connect(**options)
        self.cursor = self.connection.cursor()

    def run(self, command):
        self.cursor.execute(command)

    def value(self, command):
        self.cursor.execute(command)
        return self.cursor.fetchone()[0]

    def row(self, command):
        self.cursor.execute(command)
        return self.cursor.fetchone()

    def timed(self, command):
        """The seconds that a command takes, and the first value it gives."""
        start = time.perf_counter()
        self.cursor.execute(command)
        result = self.cursor.fetchone() if self.cursor.description else [None]
        return time.perf_counter() - start, result[0]

    def pid(self):
        return self.connection.get_backend_pid()

    def close(self):
        self.connection.close()


class Helper:
    """A program beside us that answers each line with a line."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            **options)

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args[0]} ended unexpectedly")
        return answer.rstrip("\n")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        if self.process.wait() != 0 and kind is None:
            raise RuntimeError(f"{self.process.args[0]} failed")


@dataclass
class Bench:
    """What a measure gets: the options and the data set."""
    rows: int
    runs: int
    quick: bool
    work: str
    checks: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    data: object = None

    def path(self, name):
        """A file in the directory that goes away at the end."""
        return os.path.join(self.work, name)

    def peer(self, name):
        """A program of the peers."""
        return os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "peer", name)

    def check(self, passed, what):
        """Notes whether a result is as it must be."""
        self.checks.append((bool(passed), what))
        say(f"   {'ok' if passed else 'NOT OK'}: {what}")

    def note(self, text):
        """A line below the table."""
        self.notes.append(text)
        say(f"   {text}")


def alternate(runs, *sides):
    """Runs all sides in turn, in the opposite order every other time, after one
    of each that does not count, and returns what each returned."""
    results = [[] for _ in sides]
    for side in sides:
        side()
    for i in range(runs):
        for number in range(len(sides))[::-1 if i % 2 else 1]:
            results[number].append(sides[number]())
    return results


# How a line's ratio is made of the two figures:
KINDS = {
    "faster": (lambda ours, peer: peer / ours, "x"),    # both are seconds
    "rate": (lambda ours, peer: ours / peer, "x"),      # both are rates
    "share": (lambda ours, peer: ours / peer, ""),      # ours, part of theirs
}


@dataclass
class Line:
    """One line of the table.  Kind "alone" judges our figure itself."""
    what: str
    kind: str
    ours: list
    peer: list
    target: float
    at_least: bool
    show: object

    def ratios(self):
        if self.kind == "alone":
            return list(self.ours)
        return [KINDS[self.kind][0](o, p)
                for o, p in zip(self.ours, self.peer)]

    def ratio(self):
        return statistics.median(self.ratios())

    def passed(self):
        if self.target is None:
            return None
        if self.at_least:
            return self.ratio() >= self.target
        return self.ratio() <= self.target

    def show_ratio(self, value):
        if self.kind == "alone":
            return self.show(value)
        return f"{value:.2f}{KINDS[self.kind][1]}"

    def cells(self, judge):
        ratios = self.ratios()
        verdict = {True: "PASS", False: "MISS", None: ""}[self.passed()]
        if not judge and verdict:
            verdict = "-"
        sign = "≥" if self.at_least else "≤"
        peer = self.show(statistics.median(self.peer)) if self.peer else ""
        return [self.what,
                self.show(statistics.median(self.ours)), peer,
                self.show_ratio(self.ratio()),
                self.show_ratio(min(ratios)) + "-"
                + self.show_ratio(max(ratios)),
                "" if self.target is None
                else f"{sign} {self.show_ratio(self.target)}", verdict]

    def figures(self):
        return {"measure": self.what, "ours": self.ours, "peer": self.peer,
                "ratio": self.ratio(), "ratios": self.ratios(),
                "target": self.target, "at_least": self.at_least,
                "passed": self.passed()}


def show_time(seconds):
    if seconds < 0.1:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds:.2f} s"


def show_rate(rate):
    return f"{rate:,.0f}/s"


def show_bytes(size):
    return f"{size / 1048576:.2f} MiB" if size < 10485760 \
        else f"{size / 1048576:.0f} MiB"


def faster(bench, what, seconds, target=None):
    """How many times faster ours is, at least the target."""
    bench.lines.append(Line(what, "faster", *seconds, target, True, show_time))


def more(bench, what, rates, target):
    """How many times as many ours does a second, at least the target."""
    bench.lines.append(Line(what, "rate", *rates, target, True, show_rate))


def share_at_least(bench, what, rates, target):
    """Which share of the peer's rate ours has, at least the target."""
    bench.lines.append(Line(what, "share", *rates, target, True, show_rate))


def share_at_most(bench, what, figures, target, show=show_time):
    """Which share of the peer's figure ours has, at most the target."""
    bench.lines.append(Line(what, "share", *figures, target, False, show))


def alone(bench, what, figures, target, show, beside=()):
    """A figure of ours with a limit of its own; beside is only shown."""
    bench.lines.append(Line(what, "alone", figures, list(beside), target,
                            False, show))


def print_lines(lines, judge):
    """A table of lines."""
    head = ["measure", "ours", "peer", "ratio", "range", "target", ""]
    rows = [head] + [line.cells(judge) for line in lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        cells += [row[i].rjust(widths[i]) for i in range(1, len(head) - 1)]
        say("  ".join(cells + [row[-1]]).rstrip())
        if number == 0:
            say("-" * (sum(widths) + 2 * (len(head) - 1)))


def print_report(bench, judge):
    """All lines, the notes, and the checks that failed."""
    print_lines(bench.lines, judge)
    say()
    for note in bench.notes:
        say(f"- {note}")
    failed = [what for passed, what in bench.checks if not passed]
    say(f"- {len(bench.checks) - len(failed)} of {len(bench.checks)} results"
        " are as they must be")
    for what in failed:
        say(f"  NOT OK: {what}")


def write_json(bench, path, header):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": header,
                   "lines": [line.figures() for line in bench.lines],
                   "notes": bench.notes,
                   "checks": [{"passed": passed, "what": what}
                              for passed, what in bench.checks]},
                  file, indent=1)
        file.write("\n")
