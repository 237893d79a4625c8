WORD = (
    @WORD@
)
STOP_WORDS = frozenset(
    @STOP_WORDS@.split()
)


def words_of(text: str, min_length: int, skip_stop_words: bool):
    """Yield the lower-case words of a text."""
    for found in re.findall(WORD, text):
        word = found.lower().replace("’", "'")
        if len(word) >= min_length and not (skip_stop_words and word in STOP_WORDS):
            yield word
