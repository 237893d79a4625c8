# Characters of ISO text up to the end of the bucket.
CUTS = {"year": 4, "month": 7, "day": 10, "hour": 13, "minute": 16}
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def bucket_of(time: str | None, bucket: str) -> str | None:
    """The bucket that a time falls into; None where it is less precise than the bucket."""
    if time is None:
        return None
    if bucket in CUTS:
        cut = CUTS[bucket]
        return time[:cut] if len(time) >= cut else None
    if bucket == "hour_of_day":
        return time[11:13] or None
    if bucket == "quarter":
        return f"{time[:4]}-Q{(int(time[5:7]) + 2) // 3}" if len(time) >= 7 else None
    if len(time) < 10:
        return None
    day = date.fromisoformat(time[:10])
    if bucket == "day_of_week":
        return WEEKDAYS[day.weekday()]
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def bucket_key(name: str) -> tuple:
    """Weekdays in the order of the week, all else as text."""
    return (WEEKDAYS.index(name), name) if name in WEEKDAYS else (-1, name)
