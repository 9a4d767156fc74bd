#!/usr/bin/python3
"""Runs the SQL blocks of a Markdown file, in order, in a database of their
own, and compares what they print with what the file says.  Prints TAP.

    readme.py README.md

A block fenced as "sql" is run by psql and must succeed; one fenced as "sql"
with a further word ("sql skip") is not run.  A block without a language, or
of "text", that follows at once shows its output: each of its lines must be
printed, in this order.  Runs of spaces and dashes count as one, numbers may
differ by 0.03 or 5 %, and a line of dots stands for anything.
"""
import os
import re
import subprocess
import sys

DATABASE = "churn_readme"
NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


def blocks(path):
    """Yields (line number, info string, text) of each fenced block, with
    None as info where anything else stands between two."""
    inside, info, lines, start = False, "", [], 0
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        fence = re.match(r"^(\s*)```+\s*(.*?)\s*$", line)
        if fence and not inside:
            inside, info, lines, start = True, fence.group(2), [], number
            indent = len(fence.group(1))
        elif fence:
            inside = False
            yield start, info, "".join(lines)
        elif inside:
            lines.append(line[min(indent, len(line) - len(line.lstrip(" "))):])
        elif line.strip():
            yield number, None, ""


def psql(*arguments, text=None):
    return subprocess.run(
        ["psql", "-X", "-v", "ON_ERROR_STOP=1", "--pset=pager=off",
         *arguments], input=text, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)


def words(line):
    return re.sub(r"[-+|]{2,}", "-", line).replace("|", " | ").split()


def alike(expected, printed):
    if len(expected) != len(printed):
        return False
    for left, right in zip(expected, printed):
        if left == right:
            continue
        if not (NUMBER.match(left) and NUMBER.match(right)):
            return False
        a, b = float(left), float(right)
        if "." not in left or abs(a - b) > max(.03, .05 * abs(a)):
            return False
    return True


def missing_line(expected, printed):
    """The first expected line that was not printed in its turn, or None."""
    lines = iter([words(line) for line in printed.splitlines()])
    for line in expected.splitlines():
        if not line.strip() or re.match(r"^\s*(\.\.\.|…)\s*$", line):
            continue
        if not any(alike(words(line), other) for other in lines):
            return line
    return None


def comment(text):
    for line in text.splitlines()[:60]:
        print("#   " + line)


def main():
    path = sys.argv[1]
    name = os.path.basename(path)
    for command in (f"DROP DATABASE IF EXISTS {DATABASE}",
                    f"CREATE DATABASE {DATABASE} TEMPLATE template0"):
        psql("-q", "-d", "postgres", "-c", command).check_returncode()

    tests, output = 0, None
    for number, info, text in blocks(path):
        if info == "sql":
            tests += 1
            result = psql("-d", DATABASE, "-f", "-", text=text)
            output = result.stdout
            good = result.returncode == 0
            print(f"{'ok' if good else 'not ok'} {tests} - "
                  f"{name}:{number} runs", flush=True)
            if not good:
                comment(result.stdout + result.stderr)
        elif info in ("", "text") and output is not None:
            tests += 1
            line = missing_line(text, output)
            print(f"{'ok' if line is None else 'not ok'} {tests} - "
                  f"{name}:{number} is what it prints", flush=True)
            if line is not None:
                print(f"# not printed: {line}")
                comment(output)
            output = None
        else:
            output = None
    if tests == 0:
        print(f"1..0 # SKIP {name} has no SQL block")
    else:
        print(f"1..{tests}")
    psql("-q", "-d", "postgres", "-c", f"DROP DATABASE {DATABASE}")


main()
