TIMES = (
    @TIMES@
)
TIME_INSIDE = (
    @TIME_INSIDE@
)
MONTHS = (
    "january february march april may june "
    "july august september october november december"
).split()
EPOCH = datetime(1970, 1, 1)


def utc_time(found) -> str | None:
    """ISO text of a matched time, as precise as it was written; None if there is no such day."""
    part = found.groupdict()
    micros = int((part.get("f") or "").ljust(6, "0")[:6])
    if part.get("E"):
        return (EPOCH + timedelta(seconds=int(part["E"]), microseconds=micros)).isoformat()
    year, month = part["Y"], part.get("M")
    if part.get("N"):
        name = part["N"].lower()
        month = next((i for i, full in enumerate(MONTHS, 1) if full.startswith(name)), 0)
    elif month is None:
        return year
    if not 1 <= int(month) <= 12:
        return None
    if part.get("D") is None:
        return f"{year}-{int(month):02}"
    try:
        moment = datetime(int(year), int(month), int(part["D"]))
        if part.get("h") is None:
            return moment.date().isoformat()
        hour = int(part["h"])
        if part.get("p"):
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if part["p"].lower() == "pm" else 0)
        second = int(part.get("s") or 0)
        moment = moment.replace(hour=hour, minute=int(part["m"]), second=second)
    except ValueError:
        return None
    zone = part.get("z") or ""
    if zone.startswith(("+", "-")):
        hours, minutes = zone[1:3], zone[-2:]
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        moment = moment - offset if zone[0] == "+" else moment + offset
    return (moment + timedelta(microseconds=micros)).isoformat()


def time_of(text: str) -> str | None:
    """The time that a text is, or else the first full time inside it, as ISO text in UTC."""
    found = next(filter(None, (re.fullmatch(pattern, text) for pattern in TIMES)), None)
    if found and (time := utc_time(found)):
        return time
    inside = re.search(TIME_INSIDE, text)
    if inside and inside[0] != text:
        return time_of(inside[0])
    return None
