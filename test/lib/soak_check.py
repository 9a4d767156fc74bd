"""The verdict of test/soak: compares what live rescoring wrote with what the
clients recorded in the table audit."""
import os
import statistics

import psycopg2

VERSIONS = (1, 2)
WAIT = "10min"

# Kinds of rows of churn.errors that kills and altered tables may leave.
EXPECTED_ERRORS = ()

# What the worker may grow by from the second to the last quarter of the time
# without kills.
MOST_BYTES = 8 * 1048576
MOST_DESCRIPTORS = 8


class Verdict:
    """Prints TAP."""

    def __init__(self):
        self.number = 0
        self.failed = 0

    def check(self, passed, what, details=()):
        self.number += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.number} - {what}")
        if not passed:
            for detail in list(details)[:20]:
                print(f"#   {detail}")
        return passed

    def finish(self):
        print(f"1..{self.number}", flush=True)
        return 1 if self.failed else 0


def usage_of(pid):
    """Bytes of memory of the process's own, and how many descriptors it has
    open."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return (int(line.split()[1]) * 1024,
                        len(os.listdir(f"/proc/{pid}/fd")))
    raise OSError("no such process")


def check_growth(verdict, samples):
    last = samples[-1][0] if samples else None
    samples = [sample for sample in samples if sample[0] == last]
    quarter = len(samples) // 4
    if not verdict.check(quarter >= 5, "the worker lived without kills",
                         [f"{len(samples)} samples of it"]):
        return
    for name, place, most in (("memory", 1, MOST_BYTES),
                              ("descriptors", 2, MOST_DESCRIPTORS)):
        values = [sample[place] for sample in samples]
        early = statistics.median(values[quarter:2 * quarter])
        late = statistics.median(values[-quarter:])
        print(f"# {name} of the worker: {early:,.0f}, later {late:,.0f}, at"
              f" most {max(values):,.0f}")
        verdict.check(late - early <= most,
                      f"{name} of the worker do not grow")


def read_states(cursor):
    """What was committed of each customer, in order: None for a deletion, or
    the scores by version."""
    scores = ", ".join(
        "CASE WHEN s.present THEN"
        f" churn_score(s.customer, 'customers', {version}) END"
        for version in VERSIONS)
    cursor.execute(f"""SELECT s.key, s.present, {scores} FROM (
        SELECT a.number, a.key, a.row IS NOT NULL AS present,
               jsonb_populate_record(NULL::customers, a.row) AS customer
        FROM audit a OFFSET 0) AS s ORDER BY s.number""")
    states = {}
    for key, present, *values in cursor:
        states.setdefault(key, []).append(
            dict(zip(VERSIONS, values)) if present else None)
    return states


def read_entries(cursor, shadow):
    cursor.execute("""SELECT customer_key, scored_at, version, score,
            previous_score, lsn::text, origin
        FROM churn.prediction_log WHERE (origin = 'shadow') = %s
        ORDER BY customer_key, scored_at""", (shadow,))
    entries = {}
    for key, *entry in cursor:
        entries.setdefault(key, []).append(entry)
    return entries


def show(key, entry):
    at, version, score, previous, lsn, origin = entry
    return f"{key} at {at} version {version}: {previous} -> {score}" \
        f" ({origin}, {lsn})"


def follow(key, states, entries, faults):
    """Walks through a customer's states along its log entries."""
    place = 0
    before = None
    for entry in entries:
        _, version, score, previous, *_ = entry
        if before is None:
            if previous is not None:
                faults["chain"].append("begins: " + show(key, entry))
        elif previous is None:
            # begins anew: it was deleted after the state before
            while place < len(states) and states[place] is not None:
                place += 1
        else:
            if previous != before[2]:
                faults["chain"].append(
                    f"{show(key, entry)}, after {before[2]}")
            if score == before[2] and version == before[1]:
                faults["equal"].append(show(key, entry))
        found = place
        while found < len(states) and (states[found] is None
                                       or states[found][version] != score):
            found += 1
        if found < len(states):
            place = found
        else:
            known = any(state is not None and state[version] == score
                        for state in states)
            faults["order" if known else "invented"].append(show(key, entry))
        before = entry


def check_shadow(verdict, cursor, states):
    """What the challenger wrote: every change is scored by both, once."""
    entries = read_entries(cursor, True)
    faults = {"order": [], "invented": []}
    for key, list_ in entries.items():
        place = 0
        known = states.get(key, [])
        for entry in list_:
            found = place
            while found < len(known) and (
                    known[found] is None
                    or known[found][entry[1]] != entry[2]):
                found += 1
            if found < len(known):
                place = found
            else:
                ever = any(state is not None and state[entry[1]] == entry[2]
                           for state in known)
                faults["order" if ever else "invented"].append(
                    show(key, entry))
    print(f"# {sum(map(len, entries.values()))} entries of challengers")
    verdict.check(entries and not faults["invented"],
                  "shadow: each score is that of a committed state",
                  faults["invented"])
    verdict.check(not faults["order"],
                  "shadow: in the order in which they were committed",
                  faults["order"])
    cursor.execute("""SELECT customer_key, lsn::text, version, count(*)
        FROM churn.prediction_log WHERE origin = 'shadow'
        GROUP BY 1, 2, 3 HAVING count(*) > 1""")
    rows = cursor.fetchall()
    verdict.check(not rows, "shadow: no change is scored twice", rows)
    cursor.execute("""SELECT l.customer_key, l.scored_at::text, l.version
        FROM churn.prediction_log l WHERE l.origin = 'stream' AND 1 <>
            (SELECT count(*) FROM churn.prediction_log s
             WHERE s.customer_key = l.customer_key
                 AND s.scored_at = l.scored_at AND s.lsn = l.lsn
                 AND s.origin = 'shadow' AND s.version = 3 - l.version)""")
    rows = cursor.fetchall()
    verdict.check(not rows, "shadow: none is scored by the champion alone",
                  rows)


def check_windows(verdict, cursor):
    """What the windows counted: crashes lose some, but nothing counts twice.
    The challenger has logged as many as the champion has scored."""
    cursor.execute("""SELECT p.version, p.counted, l.logged FROM (
            SELECT version, sum(rows)::bigint AS counted FROM churn.profiles
            GROUP BY version) AS p
        FULL JOIN (SELECT 3 - version AS version, count(*) AS logged
            FROM churn.prediction_log WHERE origin = 'shadow'
            GROUP BY version) AS l ON l.version = p.version""")
    rows = cursor.fetchall()
    counted = sum(row[1] or 0 for row in rows)
    print(f"# {counted} scores counted in windows, of"
          f" {sum(row[2] or 0 for row in rows)}")
    verdict.check(counted > 0 and not [row for row in rows
                                       if row[1] and row[1] > (row[2] or 0)],
                  "windows: no score is counted twice", rows)


def check_log(verdict, cursor, predictions):
    states = read_states(cursor)
    entries = read_entries(cursor, False)
    faults = {name: [] for name in ("chain", "equal", "order", "invented",
                                    "last")}
    for key, list_ in entries.items():
        follow(key, states.get(key, []), list_, faults)
        present = predictions.get(key)
        if present is not None and present != (list_[-1][1], list_[-1][2]):
            faults["last"].append(f"{show(key, list_[-1])}; now {present}")
    faults["last"] += [f"{key} is not in the log" for key in predictions
                       if key not in entries]
    print(f"# {sum(map(len, states.values()))} states of {len(states)}"
          f" customers, {sum(map(len, entries.values()))} log entries")
    for name, what in (
            ("chain", "each entry's previous score is the score before"),
            ("equal", "no two entries in a row are equal"),
            ("invented", "each logged score is that of a committed state"),
            ("order", "in the order in which they were committed"),
            ("last", "the last entry is the present prediction")):
        verdict.check(not faults[name], f"log: {what}",
                      [f"{len(faults[name])} are not", *faults[name]])
    check_shadow(verdict, cursor, states)
    check_windows(verdict, cursor)


def check_predictions(verdict, cursor):
    cursor.execute("""SELECT a.key FROM (
            SELECT DISTINCT ON (key) key, row FROM audit
            ORDER BY key, number DESC) AS a
        FULL JOIN customers c ON c.customer_id = a.key
        WHERE a.row IS DISTINCT FROM
            CASE WHEN c.customer_id IS NOT NULL THEN to_jsonb(c) - 'note' END
            AND (c.customer_id IS NULL OR a.row IS NULL OR
                 (churn_score(jsonb_populate_record(NULL::customers, a.row))
                  <> churn_score(c)))""")
    wrong = cursor.fetchall()
    verdict.check(not wrong, "the audit's last states are the table's rows",
                  wrong)
    cursor.execute("""SELECT coalesce(c.customer_id, p.customer_key),
            churn_score(c), p.score, p.version, m.champion, p.lsn::text,
            p.scored_at::text, p.origin
        FROM churn.models m CROSS JOIN customers c
        FULL JOIN churn.predictions p ON p.customer_key = c.customer_id
        WHERE c.customer_id IS NULL OR p.customer_key IS NULL
            OR p.score <> churn_score(c) OR p.version <> m.champion""")
    rows = cursor.fetchall()
    missing = [row for row in rows if row[2] is None]
    surplus = [row for row in rows if row[1] is None]
    others = [row for row in rows
              if row[1] is not None and row[2] is not None]
    verdict.check(not missing, "each customer has a prediction", missing)
    verdict.check(not surplus, "those deleted have none", surplus)
    verdict.check(not others, "each is the score of the present row at the"
                  " champion", others)
    cursor.execute("SELECT customer_key, version, score FROM churn.predictions")
    return {key: (version, score) for key, version, score in cursor}


def check_alerts(verdict, cursor, limit):
    cursor.execute("""SELECT count(*), count(DISTINCT (customer_key, raised_at))
        FROM churn.alerts""")
    count, distinct = cursor.fetchone()
    print(f"# {count} alerts")
    verdict.check(count == distinct and count > 0,
                  "alerts: there are some, none twice")
    cursor.execute("""SELECT l.customer_key, l.scored_at::text, l.score,
            l.previous_score, a.customer_key, a.raised_at::text, a.score,
            a.previous_score
        FROM (SELECT * FROM churn.prediction_log
              WHERE score >= %(limit)s AND previous_score < %(limit)s
                  AND origin <> 'shadow') AS l
        FULL JOIN churn.alerts a ON a.customer_key = l.customer_key
            AND a.raised_at = l.scored_at AND a.version = l.version
            AND a.score = l.score AND a.previous_score = l.previous_score
            AND a.lsn IS NOT DISTINCT FROM l.lsn
        WHERE l.customer_key IS NULL OR a.customer_key IS NULL""",
                   {"limit": limit})
    rows = cursor.fetchall()
    verdict.check(not [row for row in rows if row[4] is None],
                  "alerts: none is missing", rows)
    verdict.check(not [row for row in rows if row[0] is None],
                  "alerts: each is for an entry of the log", rows)


def check_errors(verdict, cursor):
    cursor.execute("""SELECT kind, sqlstate, message, count(*),
            max(detail) FROM churn.errors
        GROUP BY 1, 2, 3 ORDER BY 4 DESC""")
    rows = cursor.fetchall()
    for kind, code, message, count, _ in rows:
        print(f"# {count} of churn.errors: {kind} {code} {message}")
    bad = [row for row in rows if (row[0], row[1]) not in EXPECTED_ERRORS]
    verdict.check(not bad, "churn.errors has only what is expected", bad)


def check_all(verdict, limit, unknown):
    connection = psycopg2.connect("")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT churn_wait('{WAIT}')")
        done = cursor.fetchone()[0]
        cursor.execute("SELECT s::text FROM churn.stream_status s")
        print(f"# {cursor.fetchone()[0]}")
        verdict.check(done, "the worker catches up")
        cursor.execute("SELECT count(DISTINCT tx) FROM audit"
                       " WHERE tx = ANY (%s)", (unknown,))
        print(f"# {len(unknown)} commits got no answer, of which"
              f" {cursor.fetchone()[0]} took place")
        predictions = check_predictions(verdict, cursor)
        check_log(verdict, cursor, predictions)
        check_alerts(verdict, cursor, limit)
        check_errors(verdict, cursor)
    connection.close()
