"""Sentences that assert something: questions and quoted text are left out, words keep their case and their order.

What others say is left out as well: code in fences, letters that were drafted, lines under another's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from comparators.language import Language

# Patterns begin with the characters they look for, so that `re` skips to them.
#: Where a sentence ends. A full stop inside a number or a name is followed by no white space.
_END = re.compile(r"[.!?\n\u3002\uff01\uff1f](?:(?<=\n)|[\"')\]*_]*\s+)")
_QUOTED = re.compile(
    '"[^"\n]{1,300}"|\u201c[^\u201d\n]{1,300}\u201d|\u00ab[^\u00bb\n]{1,300}\u00bb|`[^`\n]{1,300}`',
)
_SINGLE_QUOTED = re.compile(r"'(?<![\w']')(?! )[^'\n]{1,300}(?<! )'(?![\w'])")
#: What may stand behind a question mark.
_CLOSING = " \t\r\"')]*_!"
_QUESTION_MARKS = ("?", "\uff1f")
_OMITTED = ' "" '
_TOKEN = re.compile(r"'?[^\W\d_]+|\d[\w.,:/-]*|[^\w\s]")
#: The same where all is ASCII: `re` looks up such letters faster.
_ASCII_TOKEN = re.compile(r"[A-Za-z]+|'[A-Za-z]*|\d[\w.,:/-]*|[^\w\s]")
_LAST_OF_NAME = re.compile(r"(?<![^\W\d_])[^\W\d_]++(?!\w)")
_APOSTROPHES = ("\u2019", "\u2018", "\u02bc")
LETTERS_ONLY = bytes(byte | 32 if byte < 128 and chr(byte).isalpha() else 32 for byte in range(256))

_FENCE = "```"
#: Where a line may go on in the next one.
_WRAP = re.compile(r"\n(?<=[^\W\d_]\n)(?=[^\W\d_A-Z])")
#: Signs at the head of a line of a quotation or a table: the next line is another.
_BLOCKS = (">", "|")
#: The longest abbreviation, and line that opens or closes a letter.
_LONGEST_ABBREVIATION, _LONGEST_OPENING = 7, 40
#: A point of a list that is still to be done.
_TO_DO = re.compile(r"\s*(?:[-*+\u2022]\s*)?\[ ?\]")
#: A point of a list under a name of one word or two, and who speaks there.
_SPEAKER = re.compile(r"\s*(?:[-*+\u2022]|\d{1,3}[.)])\s+\**([A-Z]\w{1,20}(?: [A-Z]\w{0,20})?)\**\s*[:\u2013\u2014-]\s")
#: A comma or the like, and the word behind it.
_CLAUSE = re.compile(r"[,;\u2013\u2014]\s+(?:(?:and|so|but)\s+)?([A-Za-z]+)|\s-\s+([A-Za-z]+)")


def assertions(text: str, language: Language) -> Iterator[str]:
    """The sentences of a text that are no questions, without what they quote. Linear in the text."""
    return filter(None, (asserted(sentence, language) for sentence in sentences(own_words(text, language), language)))


def sentences(text: str, language: Language) -> list[str]:
    """The sentences of a text, without what they quote: there are signs in its place."""
    text = text.replace("*", " ")  # stars of Markdown
    if not text.isascii():
        for sign in _APOSTROPHES:
            text = text.replace(sign, "'")
    if '"' in text or "`" in text or not text.isascii():
        text = _QUOTED.sub(_OMITTED, text)
    if "'" in text:
        text = _SINGLE_QUOTED.sub(_OMITTED, text)
    ends = [found.end() for found in _END.finditer(text) if not _abbreviates(text, found, language)]
    return [text[start:end].strip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def _abbreviates(text: str, end: re.Match[str], language: Language) -> bool:
    """Whether a full stop belongs to the word before it: never at the end of a line."""
    stop = end.start()
    if text[stop] != "." or text[max(stop - 2, 0) : stop].lower() not in language.abbreviation_ends:
        return False  # most are no abbreviations, which costs less to see
    if "\n" in end[0]:
        return False
    words = text[max(stop - _LONGEST_ABBREVIATION, 0) : stop].split()
    word = words[-1].lower().lstrip("([_\"'") if words and not text[stop - 1].isspace() else ""
    if word in language.ending_abbreviations:
        return not text[end.end() : end.end() + 1].isupper()
    return word in language.abbreviations


def asserted(sentence: str, language: Language) -> str:
    """What a sentence asserts: without the question it ends in, nothing if it is one, or is quoted from a mail."""
    if not sentence or sentence[0] == ">":
        return ""
    if not sentence.rstrip(_CLOSING).endswith(_QUESTION_MARKS):
        return sentence
    asked = (found for found in _CLAUSE.finditer(sentence) if _asks(found[1] or found[2], language))
    first = next(asked, None)
    begins = tokens(sentence[:_LONGEST_OPENING])[:1]
    return "" if first is None or (begins and _asks(begins[0], language)) else sentence[: first.start()]


def _asks(word: str, language: Language) -> bool:
    return word.lower() in language.interrogatives


def is_own(line: str) -> bool:
    """Whether who answers speaks in a line for itself and of what was done: no point to be done, no other's words."""
    if line[:1].isalpha():  # no point of a list
        return True
    if _TO_DO.match(line):
        return False
    speaker = _SPEAKER.match(line)
    return speaker is None or speaker[1].split()[0].lower() in line[speaker.end() :].lower()


def own_words(text: str, language: Language) -> str:
    """A text without code in fences and letters that it quotes, and without breaks inside sentences."""
    if _FENCE in text:
        parts = text.split(_FENCE)
        whole = len(parts) - 1 + len(parts) % 2  # of an odd number of fences the last opens nothing
        text = "\n".join(part for place, part in enumerate(parts) if place % 2 == 0 or place >= whole)
    if ",\n" in text:
        text = "\n".join(_without_letters(text.split("\n"), language))
    return "\n".join(_unwrapped(text.split("\n"))) if _WRAP.search(text) else text


def _without_letters(lines: Sequence[str], language: Language) -> list[str]:
    """Without what stands between "Hi team," and "Best regards,", unless the answer begins with it: then it is one."""
    kept: list[str] = []
    opening: int | None = None
    begun = False
    for line in lines:
        if opening is None and begun and _opens_letter(line, language):
            opening = len(kept)
        kept.append(line)
        if opening is not None and _closes_letter(line, language):
            del kept[opening:]
            opening = None
        begun = begun or bool(line.strip())
    return kept


def _unwrapped(lines: Iterable[str]) -> Iterator[str]:
    """Lines that were broken inside a sentence, in one: what follows a word in lower case goes on."""
    held: list[str] = []
    for line in lines:
        if held and not (line[:1].islower() and held[-1][-1:].isalpha() and held[0][:1] not in _BLOCKS):
            yield " ".join(held)
            held = []
        held.append(line)
    yield " ".join(held)


def _opens_letter(line: str, language: Language) -> bool:
    line = line.strip()
    return line.endswith(",") and len(line) <= _LONGEST_OPENING and _first_word(line) in language.salutations


def _first_word(line: str) -> str:
    return next(iter(tokens(line)[:1]), "").lower()


def _closes_letter(line: str, language: Language) -> bool:
    line = line.strip()
    return len(line) <= _LONGEST_OPENING and line.rstrip(",.!").lower() in language.closings


def tokens(sentence: str) -> list[str]:
    """Words, figures and signs. Contractions come apart: "we've" is "we" and "'ve"."""
    return (_ASCII_TOKEN if sentence.isascii() else _TOKEN).findall(sentence)


def words_in(text: str) -> list[str]:
    """The words of a text that are of ASCII letters, in lower case: fast, and enough to know which are not there."""
    return text.encode("utf-8", "surrogatepass").translate(LETTERS_ONLY).decode("ascii").split()


def stated(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts in lower case, and the last ones of names: "is_locked" says locked, "locked_at" does not."""
    return frozenset(word for text in texts for word in _LAST_OF_NAME.findall(text.lower()))
