"""Parser of the docstrings of method files: title, citation, equations, departures, pitfalls.

A paragraph is recognised by its beginning:

    the first one            name and expansion
    those next to it         the citation, as long as they name a year
    "Departs ..."            differences from the paper
    "Pitfalls: ..."          problems in practice

Paragraphs with an indented line (equations, lists) keep their lines; the lines of others are joined, so that
they can be wrapped again when printed.
"""

import re
from dataclasses import dataclass
from inspect import cleandoc

YEAR = re.compile(r"\b(?:18|19|20)\d\d\b")
DEPARTS, PITFALLS = ("Departs ", "Departures "), ("Pitfalls: ",)


@dataclass(frozen=True, slots=True)
class Described:
    """The parts of a docstring; missing ones are empty.

    Attributes:
        title: the first paragraph.
        reference: citations.
        body: the other paragraphs, see `as_written`.
        departs: departures from the paper, with the word "Departs".
        pitfalls: pitfalls, without the word.
    """

    title: str
    reference: str
    body: tuple[str, ...]
    departs: str
    pitfalls: str

    @classmethod
    def of(cls, docstring: str) -> "Described":
        """Parse a docstring."""
        paragraphs = [_joined(p) for p in re.split(r"\n(?:[ \t]*\n)+", cleandoc(docstring))]
        title, rest = paragraphs[0], paragraphs[1:]
        cited = 0
        while cited < len(rest) and _cites(rest[cited]):
            cited += 1
        departs = [p for p in rest[cited:] if p.startswith(DEPARTS)]
        pitfalls = [p for p in rest[cited:] if p.startswith(PITFALLS)]
        body = [p for p in rest[cited:] if p not in departs and p not in pitfalls]
        warned = "\n".join(pitfalls).removeprefix(PITFALLS[0])
        return cls(
            title,
            " ".join(rest[:cited]),
            tuple(body),
            "\n".join(departs),
            warned[:1].upper() + warned[1:],
        )


def as_written(paragraph: str) -> bool:
    """Return whether the lines of a paragraph must stay as they are: equations, lists, tables."""
    return re.search(r"^[ \t]", paragraph, flags=re.MULTILINE) is not None


def _joined(paragraph: str) -> str:
    return paragraph if as_written(paragraph) else " ".join(paragraph.split())


def _cites(paragraph: str) -> bool:
    if as_written(paragraph) or paragraph.startswith((*DEPARTS, *PITFALLS)):
        return False
    return YEAR.search(paragraph) is not None
