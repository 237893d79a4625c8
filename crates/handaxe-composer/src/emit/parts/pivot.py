def place_of(record: dict, field: str, bucket: str | None) -> str | None:  #? times
    """The row or column of a record; None where it has not the time that is gone by."""  #? times
    text = text_of(record.get(field))  #? times
    return text if bucket is None else bucket_of(time_of(text), bucket)  #? times
  #? times
  #? times
def place_key(name: str) -> tuple:
    """Numbers by value, then text, then nothing; weekdays in the order of the week."""
    day = WEEKDAYS.index(name) if name in WEEKDAYS else -1
    return (day, *order_key(name))
