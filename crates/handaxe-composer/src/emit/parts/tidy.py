def title(text: str) -> str:
    """Each word, also behind a hyphen, with a capital at its beginning."""
    parts = re.split("([ -])", text)
    return "".join(part[:1].upper() + part[1:].lower() for part in parts)


def phone(text: str) -> str | None:
    """The digits of a telephone number, behind a plus where it is international."""
    digits = re.sub("[ ()./-]", "", text)
    digits = re.sub("^00", "+", digits)
    return digits if re.fullmatch("[+]?[0-9]{5,15}", digits) else None


def tidied(text: str, how: str):
    """A text made uniform; None where it is no such thing."""
    if how == "spaces":
        return re.sub("[ \t\r\n]+", " ", text)
    if how == "lower":
        return text.lower()
    if how == "upper":
        return text.upper()
    if how == "title":
        return title(text)
    if how == "phone":
        return phone(text)
    if how == "number":
        return number_of(text)
    if how == "date":  #? times
        return time_of(text)  #? times
    return text


def change(record: dict, changes: list, tally: dict) -> None:
    """Make a record's texts uniform; count what changed, and what is odd and stays."""
    for item in changes:
        value = record.get(item["field"])
        if not isinstance(value, str):
            continue
        text = value.strip(BLANK)
        new = tidied(text, item["how"]) if text else text
        if new is None:
            tally["odd"] += 1
        else:
            record[item["field"]] = new
            tally["changed"] += text_of(new) != value
