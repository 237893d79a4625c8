"""Writes the example data, the same bytes every time: python3 examples/make_examples.py"""

import csv
import datetime as dt
import json
import pathlib
import random

HERE = pathlib.Path(__file__).parent
SERVICES = ["checkout", "payments", "search", "catalog", "auth", "mailer", "reports"]

MESSAGES = {
    "INFO": [
        "Payment {id} succeeded in {ms} ms",
        "User {user} signed in from {ip}",
        "Order {id} shipped, customer notified at {user}@example.org",
        "Cache warmed with {n} entries, all healthy",
        "Nightly report finished successfully in {s} s",
        "Search index refreshed, {n} documents",
        "Connection to database restored, service recovered",
        "Customer review: great experience, delivery was fast and support was friendly",
        "Customer review: love the new checkout, easy and quick",
        "Customer review: it works",
        "Health check passed for {service}",
        "Started worker {n}",
        "Feature flag new_cart enabled for {n} users",
        "Welcome mail delivered to {user}@example.com",
        "Deployment of {service} completed without errors",
    ],
    "WARN": [
        "Slow query took {ms} ms on {service}",
        "Retrying payment {id}, gateway was slow to answer",
        "Disk usage at {p} % on node {n}",
        "Login for {user} rejected: wrong password",
        "Customer review: not bad, but shipping was slow",
        "Customer review: the app is confusing and the colours are ugly",
        "Deprecated endpoint /v1/{service} called by {ip}",
        "Queue depth {n}, consumers are falling behind",
    ],
    "ERROR": [
        "Payment {id} failed: card declined",
        "Timeout after {ms} ms while calling {service}",
        "Connection to {ip} refused",
        "Unhandled exception in {service}: invalid state",
        "Customer review: terrible support, I want a refund",
        "Customer review: broken on arrival, very disappointed",
        "Could not deliver mail to {user}@example.net: mailbox unavailable",
        "Data corruption detected in shard {n}, aborting",
        "Out of memory, worker {n} killed",
    ],
}
USERS = ["ana", "bo", "chidi", "dana", "eli", "farah", "gus", "hana", "ivan", "june"]


def message(rng, level):
    return rng.choice(MESSAGES[level]).format(
        id=rng.randint(1000, 9999), ms=rng.randint(40, 9000), s=rng.randint(2, 90),
        n=rng.randint(1, 400), p=rng.randint(81, 99), user=rng.choice(USERS),
        ip=f"10.0.{rng.randint(0, 3)}.{rng.randint(2, 250)}", service=rng.choice(SERVICES),
    )


def logs():
    rng = random.Random(20)
    at = dt.datetime(2026, 3, 1, 8, 0, tzinfo=dt.timezone.utc)
    with open(HERE / "logs.jsonl", "w", encoding="utf-8") as out:
        for _ in range(500):
            at += dt.timedelta(seconds=rng.expovariate(1 / 240))
            level = rng.choices(["INFO", "WARN", "ERROR"], [70, 17, 13])[0]
            record = {
                "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "level": level,
                "service": rng.choice(SERVICES), "message": message(rng, level),
                "duration_ms": rng.randint(1, 2500) if rng.random() < 0.8 else None,
            }
            out.write(json.dumps(record) + "\n")


def orders():
    rng = random.Random(21)
    regions = {"Europe": ["Lisbon", "Oslo", "Vienna"], "Africa": ["Accra", "Nairobi"],
               "Americas": ["Lima", "Boston", "Quito"], "Asia": ["Hanoi", "Osaka"]}
    products = {"kettle": 34.5, "lamp": 21.0, "desk": 189.0, "chair": 74.9, "rug": 58.0}
    with open(HERE / "orders.csv", "w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["order_id", "date", "region", "city", "product", "quantity", "price", "returned"])
        for n in range(1, 301):
            region = rng.choice(list(regions))
            product = rng.choice(list(products))
            day = dt.date(2026, 1, 1) + dt.timedelta(days=rng.randrange(181))
            rows.writerow([n, day.isoformat(), region, rng.choice(regions[region]), product,
                           rng.randint(1, 6), f"{products[product] * rng.uniform(0.9, 1.1):.2f}",
                           rng.choice(["yes", "no", "no", "no", "no"])])


def products():
    """What the orders are of; written by many hands."""
    rows = [
        ["lamp", "lighting", "Bright Ltd ", "+44 20 7946 0958", "11.40"],
        ["chair", "furniture", "oak & sons", "(030) 123-4567", "38.00"],
        ["desk", "furniture", "Oak & Sons", "0049 30 1234567", "97.50"],
        ["rug", "textiles", "Weft Co", "+1 (212) 555-0100", "29.90"],
        ["kettle", "kitchen", "Boil Inc", "n/a", "17.25"],
        ["stool", "furniture", "Oak & Sons", "0049 30 1234567", "14.00"],
        ["vase", "decoration", " Weft Co", "+1 212 555 0100", "8.75"],
    ]
    with open(HERE / "products.csv", "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["product", "category", "supplier", "phone", "cost"])
        table.writerows(rows)


def access_log():
    rng = random.Random(22)
    at = dt.datetime(2026, 5, 4, 6, 0, tzinfo=dt.timezone.utc)
    paths = ["/", "/cart", "/login", "/search?q=lamp", "/static/app.js", "/api/orders", "/admin"]
    with open(HERE / "access.log", "w", encoding="utf-8") as out:
        for _ in range(400):
            at += dt.timedelta(seconds=rng.expovariate(1 / 45))
            ip = f"192.0.2.{rng.randint(1, 40)}"
            status = rng.choices([200, 301, 404, 500, 503], [80, 5, 9, 4, 2])[0]
            out.write(f'{ip} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "{rng.choice(["GET", "GET", "POST"])} '
                      f'{rng.choice(paths)} HTTP/1.1" {status} {rng.randint(120, 52000)}\n')


if __name__ == "__main__":
    logs()
    orders()
    products()
    access_log()
