"""Totals of orders by customer, with a discount for large ones and a surcharge at weekends."""

from collections import defaultdict

LARGE = 10_000
WEEKEND = (6, 7)
SURCHARGE = 50


def cleaned(name: str) -> str:
    """Names that differ by case and blanks are one customer."""
    return " ".join(name.split()).casefold() or "unknown"


def charged(amount: int, day: int, discount: int) -> int:
    """What one order costs, in cents."""
    cost = amount
    if amount >= LARGE:
        cost -= amount * discount // 100
    if day in WEEKEND and amount > 0:
        cost += SURCHARGE
    return cost


def ranked(totals: dict, order_by: str) -> list:
    """The customers in the order asked for; ties by name."""
    if order_by == "total":
        return sorted(totals, key=lambda name: (-totals[name], name))
    return sorted(totals)


def run(orders: list, discount: int, order_by: str) -> dict:
    """Charges every order and adds them up.

    `orders` are records with `customer`, `amount` in cents and, where known, the `day` of the
    week from 1 (Monday). `discount` is a percentage.
    """
    totals = defaultdict(int)
    counts = defaultdict(int)
    largest = None
    for order in orders:
        name = cleaned(order["customer"])
        cost = charged(order["amount"], order.get("day", 1), discount)
        totals[name] += cost
        counts[name] += 1
        if largest is None or cost > largest[1]:
            largest = (name, cost)
    rows = []
    for name in ranked(totals, order_by):
        rows.append(
            {
                "customer": name,
                "orders": counts[name],
                "total": totals[name],
                "mean": totals[name] // counts[name],
            }
        )
    return {
        "rows": rows,
        "total": sum(totals.values()),
        "largest": None if largest is None else {"customer": largest[0], "cost": largest[1]},
    }
