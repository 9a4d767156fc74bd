#!/usr/bin/python3
"""Runs the SQL of README.md and of docs/*.md as a reader would who copies one
block after the other into psql, and compares what psql prints with what the
page says.  Prints TAP.

    readme.py [FILE.md ...]

Each file has a database of its own and one psql session.  A block fenced as
"sql" is run and must succeed; one fenced as "sql no-run" is not.  A block
fenced as "text" that follows at once, nothing but blank lines between, is what
psql prints for it:

- It may show what the last statements of the block print, and leave out the
  first.
- Lines are compared in order, cell by cell.  Rules of dashes, blank lines and
  the padding of cells do not count; nor do counts like "(3 rows)", unless the
  page shows them.
- Numbers with a decimal point may differ by TOLERANCE, in part or by that
  much, since other versions of XGBoost learn other models; anything else has
  to be the same.
- A line of three dots stands for any number of lines.

The server is the one that psql finds (PGHOST and so on); it must have the
extension available.  Files without SQL are left out.
"""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATABASE = "churn_readme"
TOLERANCE = .1
DECIMAL = re.compile(r"^-?\d*\.\d+(e[-+]?\d+)?$")
MARK = "-- block %d is done --"
tests = 0


def ok(passed, what, *comments):
    """Prints the result of a test, and comments if it failed."""
    global tests
    tests += 1
    print(f"{'ok' if passed else 'not ok'} {tests} - {what}", flush=True)
    if not passed:
        for line in "\n".join(comments).splitlines()[:80]:
            print("#   " + line, flush=True)


def fences(path):
    """The fenced blocks of a file as (line, info, text); info is None for
    any other line that is not blank."""
    result, lines, start = [], None, 0
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fence = re.match(r"^\s*```+\s*(.*?)\s*$", line)
            if fence and lines is None:
                info, lines, start = fence.group(1), [], number
            elif fence:
                result.append((start, info, "".join(lines)))
                lines = None
            elif lines is not None:
                lines.append(line)
            elif line.strip():
                result.append((number, None, line))
    if lines is not None:
        raise ValueError(f"{path}:{start}: block without an end")
    return result


def blocks(path):
    """The SQL blocks as (line, SQL, line of the output, output or None)."""
    found = fences(path)
    for i, (line, info, text) in enumerate(found):
        if info != "sql":
            continue
        after = found[i + 1] if i + 1 < len(found) else (0, None, "")
        yield (line, text) + ((after[0], after[2]) if after[1] == "text"
                              else (0, None))


def psql(*arguments, text=None):
    """Runs psql with both of its outputs in one."""
    return subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--pset=pager=off",
         *arguments], input=text, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env=dict(os.environ, PGCLIENTENCODING="UTF8"))


def rows(text, counts):
    """The lines that count, as lists of cells."""
    result = []
    for line in text.splitlines():
        if re.match(r"^[-+\s]*$", line):
            continue
        if not counts and re.match(r"^\(\d+ rows?\)$", line):
            continue
        result.append([cell.strip() for cell in line.split("|")])
    return result


def alike(expected, got):
    """Whether two lines say the same."""
    if len(expected) != len(got):
        return False
    for left, right in zip(expected, got):
        if left == right:
            continue
        if not (DECIMAL.match(left) and DECIMAL.match(right)):
            return False
        gap = abs(float(left) - float(right))
        if gap > TOLERANCE and gap > TOLERANCE * abs(float(left)):
            return False
    return True


def first_difference(left, right):
    """The first of two lists of lines that differ, in words; None if none
    does."""
    i = j = 0
    while i < len(left):
        if left[i] in (["..."], ["…"]):
            if i + 1 == len(left):
                return None
            i += 1
            while j < len(right) and not alike(left[i], right[j]):
                j += 1
        if j == len(right) or not alike(left[i], right[j]):
            return ("the page says:  " + " | ".join(left[i])
                    + "\npsql prints:    " + (" | ".join(right[j])
                                             if j < len(right)
                                             else "nothing more"))
        i, j = i + 1, j + 1
    return None if j == len(right) else \
        "psql also prints:  " + " | ".join(right[j])


def difference(expected, got):
    """How the page differs from what psql prints, None if it does not."""
    counts = re.search(r"^\(\d+ rows?\)$", expected, re.M) is not None
    left, right = rows(expected, counts), rows(got, counts)
    if any(first_difference(left, right[i:]) is None
           for i in range(len(right))):
        return None
    return first_difference(left, right)


def check(path):
    """Runs the blocks of a file."""
    name = os.path.relpath(path, ROOT)
    all_blocks = list(blocks(path))
    if not all_blocks:
        return
    for command in (f"DROP DATABASE IF EXISTS {DATABASE}",
                    f"CREATE DATABASE {DATABASE} TEMPLATE template0"):
        psql("-d", "postgres", "-c", command).check_returncode()
    try:
        result = psql("-d", DATABASE, "-f", "-", text="".join(
            # psql itself prints the mark, whatever became of a transaction
            f"{sql}\n\\echo '{MARK % number}'\n"
            for number, (_, sql, _, _) in enumerate(all_blocks)))
    finally:
        psql("-d", "postgres", "-c", f"DROP DATABASE IF EXISTS {DATABASE}")
    printed, reached = result.stdout, True
    for number, (line, sql, output_line, output) in enumerate(all_blocks):
        ours, mark, printed = printed.partition(MARK % number + "\n")
        passed = reached and mark != ""
        ok(passed, f"{name}:{line} runs",
           "not reached" if not reached else
           f"{sql}\n{ours}\n" + result.stderr[-2000:])
        reached = passed
        if output is not None:
            why = difference(output, ours) if passed else "it did not run"
            ok(why is None, f"{name}:{output_line} is what psql prints",
               why or "", "in", ours)
        if not reached:
            printed = ""
    ok(not reached or result.returncode == 0, f"{name}: psql is content",
       result.stderr[-2000:])


def main():
    """Checks all files."""
    for path in sys.argv[1:] or ([os.path.join(ROOT, "README.md")] + sorted(
            glob.glob(os.path.join(ROOT, "docs", "*.md")))):
        check(path)
    print(f"1..{tests}" if tests else "1..0 # SKIP no SQL in these files")


main()
