"""The files that users write, a benchmark and a table's card: an example of each, and every key."""

import typing
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from mtlbench.catalogue.docstring import Described
from mtlbench.catalogue.options import options
from mtlbench.config import Benchmark
from mtlbench.data.own.card import OwnCard


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file that users write.

    Attributes:
        title: name of the kind of file.
        example: a complete, nearly minimal example; a test reads it.
        about: the command that reads it, and further reading, as Markdown.
        filled: the dataclass that is filled from it.
    """

    title: str
    example: str
    about: str
    filled: type[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of such a file.

    Attributes:
        head: the table's header in the file; empty for the keys above all tables.
        about: a sentence about the table.
        keys: the keys in the form of `options`, each with whether it is `required`.
    """

    head: str
    about: str
    keys: list[dict[str, Any]]


FILES = (
    UserFile(
        "The benchmark file",
        """\
# Which tasks gain and which lose if MMoE replaces single-task models?
dataset = "shop"

[[run]]
method = "mmoe"
""",
        "`mtlbench run my-benchmark.toml` trains what it says, and the single-task baseline beside it. "
        "`mtlbench list benchmarks` has others to start from. The options of [methods](methods/README.md) "
        "and [balancers](balancers/README.md) have pages of their own.",
        Benchmark,
    ),
    UserFile(
        "The card of your own table",
        """\
# Impressions of our search: which were clicked, which were bought.
files = "impressions.csv"
cluster = "user_id"

[fields]
user_id = "categorical"
item_id = "categorical"
price = { kind = "numeric", log = true }

[tasks]
click = {}
purchase = { label = "bought" }
""",
        "`mtlbench prepare --card my-shop.toml` makes a dataset of it.",
        OwnCard,
    ),
)


def tables(filled: type[Any], head: str = "") -> Iterator[Table]:
    """Yield the table that a dataclass is filled from, then the tables inside it."""
    needed = [f.name for f in fields(filled) if f.default is MISSING and f.default_factory is MISSING]
    keys = [option | {"required": option["name"] in needed} for option in options(filled)]
    yield Table(head, Described.of(filled.__doc__ or "").title, keys)
    for f in fields(filled):
        for part in _parts(f.type):
            if isinstance(part, type) and is_dataclass(part):
                many = typing.get_origin(f.type) is tuple
                yield from tables(part, f"[[{f.name}]]" if many else f"[{f.name}]")


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield a type and its arguments, recursively."""
    yield annotation
    for argument in typing.get_args(annotation):
        yield from _parts(argument)
