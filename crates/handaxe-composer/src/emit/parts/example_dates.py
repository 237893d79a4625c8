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
    if name in OF_CLOCK:  #? of_clock
        if clock is None:  #? of_clock
            raise ValueError(f"`{text}` has no time of day")  #? of_clock
        hour, minute, second = clock  #? of_clock
        return {  #? of_clock
            "hour": f"{hour:02}",  #? hour
            "plain_hour": str(hour),  #? plain_hour
            "half_hour": str((hour + 11) % 12 + 1),  #? half_hour
            "minute": f"{minute:02}",  #? minute
            "second": f"{second:02}",  #? second
            "half": "AM" if hour < 12 else "PM",  #? half
        }[name]  #? of_clock
    if day is None:  #? of_day
        raise ValueError(f"`{text}` has no date")  #? of_day
    month = MONTHS[day.month - 1].capitalize()  #? of_month
    weekday = WEEKDAYS[day.weekday()]  #? of_weekday
    ending = {1: "st", 2: "nd", 3: "rd"}.get(0 if day.day // 10 == 1 else day.day % 10, "th")  #? day_with_ending
    return {  #? of_day
        "year": f"{day.year:04}",  #? year
        "short_year": f"{day.year % 100:02}",  #? short_year
        "month": f"{day.month:02}",  #? month
        "plain_month": str(day.month),  #? plain_month
        "month_name": month,  #? month_name
        "short_month_name": month[:3],  #? short_month_name
        "day": f"{day.day:02}",  #? day
        "plain_day": str(day.day),  #? plain_day
        "day_with_ending": f"{day.day}{ending}",  #? day_with_ending
        "weekday": weekday,  #? weekday
        "short_weekday": weekday[:3],  #? short_weekday
        "quarter": str((day.month + 2) // 3),  #? quarter
        "day_of_year": str(day.timetuple().tm_yday),  #? day_of_year
        "iso": day.isoformat(),  #? iso
    }[name]  #? of_day
