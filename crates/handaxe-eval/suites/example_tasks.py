"""By-example tasks: three examples each, and held-out inputs whose outputs a Python function gives.

    python3 example_tasks.py OUT_DIR [SEED]

Every task is a family, an input generator and a reference function that knows nothing of the
synthesiser. Tasks alternate between two files: `tasks.jsonl`, which may be looked at while the
search is worked on, and `hidden_tasks.jsonl`, which is scored only.
"""

import datetime as dt
import json
import random
import re
import string
import sys
from pathlib import Path

FIRST = "Ada Grace Alan Edsger Barbara Donald Margaret Linus Guido Ken Radia Tim Frances John Jean Niklaus Anita Leslie Hedy Claire".split()
LAST = "Lovelace Hopper Turing Dijkstra Liskov Knuth Hamilton Torvalds Rossum Thompson Perlman Lee Allen Backus Bartik Wirth Borg Lamport Lamarr Shannon".split()
CITY = "Lisbon Hanoi Osaka Accra Oslo Lima Quito Turin Perth Dakar Tunis Sofia".split()
WORD = "lamp chair desk table mirror carpet shelf sofa stool bench frame vase clock basket candle".split()
HOST = "example acme globex initech umbrella stark wayne hooli".split()
TLD = "com org net io".split()
LEVEL = "INFO WARN ERROR DEBUG".split()
MONTHS = "January February March April May June July August September October November December".split()


class Pick:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def of(self, items):
        return self.r.choice(items)

    def n(self, a, b):
        return self.r.randint(a, b)

    def first(self): return self.of(FIRST)
    def last(self): return self.of(LAST)
    def city(self): return self.of(CITY)
    def word(self): return self.of(WORD)
    def words(self, a=2, b=4): return self.r.sample(WORD, self.n(a, b))
    def day(self): return dt.date(2000, 1, 1) + dt.timedelta(days=self.n(0, 9000))
    def moment(self): return dt.datetime(2000, 1, 1) + dt.timedelta(seconds=self.n(0, 700_000_000))
    def ip(self): return ".".join(str(self.n(1, 254)) for _ in range(4))
    def host(self): return f"{self.of(HOST)}.{self.of(TLD)}"
    def email(self): return f"{self.first().lower()}.{self.last().lower()}@{self.host()}"
    def money(self): return f"{self.n(1, 99999)}.{self.n(0, 99):02}"
    def digits(self, k): return "".join(self.of(string.digits) for _ in range(k))
    def caps(self, k): return "".join(self.of(string.ascii_uppercase) for _ in range(k))


TASKS = []


def task(family, make, want):
    TASKS.append((family, make, want))


# Names.
full = lambda p: f"{p.first()} {p.last()}"
triple = lambda p: f"{p.first()} {p.first()} {p.last()}"
task("names", full, lambda s: f"{s.split()[1]}, {s.split()[0]}")
task("names", full, lambda s: "".join(w[0] for w in s.split()))
task("names", full, lambda s: f"{s[0]}. {s.split()[1]}")
task("names", full, lambda s: s.split()[1].upper())
task("names", full, lambda s: f"{s.split()[0][0].lower()}{s.split()[1].lower()}")
task("names", triple, lambda s: f"{s.split()[0]} {s.split()[1][0]}. {s.split()[2]}")
task("names", triple, lambda s: s.split()[0] + " " + s.split()[2])
task("names", lambda p: f"{p.last()}, {p.first()}", lambda s: " ".join(reversed(s.split(", "))))
task("names", lambda p: f"{p.last().upper()}, {p.first()}", lambda s: f"{s.split(', ')[1]} {s.split(', ')[0].capitalize()}")
task("names", full, lambda s: f"Dear {s.split()[0]},")
task("names", lambda p: f"{p.of(['Dr.', 'Mr.', 'Ms.', 'Prof.'])} {p.first()} {p.last()}", lambda s: s.split(" ", 1)[1])
task("names", full, lambda s: f"{s.split()[0].lower()}.{s.split()[1].lower()}@example.com")

# Addresses of mail and web.
task("mail_and_web", Pick.email, lambda s: s.split("@")[1])
task("mail_and_web", Pick.email, lambda s: s.split("@")[0])
task("mail_and_web", Pick.email, lambda s: " ".join(w.capitalize() for w in s.split("@")[0].split(".")))
task("mail_and_web", Pick.email, lambda s: s.split("@")[1].split(".")[0])
task("mail_and_web", lambda p: f"https://{p.host()}/{p.word()}/{p.n(1, 999)}", lambda s: s.split("/")[2])
task("mail_and_web", lambda p: f"https://{p.host()}/{p.word()}/{p.n(1, 999)}", lambda s: s.rsplit("/", 1)[1])
task("mail_and_web", lambda p: f"https://www.{p.host()}/{p.word()}?id={p.n(1, 9999)}&page={p.n(1, 20)}", lambda s: re.search(r"id=(\d+)", s)[1])
task("mail_and_web", lambda p: f"http://{p.host()}:{p.n(1000, 9999)}/{p.word()}", lambda s: s.split(":")[2].split("/")[0])
task("mail_and_web", lambda p: f"{p.first()} {p.last()} <{p.email()}>", lambda s: s.split("<")[1][:-1])
task("mail_and_web", lambda p: f"{p.email()}", lambda s: s[0] + "***@" + s.split("@")[1])
task("mail_and_web", lambda p: f"https://{p.host()}/{p.word()}", lambda s: s.replace("https://", "http://"))

# Dates.
iso = lambda p: p.day().isoformat()
task("dates", iso, lambda s: dt.date.fromisoformat(s).strftime("%d/%m/%Y"))
task("dates", iso, lambda s: dt.date.fromisoformat(s).strftime("%b %d, %Y"))
task("dates", iso, lambda s: dt.date.fromisoformat(s).strftime("%A"))
task("dates", iso, lambda s: f"{MONTHS[int(s[5:7]) - 1]} {int(s[8:])}, {s[:4]}")
task("dates", lambda p: p.day().strftime("%d/%m/%Y"), lambda s: "-".join(reversed(s.split("/"))))
task("dates", lambda p: p.day().strftime("%m/%d/%Y"), lambda s: dt.datetime.strptime(s, "%m/%d/%Y").date().isoformat())
task("dates", lambda p: p.day().strftime("%B %d, %Y"), lambda s: dt.datetime.strptime(s, "%B %d, %Y").date().isoformat())
task("dates", lambda p: p.day().strftime("%d %b %Y"), lambda s: dt.datetime.strptime(s, "%d %b %Y").strftime("%Y%m%d"))
task("dates", iso, lambda s: f"{s[:4]}-Q{(int(s[5:7]) + 2) // 3}")
task("dates", iso, lambda s: s[:7])
task("dates", lambda p: p.moment().strftime("%Y-%m-%d %H:%M:%S"), lambda s: s.split()[1][:5])
task("dates", lambda p: p.moment().strftime("%H:%M"), lambda s: dt.datetime.strptime(s, "%H:%M").strftime("%I:%M %p").lstrip("0"))
task("dates", lambda p: p.moment().isoformat(), lambda s: dt.datetime.fromisoformat(s).strftime("%d.%m.%Y %H:%M"))
task("dates", lambda p: p.day().strftime("%Y%m%d"), lambda s: f"{s[:4]}-{s[4:6]}-{s[6:]}")

# Numbers and money.
task("numbers", Pick.money, lambda s: f"${float(s):,.2f}")
task("numbers", lambda p: str(p.n(1000, 9_999_999)), lambda s: f"{int(s):,}")
task("numbers", lambda p: f"{p.n(1000, 9_999_999):,}", lambda s: s.replace(",", ""))
task("numbers", lambda p: f"${p.n(1, 9999):,}.{p.n(10, 99)}", lambda s: float(s.replace("$", "").replace(",", "")))
task("numbers", lambda p: f"0.{p.n(100, 999)}", lambda s: f"{float(s) * 100:.1f}%")
task("numbers", lambda p: f"{p.n(1, 400)} kg", lambda s: int(s.split()[0]))
task("numbers", lambda p: f"{p.n(1, 40)}.{p.n(1, 9)} km", lambda s: f"{round(float(s.split()[0]) * 1000)} m")
task("numbers", lambda p: str(p.n(1, 999)), lambda s: s.zfill(6))
task("numbers", lambda p: f"{p.n(1, 99)}.{p.n(1000, 9999)}", lambda s: f"{float(s):.2f}")
task("numbers", lambda p: ", ".join(str(p.n(1, 99)) for _ in range(p.n(2, 5))), lambda s: sum(map(int, s.split(", "))))
task("numbers", lambda p: " ".join(str(p.n(1, 999)) for _ in range(p.n(3, 5))), lambda s: max(map(int, s.split())))
task("numbers", lambda p: f"{p.n(1, 9)}.{p.n(100, 999)},{p.n(10, 99)}", lambda s: float(s.replace(".", "").replace(",", ".")))

# Codes and identifiers.
task("codes", lambda p: f"{p.caps(3)}-{p.n(1000, 9999)}-{p.caps(2)}", lambda s: s.split("-")[1])
task("codes", lambda p: f"{p.caps(3)}-{p.n(1000, 9999)}-{p.caps(2)}", lambda s: s.replace("-", ""))
task("codes", lambda p: f"{p.caps(2)}{p.n(100, 99999)}", lambda s: re.match("[A-Z]+", s)[0] + "-" + re.search(r"\d+", s)[0])
task("codes", lambda p: f"order {p.n(1, 99999)} shipped to {p.city()}", lambda s: "ORD-" + s.split()[1].zfill(5))
task("codes", lambda p: p.digits(16), lambda s: " ".join(s[i:i + 4] for i in range(0, 16, 4)))
task("codes", lambda p: p.digits(16), lambda s: "*" * 12 + s[-4:])
task("codes", lambda p: f"{p.word()}_v{p.n(1, 20)}.{p.n(0, 9)}.{p.n(0, 30)}", lambda s: s.split("_v")[1])
task("codes", lambda p: f"v{p.n(1, 20)}.{p.n(0, 9)}.{p.n(0, 30)}", lambda s: s[1:].split(".")[0])
task("codes", lambda p: f"[{p.caps(4)}-{p.n(1, 9999)}] {' '.join(p.words())}", lambda s: s[1:s.index("]")])
task("codes", lambda p: f"{p.n(1, 99)}/{p.n(100, 999)}/{p.caps(3)}", lambda s: f"{s.split('/')[2]}-{s.split('/')[0]}")
task("codes", lambda p: f"#{p.digits(6)}", lambda s: s[1:3] + ":" + s[3:5] + ":" + s[5:7])

# Cases of identifiers.
snake = lambda p: "_".join(p.words())
title = lambda s: s[:1].upper() + s[1:]
task("cases", snake, lambda s: s.split("_")[0] + "".join(title(w) for w in s.split("_")[1:]))
task("cases", snake, lambda s: "".join(title(w) for w in s.split("_")))
task("cases", snake, lambda s: " ".join(title(w) for w in s.split("_")))
task("cases", snake, lambda s: s.replace("_", "-"))
task("cases", snake, lambda s: s.upper())
task("cases", lambda p: "".join(title(w) for w in p.words()), lambda s: "_".join(w.lower() for w in re.findall("[A-Z][a-z]+", s)))
task("cases", lambda p: "".join(title(w) for w in p.words()), lambda s: " ".join(re.findall("[A-Z][a-z]+", s)))
task("cases", lambda p: title(" ".join(p.words())) + p.of(["!", "?", "."]), lambda s: "-".join(re.findall("[a-z]+", s.lower())))
task("cases", lambda p: " ".join(p.words()), lambda s: s.capitalize())
task("cases", lambda p: " ".join(title(w) for w in p.words(3, 4)), lambda s: "".join(w[0] for w in s.split()))
task("cases", lambda p: ("  " if p.n(0, 1) else "") + "   ".join(p.words()) + "  ", lambda s: " ".join(s.split()))

# Telephones.
task("telephones", lambda p: p.digits(10), lambda s: f"({s[:3]}) {s[3:6]}-{s[6:]}")
task("telephones", lambda p: f"({p.n(200, 999)}) {p.n(200, 999)}-{p.digits(4)}", lambda s: re.sub(r"\D", "", s))
task("telephones", lambda p: f"{p.n(200, 999)}-{p.n(200, 999)}-{p.digits(4)}", lambda s: s.replace("-", "."))
task("telephones", lambda p: f"{p.n(200, 999)}.{p.n(200, 999)}.{p.digits(4)}", lambda s: "+1-" + s.replace(".", "-"))
task("telephones", lambda p: f"+44 {p.digits(4)} {p.digits(6)}", lambda s: "0" + "".join(s.split()[1:]))

# Paths and files.
path = lambda p: f"/{p.word()}/{p.word()}/{p.word()}-{p.n(1, 99)}.{p.of(['txt', 'csv', 'log', 'json'])}"
task("paths", path, lambda s: s.rsplit("/", 1)[1])
task("paths", path, lambda s: s.rsplit(".", 1)[1])
task("paths", path, lambda s: s.rsplit("/", 1)[0])
task("paths", path, lambda s: s.rsplit("/", 1)[1].rsplit(".", 1)[0])
task("paths", path, lambda s: s.rsplit(".", 1)[0] + ".bak")
task("paths", lambda p: f"C:\\{p.word()}\\{p.word()}\\{p.word()}.doc", lambda s: s.rsplit("\\", 1)[1])
task("paths", lambda p: f"IMG_{p.day().strftime('%Y%m%d')}_{p.n(1, 999):03}.jpg", lambda s: f"{s[4:8]}-{s[8:10]}-{s[10:12]}")

# Log lines.
app = lambda p: f"{p.moment().isoformat(sep=' ')} {p.of(LEVEL)} [{p.word()}] {' '.join(p.words())} took {p.n(1, 999)} ms"
access = lambda p: f'{p.ip()} - {p.of(["-", p.first().lower()])} [{p.moment().strftime("%d/%b/%Y:%H:%M:%S")} +0000] "{p.of(["GET", "POST", "PUT"])} /{p.word()}/{p.n(1, 99)} HTTP/1.1" {p.of([200, 301, 404, 500])} {p.n(10, 99999)}'
kv = lambda p: f"level={p.of(LEVEL).lower()} user={p.first().lower()} ms={p.n(1, 9999)} path=/{p.word()}"
task("logs", app, lambda s: s.split()[2])
task("logs", app, lambda s: {"level": s.split()[2], "part": re.search(r"\[(\w+)\]", s)[1]})
task("logs", app, lambda s: {"time": s[:19], "level": s.split()[2], "ms": int(re.search(r"took (\d+)", s)[1])})
task("logs", access, lambda s: {"ip": s.split()[0], "status": int(re.search(r'" (\d+)', s)[1])})
task("logs", access, lambda s: {"method": re.search(r'"(\w+)', s)[1], "path": s.split()[6], "bytes": int(s.split()[-1])})
task("logs", access, lambda s: s.split()[6])
task("logs", kv, lambda s: {"user": re.search(r"user=(\S+)", s)[1], "ms": int(re.search(r"ms=(\d+)", s)[1])})
task("logs", kv, lambda s: {k: v for k, v in (x.split("=") for x in s.split())})
task("logs", lambda p: json.dumps({"t": p.n(1, 9), "msg": p.word(), "code": p.n(100, 599)}), lambda s: json.loads(s)["code"])
task("logs", lambda p: f"{p.day()}|{p.of(LEVEL)}|{p.word()}|{p.n(1, 500)}", lambda s: dict(zip(["day", "level", "what"], s.split("|"))))
task("logs", lambda p: f"<{p.n(1, 190)}>{p.day().strftime('%b %d')} {p.moment().strftime('%H:%M:%S')} {p.word()} {p.word()}[{p.n(100, 9999)}]: {' '.join(p.words())}", lambda s: {"pid": int(re.search(r"\[(\d+)\]", s)[1]), "message": s.split("]: ")[1]})
task("logs", lambda p: f"{p.first()}: {' '.join(p.words())} @{p.moment().strftime('%H:%M')}", lambda s: {"who": s.split(":")[0], "at": s.rsplit("@", 1)[1]})

# Lists.
task("lists", lambda p: ", ".join(p.words(2, 5)), lambda s: s.split(", "))
task("lists", lambda p: ";".join(p.words(2, 5)), lambda s: [w.upper() for w in s.split(";")])
task("lists", lambda p: f"{' '.join(p.words())} #{p.word()} and #{p.word()}", lambda s: re.findall(r"#(\w+)", s))
task("lists", lambda p: "-".join(str(p.n(1, 99)) for _ in range(p.n(2, 5))), lambda s: [int(x) for x in s.split("-")])
task("lists", lambda p: ", ".join(p.words(3, 5)), lambda s: ", ".join(sorted(s.split(", "))))
task("lists", lambda p: " ".join(p.words(3, 5)), lambda s: " ".join(reversed(s.split())))
task("lists", lambda p: "; ".join(f"{w}:{p.n(1, 9)}" for w in p.words(2, 4)), lambda s: [x.split(":")[0] for x in s.split("; ")])
task("lists", lambda p: ",".join(p.r.choices(WORD[:5], k=5)), lambda s: ",".join(dict.fromkeys(s.split(","))))
task("lists", lambda p: " ".join(p.words(2, 6)), lambda s: len(s.split()))
task("lists", lambda p: "; ".join(f"{w}:{p.n(1, 9)}" for w in p.words(2, 4)), lambda s: {x.split(":")[0]: int(x.split(":")[1]) for x in s.split("; ")})

# Records.
person = lambda p: {"first": p.first(), "last": p.last(), "city": p.city(), "age": p.n(18, 90)}
task("records", person, lambda r: f"{r['first']} {r['last']} ({r['city']})")
task("records", person, lambda r: {"name": f"{r['first']} {r['last']}", "city": r["city"]})
task("records", person, lambda r: {"initials": r["first"][0] + r["last"][0], "age": r["age"]})
task("records", lambda p: {"user": {"name": p.first(), "id": p.n(1, 999)}, "tags": p.words(1, 3)}, lambda r: {"id": r["user"]["id"], "name": r["user"]["name"].upper()})
task("records", lambda p: f"{p.first()},{p.last()},{p.city()},{p.n(18, 90)}", lambda s: dict(zip(["first", "last", "city"], s.split(","))) | {"age": int(s.split(",")[3])})
task("records", lambda p: {"price": f"${p.n(1, 99)}.{p.n(10, 99)}", "item": p.word()}, lambda r: {"item": r["item"], "price": float(r["price"][1:])})
task("records", lambda p: {"when": p.moment().isoformat(), "what": p.word()}, lambda r: {"date": r["when"][:10], "hour": int(r["when"][11:13]), "what": r["what"]})
task("records", lambda p: f"{p.city()} ({p.n(100, 999)},{p.n(100, 999)})", lambda s: {"city": s.split(" (")[0], "people": int(re.sub(r"\D", "", s))})
task("records", person, lambda r: f"{r['last'].upper()}, {r['first']}; {r['age']}")

# Reshaping.
quarters = lambda p: [{"city": c, "q1": p.n(1, 99), "q2": p.n(1, 99), "q3": p.n(1, 99)} for c in p.r.sample(CITY, p.n(2, 3))]
long = lambda p: [{"city": c, "quarter": q, "sales": p.n(1, 99)} for c in p.r.sample(CITY, p.n(2, 3)) for q in ("q1", "q2", "q3")]
orders = lambda p: {"id": p.n(1, 99), "customer": p.first(), "lines": [{"item": w, "qty": p.n(1, 9)} for w in p.words(2, 3)]}
sales = lambda p: [{"city": p.of(CITY[:3]), "item": p.of(WORD[:3]), "qty": p.n(1, 9)} for _ in range(p.n(5, 7))]
melted = lambda rows: [{"city": r["city"], "quarter": q, "sales": r[q]} for r in rows for q in ("q1", "q2", "q3")]


def wide(rows):
    out = {}
    for r in rows:
        out.setdefault(r["city"], {"city": r["city"]})[r["quarter"]] = r["sales"]
    return list(out.values())


def total(rows, key, value, out="total"):
    sums = {}
    for r in rows:
        sums[r[key]] = sums.get(r[key], 0) + r[value]
    return [{key: k, out: v} for k, v in sums.items()]


def csv_of(rows, sep=","):
    return "\n".join([sep.join(rows[0]), *(sep.join(str(v) for v in r.values()) for r in rows)])


def jsonl_of(rows):
    return "\n".join(json.dumps(r) for r in rows)


people = lambda p: [{"name": p.first(), "city": p.city(), "age": str(p.n(18, 90))} for _ in range(p.n(2, 4))]
task("reshape", quarters, melted)
task("reshape", long, wide)
task("reshape", orders, lambda o: [{"id": o["id"], "item": l["item"], "qty": l["qty"]} for l in o["lines"]])
task("reshape", lambda p: [orders(p) for _ in range(2)], lambda os: [{"id": o["id"], "customer": o["customer"], "item": l["item"], "qty": l["qty"]} for o in os for l in o["lines"]])
task("reshape", sales, lambda rows: total(rows, "city", "qty"))
task("reshape", sales, lambda rows: sorted(total(rows, "item", "qty"), key=lambda r: r["item"]))
task("reshape", lambda p: csv_of(people(p)), lambda s: [dict(zip(s.split("\n")[0].split(","), l.split(","))) for l in s.split("\n")[1:]])
task("reshape", lambda p: csv_of(people(p)), lambda s: jsonl_of([dict(zip(s.split("\n")[0].split(","), l.split(","))) for l in s.split("\n")[1:]]))
task("reshape", lambda p: jsonl_of(people(p)), lambda s: csv_of([json.loads(l) for l in s.split("\n")]))
task("reshape", lambda p: csv_of(people(p)), lambda s: s.replace(",", "\t"))
task("reshape", people, lambda rows: [{"name": r["name"], "age": int(r["age"])} for r in rows])
task("reshape", people, lambda rows: sorted(rows, key=lambda r: int(r["age"])))
task("reshape", people, lambda rows: {r["name"]: r["city"] for r in rows} if len({r["name"] for r in rows}) == len(rows) else None)
task("reshape", people, lambda rows: [r["name"] for r in rows])
task("reshape", people, lambda rows: {"name": [r["name"] for r in rows], "city": [r["city"] for r in rows]})
task("reshape", lambda p: {"name": p.words(3, 3), "qty": [p.n(1, 9) for _ in range(3)]}, lambda c: [{"name": n, "qty": q} for n, q in zip(c["name"], c["qty"])])
task("reshape", lambda p: {f"h{p.n(10, 99)}": {"cpu": p.n(1, 99), "mem": p.n(1, 99)} for _ in range(3)}, lambda m: [{"host": k, "cpu": v["cpu"], "mem": v["mem"]} for k, v in m.items()])
task("reshape", lambda p: [{"id": p.n(1, 99), "tags": ";".join(p.words(2, 3))} for _ in range(2)], lambda rows: [{"id": r["id"], "tag": t} for r in rows for t in r["tags"].split(";")])
task("reshape", lambda p: [{"user": {"name": p.first(), "geo": {"city": p.city()}}, "n": p.n(1, 9)} for _ in range(3)], lambda rows: [{"name": r["user"]["name"], "city": r["user"]["geo"]["city"], "n": r["n"]} for r in rows])
task("reshape", lambda p: [{"level": p.of(["ok", "error"]), "what": p.word()} for _ in range(5)] + [{"level": "error", "what": p.word()}, {"level": "ok", "what": p.word()}], lambda rows: [r for r in rows if r["level"] == "error"])

# Either one or the other.
task("either", lambda p: f"{p.n(1, 99)} {p.of(['kg', 'g'])}", lambda s: int(s.split()[0]) * (1000 if s.endswith("kg") else 1))
task("either", lambda p: p.of([full(p), p.last()]), lambda s: s.split()[-1].lower())
task("either", lambda p: str(p.n(0, 100)), lambda s: "high" if int(s) >= 50 else "low")
task("either", lambda p: p.of([p.email(), p.word()]), lambda s: "@" in s)
task("either", lambda p: p.of([f"{p.word()}.csv", f"{p.word()}.json"]), lambda s: s.endswith(".csv"))
task("either", lambda p: p.of([p.ip(), "-"]), lambda s: None if s == "-" else s.split(".")[0])


def main():
    out = Path(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    out.mkdir(parents=True, exist_ok=True)
    files = {"tasks": [], "hidden_tasks": []}
    for i, (family, make, want) in enumerate(TASKS):
        p = Pick(f"{seed}/{i}")
        seen, pairs = set(), []
        while len(pairs) < 9:
            value = make(p)
            key = json.dumps(value)
            result = want(value)
            unclear = family == "either" and len(pairs) < 3 and pairs and len({json.dumps(o) for _, o in pairs} | {json.dumps(result)}) < 2
            if key in seen or unclear or (result is None and family != "either"):
                continue
            seen.add(key)
            pairs.append((value, result))
        item = {"id": f"{family}/{i}", "family": family,
                "examples": [{"input": a, "output": b} for a, b in pairs[:3]],
                "held_out": [{"input": a, "output": b} for a, b in pairs[3:]]}
        files["hidden_tasks" if i % 2 else "tasks"].append(item)
    for name, items in files.items():
        (out / f"{name}.jsonl").write_text("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items))
        print(f"{name}: {len(items)}")


main()
