def windowed(values: list) -> list:
    """Numbers as percentages of them all."""  #? share
    """Numbers as totals so far."""  #? running
    """Numbers as changes from the one before."""  #? change
    values = [None if isinstance(value, str) else value for value in values]  #? times
    total = math.fsum(float(value) for value in values if value is not None)  #? share
    return [100 * float(value) / total if value is not None and total else None for value in values]  #? share
    out, total = [], Total()  #? running
    for value in values:  #? running
        if value is not None:  #? running
            total.add(value)  #? running
        out.append(None if value is None else total.value())  #? running
    return out  #? running
    out, last = [], None  #? change
    for value in values:  #? change
        out.append(None if value is None or last is None else value - last)  #? change
        last = last if value is None else value  #? change
    return out  #? change
