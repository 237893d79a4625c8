DATE_FORMS = {
    @DATE_FORMS@
}
CLOCK = (
    @CLOCK@
)
MONTHS = (
    "january february march april may june "
    "july august september october november december"
).split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
OF_CLOCK = ("hour", "plain_hour", "half_hour", "minute", "second", "half")


def clock_of(found):
    """Hour, minute and second of a match; None where none was written."""
    part = found.groupdict()
    if part.get("h") is None:
        return None
    hour = int(part["h"])
    if part.get("p"):
        if not 1 <= hour <= 12:
            raise ValueError("no such hour")
        hour = hour % 12 + (12 if part["p"].lower() == "pm" else 0)
    minute, second = int(part["m"]), int(part["s"] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no such time of day")
    return hour, minute, second


def moment_of(text: str, day_first: bool) -> tuple:
    """The date and time of day that a text is, each None where it was not written."""
    if len(text) > 60:
        raise ValueError("too long for a date")
    other = "month_first" if day_first else "day_first"
    for name, form in DATE_FORMS.items():
        found = re.fullmatch(rf"(?:{form})(?:[T ,]+(?:at )?{CLOCK})?", text)
        if not found or name == other:
            continue
        try:
            part = found.groupdict()
            if part.get("N"):
                short = part["N"].lower()
                month = next((i for i, m in enumerate(MONTHS, 1) if m.startswith(short)), 0)
            else:
                month = int(part["M"])
            return date(int(part["Y"]), month, int(part["D"])), clock_of(found)
        except ValueError:
            continue
    found = re.fullmatch(CLOCK, text)
    if not found:
        raise ValueError(f"`{text}` is no date")
    return None, clock_of(found)


def date_part(text: str, name: str, day_first: bool = False) -> str:
    """One part of a date or time of day, as text."""
    day, clock = moment_of(text, day_first)
    if name in OF_CLOCK:
        if clock is None:
            raise ValueError(f"`{text}` has no time of day")
        hour, minute, second = clock
        return {
            "hour": f"{hour:02}",
            "plain_hour": str(hour),
            "half_hour": str((hour + 11) % 12 + 1),
            "minute": f"{minute:02}",
            "second": f"{second:02}",
            "half": "AM" if hour < 12 else "PM",
        }[name]
    if day is None:
        raise ValueError(f"`{text}` has no date")
    month = MONTHS[day.month - 1].capitalize()
    weekday = WEEKDAYS[day.weekday()]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(0 if day.day // 10 == 1 else day.day % 10, "th")
    return {
        "year": f"{day.year:04}",
        "short_year": f"{day.year % 100:02}",
        "month": f"{day.month:02}",
        "plain_month": str(day.month),
        "month_name": month,
        "short_month_name": month[:3],
        "day": f"{day.day:02}",
        "plain_day": str(day.day),
        "day_with_ending": f"{day.day}{ending}",
        "weekday": weekday,
        "short_weekday": weekday[:3],
        "quarter": str((day.month + 2) // 3),
        "day_of_year": str(day.timetuple().tm_yday),
        "iso": day.isoformat(),
    }[name]
