PATTERNS = {
    @EXTRACTS@
}


def address(token: str) -> str:
    """The IPv4 (less its port) or IPv6 address that a token is, or nothing."""
    token = token.rstrip(".")
    if token.count(":") <= 1:
        host = token.split(":")[0]
        parts = host.split(".")
        octets = [part for part in parts if re.fullmatch("[0-9]{1,3}", part) and int(part) <= 255]
        return host if len(parts) == len(octets) == 4 else ""
    groups = [group for group in token.split(":") if group]
    if not all(re.fullmatch("[0-9A-Fa-f]{1,4}", group) for group in groups):
        return ""
    if ":::" in token or re.match(":[^:]", token) or re.search("[^:]:$", token):
        return ""
    if "::" in token:
        return token if token.count("::") == 1 and 1 <= len(groups) < 8 else ""
    return token if len(groups) == 8 else ""
