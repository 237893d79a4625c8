"""Questions about two files, tables of two ways, times that count back and records out, each with
an answer that pandas worked out.

    python3 data_steps.py DATA_DIR OUT_DIR [SEED]

As data_questions.py; said in five styles. Files that are looked up beside the public ones are
written here: a few facts for each key, some keys that nothing meets, and one key left out.
"""

import csv
import io
import json
import random
import sys
import zlib
from pathlib import Path

import pandas as pd

STYLES = ["plain", "order", "terse", "polite", "casual"]

# Family: one template a style.
ASKED = {
    "join_by": [
        "What is the {fn} {n} by {g}?",
        "Calculate the {fn} {n} for each {g}.",
        "{fn} {n} per {g}",
        "Could you please tell me the {fn} {n} by {g}?",
        "whats the {fn} {n} for every {g}",
    ],
    "join_key_named": [
        "What is the {fn} {n} by {g}, joined on {key}?",
        "Join the two files on {key} and calculate the {fn} {n} for each {g}.",
        "{fn} {n} per {g}, joined on {key}",
        "Could you please join both files on {key} and tell me the {fn} {n} by {g}?",
        "join them on {key}, whats the {fn} {n} by {g}",
    ],
    "join_count": [
        "Joined on {key}, how many records have {g} {v}?",
        "Join both files and count the records where {g} is {v}.",
        "number of joined records with {g} {v}",
        "Could you please join the files and count the records whose {g} is {v}?",
        "join them, how many records with {g} = {v}",
    ],
    "join_keep": [
        "What is the total {n} by {g}, including those without any?",
        "Calculate the total {n} for each {g}, including those without.",
        "total {n} per {g}, including those with none",
        "Could you tell me the total {n} by {g}, including the ones without?",
        "total {n} by {g}, even those without",
    ],
    "pivot": [
        "What is the {fn} {n} by {a} and {b}, as a table?",
        "Make a pivot table of the {fn} {n} by {a} and {b}.",
        "{fn} {n}, {a} as rows, {b} as columns",
        "Please show the {fn} {n} with one row per {a} and one column per {b}.",
        "{fn} {n} with a row for each {a} and a column for each {b}",
    ],
    "pivot_time": [
        "What is the {fn} {n} by {a} and {u}?",
        "Show the {fn} {n} by {a} and {u} as columns.",
        "{fn} {n} by {a} and {u}",
        "Could you give me the {fn} {n} with one row per {a} and one column per {u}?",
        "{fn} {n} for each {a} and {u} as a table",
    ],
    "lately": [
        "How many records are there in the last {k} {us}?",
        "Count the records of the past {k} {us}.",
        "number of records in the last {k} {us}",
        "Could you please count the records from the last {k} {us}?",
        "how many records over the past {k} {us}",
    ],
    "calendar": [
        "What is the {fn} {n} {when}?",
        "Calculate the {fn} {n} {when}.",
        "{fn} {n} {when}",
        "Could you please tell me the {fn} {n} {when}?",
        "whats the {fn} {n} {when}",
    ],
    "as_of": [
        "How many records are there in the last {k} {us}, as of {day}?",
        "As of {day}, count the records of the past {k} {us}.",
        "number of records in the last {k} {us} as of {day}",
        "Could you please count the records from the last {k} {us}, as of {day}?",
        "how many records in the past {k} {us} as of {day}",
    ],
    "dedupe": [
        "Remove duplicate records by {a}.",
        "Drop duplicates by {a} and save as csv.",
        "dedupe by {a}, save as csv",
        "Could you please remove the duplicates by {a} and write them to csv?",
        "get rid of duplicate rows by {a} and save as csv",
    ],
    "sort_two": [
        "Sort by {a} then {n} and save as csv.",
        "Sort the records by {a}, then by {n}, and write them to csv.",
        "sort by {a} then {n}, save as csv",
        "Could you please sort the records by {a} and then by {n} and save them as csv?",
        "order by {a} then {n} and export to csv",
    ],
    "sort_down": [
        "Sort by {a} then {n} descending and save as csv.",
        "Sort the records by {a}, then by {n} descending, and write them to csv.",
        "sort by {a} then {n} desc, save as csv",
        "Could you please sort the records by {a} and then by {n} descending and save them as csv?",
        "order by {a} then {n} descending and export to csv",
    ],
    "case": [
        "Convert {a} to {case} and save as csv.",
        "Write {a} in {case} and save the records as csv.",
        "{a} to {case}, save as csv",
        "Could you please make {a} {case} and save as csv?",
        "{case} the {a} and save as csv",
    ],
}

FN = {"total": "sum", "average": "mean", "median": "median"}

# What is looked up: file, key, rows of facts. One key of the data is not there, one here is nowhere.
FACTS = {
    "companies.csv": [
        ("symbol", "company", "sector", "employees"),
        ("MSFT", "Microsoft", "software", "163000"),
        ("AMZN", "Amazon", "retail", "798000"),
        ("AAPL", "Apple", "hardware", "137000"),
        ("GOOG", "Google", "software", "98771"),
        ("ORCL", "Oracle", "services", "136000"),
    ],
    "islands.jsonl": [
        ("name", "archipelago", "ridge"),
        ("Biscoe", "outer", "low"),
        ("Dream", "inner", "high"),
        ("Nowhere", "far", "flat"),
    ],
    "kinds.tsv": [
        ("weather", "outlook", "umbrella"),
        ("rain", "bad", "needed"),
        ("drizzle", "bad", "maybe"),
        ("sun", "good", "spare"),
        ("fog", "odd", "spare"),
        ("hail", "painful", "needed"),
    ],
}

# data, other, key here, key there, number, fields of the other that group, whether the key must be said
JOINS = [
    ("stocks.csv", "companies.csv", "symbol", "symbol", "price", ["sector", "company"], False),
    ("penguins.csv", "islands.jsonl", "island", "name", "body_mass_g", ["archipelago", "ridge"], True),
    ("seattle-weather.csv", "kinds.tsv", "weather", "weather", "precipitation", ["outlook", "umbrella"], False),
]
WORDS = {"body_mass_g": "body mass", "temp_max": "maximum temperature", "total_bill": "total bill",
         "bill_length_mm": "bill length"}

# data, numbers, two categories
PIVOTS = [
    ("penguins.csv", ["body_mass_g", "bill_length_mm"], [("species", "island"), ("island", "sex"), ("species", "sex")]),
    ("tips.csv", ["tip", "total_bill"], [("day", "time"), ("sex", "day"), ("smoker", "day")]),
    ("mpg.csv", ["hwy", "cty"], [("class", "drv"), ("manufacturer", "class")]),
    ("barley.json", ["yield"], [("variety", "site"), ("site", "variety")]),
]
# data, numbers, category, time
TIMES = [
    ("seattle-weather.csv", ["precipitation", "wind", "temp_max"], "weather", "date"),
    ("stocks.csv", ["price"], "symbol", "date"),
]
# data, categories that tell records apart, number, a text
ROWS = [
    ("tips.csv", ["day", "sex"], "tip", "day"),
    ("penguins.csv", ["species", "island"], "bill_length_mm", "island"),
    ("mpg.csv", ["manufacturer", "class"], "hwy", "model"),
    ("stocks.csv", ["symbol"], "price", "symbol"),
    ("seattle-weather.csv", ["weather"], "wind", "weather"),
]


def load(path):
    """The records with every value as it is written."""
    if path.suffix == ".json":
        return pd.read_json(path, dtype=False).astype(object)
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)


def numbers(series):
    return pd.to_numeric(series.replace({"NA": None, "": None}), errors="coerce")


def key(v):
    return str(v)


def facts(data):
    for name, (head, *rows) in FACTS.items():
        with open(data / name, "w", encoding="utf-8", newline="") as out:
            if name.endswith(".jsonl"):
                for row in rows:
                    out.write(json.dumps(dict(zip(head, row))) + "\n")
            else:
                csv.writer(out, delimiter="\t" if name.endswith("tsv") else ",", lineterminator="\n").writerows([head, *rows])


def table(grouped):
    out = {}
    for k, v in grouped.items():
        k = "|".join(key(p) for p in k) if isinstance(k, tuple) else key(k)
        if pd.notna(v):
            out[k] = float(v)
    return {"kind": "map", "value": out}


def written(frame):
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(frame.columns)
    rows.writerows(frame.itertuples(index=False))
    return {"kind": "file", "crc32": zlib.crc32(out.getvalue().encode())}


def back(now, k, unit):
    offset = {"days": pd.DateOffset(days=k), "weeks": pd.DateOffset(weeks=k),
              "months": pd.DateOffset(months=k), "years": pd.DateOffset(years=k)}[unit]
    return now - offset


def questions(data, rng):
    for file, other, here, there, n, groups, named in JOINS:
        frame = load(data / file)
        head, *rows = FACTS[other]
        right = pd.DataFrame(rows, columns=head)
        frame[n] = numbers(frame[n])
        joined = frame.merge(right, left_on=here, right_on=there, suffixes=("", "_other"))
        for g in groups:
            fn = rng.choice(["total", "average", "median"])
            words = {"fn": fn, "n": WORDS.get(n, n), "g": g, "key": f"{here} = {there}"}
            answer = table(joined.groupby(g)[n].agg(FN[fn]))
            yield "join_key_named", file, other, words, answer
            if not named:
                yield "join_by", file, other, words, answer
                full = joined.groupby(g)[n].sum()
                full = full.reindex(sorted(right[g].unique()))
                yield "join_keep", file, other, words, table(full.dropna())
                v = rng.choice(sorted(joined[g].unique()))
                yield "join_count", file, other, words | {"v": v}, {"kind": "number", "value": float((joined[g] == v).sum())}
    for file, ns, pairs in PIVOTS:
        frame = load(data / file)
        for a, b in pairs:
            n, fn = rng.choice(ns), rng.choice(["total", "average", "median"])
            f = frame[(frame[a] != "NA") & (frame[b] != "NA")].assign(**{n: numbers(frame[n])})
            words = {"fn": fn, "n": WORDS.get(n, n), "a": a, "b": b}
            yield "pivot", file, None, words, table(f.groupby([a, b])[n].agg(FN[fn]))
    for file, ns, a, t in TIMES:
        frame = load(data / file)
        when = pd.to_datetime(frame[t], format="mixed")
        now = when.max()
        for u, code in [("quarter", "quarter"), ("year", "year"), ("month", "month")]:
            if u == "month" and file.startswith("seattle"):
                continue
            n, fn = rng.choice(ns), rng.choice(["total", "average"])
            name = {"quarter": when.dt.year.astype(str) + "-Q" + when.dt.quarter.astype(str),
                    "year": when.dt.year.astype(str), "month": when.dt.strftime("%Y-%m")}[code]
            words = {"fn": fn, "n": WORDS.get(n, n), "a": a, "u": u}
            yield "pivot_time", file, None, words, table(numbers(frame[n]).groupby([frame[a], name]).agg(FN[fn]))
        for us in ["days", "weeks", "months", "years"]:
            k = rng.randint(2, {"days": 90, "weeks": 12, "months": 9, "years": 3}[us])
            count = float(((when > back(now, k, us)) & (when <= now)).sum())
            yield "lately", file, None, {"k": k, "us": us}, {"kind": "number", "value": count}
            day = (when.min() + (now - when.min()) * rng.uniform(0.6, 0.9)).normalize()
            count = float(((when > back(day, k, us)) & (when < day + pd.DateOffset(days=1))).sum())
            yield "as_of", file, None, {"k": k, "us": us, "day": f"{day:%Y-%m-%d}"}, {"kind": "number", "value": count}
        month, year = when.dt.to_period("M"), when.dt.year
        for said, kept in [("this month", month == now.to_period("M")), ("last month", month == now.to_period("M") - 1),
                           ("this year", year == now.year), ("last year", year == now.year - 1)]:
            n, fn = rng.choice(ns), rng.choice(["total", "average"])
            words = {"fn": fn, "n": WORDS.get(n, n), "when": said}
            value = numbers(frame[n])[kept].agg(FN[fn])
            yield "calendar", file, None, words, {"kind": "number", "value": float(value)}
    for file, cats, n, text in ROWS:
        frame = load(data / file)
        for a in cats:
            yield "dedupe", file, None, {"a": a}, written(frame.drop_duplicates(a))
            value = numbers(frame[n])
            low = frame[a].str.lower()
            for family, up in [("sort_two", True), ("sort_down", False)]:
                order = pd.DataFrame({"a": low, "text": value.isna(), "n": value})
                order = order.sort_values(["a", "text", "n"], ascending=[True, True, up], kind="stable")
                words = {"a": a, "n": WORDS.get(n, n)}
                yield family, file, None, words, written(frame.loc[order.index])
        for case, how in [("upper case", str.upper), ("lower case", str.lower)]:
            changed = frame.assign(**{text: frame[text].map(how)})
            yield "case", file, None, {"a": text, "case": case}, written(changed)


def main():
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    out.mkdir(parents=True, exist_ok=True)
    facts(data)
    items = []
    for place, (family, file, other, words, answer) in enumerate(questions(data, random.Random(f"{seed}/steps"))):
        for style, template in zip(STYLES, ASKED[family]):
            item = {"id": f"{file}/{family}/{place}/{style}", "data": file, "family": family, "style": style,
                    "question": template.format(**words), "answer": answer}
            items.append(item | ({"other": other} if other else {}))
    (out / "steps.jsonl").write_text("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items))
    print(f"steps: {len(items)}")


main()
