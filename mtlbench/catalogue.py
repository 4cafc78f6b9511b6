"""What can be named, read off the registries without loading what they name; and one thing whole."""

import re
import sys
import tomllib
import typing
from dataclasses import MISSING, Field, fields
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Any

from mtlbench.balancing import BALANCERS
from mtlbench.data import DATASETS
from mtlbench.data.card import card_head, read_card
from mtlbench.errors import unknown
from mtlbench.home import Home, shipped
from mtlbench.load import open_prepared, prepared_names
from mtlbench.methods import METHODS
from mtlbench.registry import written_options


def catalogue(kind: str, home: Home) -> list[dict[str, Any]]:
    """Rows with at least `name` and `summary`, for one of methods, balancers, datasets, benchmarks."""
    if kind == "benchmarks":
        return _benchmarks(home)
    table = {"methods": METHODS, "balancers": BALANCERS, "datasets": DATASETS}[kind]
    rows: list[dict[str, Any]] = [
        {"name": name, "summary": e.summary, "family": e.family, "paper": e.paper}
        for name, e in table.items()
    ]
    if kind == "datasets":
        prepared = prepared_names(home)
        rows = [
            {**row, "summary": card_head(row["name"]), "prepared": row["name"] in prepared} for row in rows
        ]
        rows += [
            {"name": name, "summary": "prepared here", "family": "", "paper": "", "prepared": True}
            for name in prepared
            if name not in table
        ]
    return rows


def show(name: str, home: Home) -> dict[str, Any]:
    """All there is to say of a dataset, a method or a balancer; names are unique over all of them.

    Raises:
        UsageError: nothing has that name.
    """
    tables = {"dataset": DATASETS, "method": METHODS, "balancer": BALANCERS}
    for kind, table in tables.items():
        if name in table:
            entry = table[name]
            about = {"name": name, "kind": kind, "summary": entry.summary, "paper": entry.paper}
            return about | (_dataset(name, home) if kind == "dataset" else _architecture(entry.load()))
    if name in prepared_names(home):
        return {"name": name, "kind": "prepared dataset", "prepared": _prepared(name, home)}
    known = {*(known for table in tables.values() for known in table), *prepared_names(home)}
    raise unknown("dataset, method or balancer", name, known)


def _dataset(name: str, home: Home) -> dict[str, Any]:
    """Its card, what can be set, and what is prepared of it."""
    ready = name in prepared_names(home)
    return {
        "summary": card_head(name),
        "card": read_card(name).text,
        "settings": options(DATASETS[name].load().Settings),
        "prepared": _prepared(name, home) if ready else None,
    }


def _prepared(name: str, home: Home) -> dict[str, Any]:
    manifest = open_prepared(home, name).manifest
    return {key: manifest[key] for key in ("fingerprint", "settings", "splits", "quirks", "command")}


def _architecture(loaded: Any) -> dict[str, Any]:
    """The paper's equations as the module's docstring has them, and the options."""
    return {
        "description": cleandoc(sys.modules[loaded.__module__].__doc__ or ""),
        "options": options(written_options(loaded)),
    }


def options(settings: Any) -> list[dict[str, Any]]:
    """The fields of a frozen dataclass: name, type, default, and what its docstring says of each."""
    about: dict[str, str] = {}
    for cls in reversed(settings.__mro__):
        about |= _attributes(cls.__doc__ or "")
    return [
        {"name": f.name, "type": _type(f.type), "default": _default(f), "about": about.get(f.name, "")}
        for f in fields(settings)
    ]


def _attributes(docstring: str) -> dict[str, str]:
    """The entries under `Attributes:`; one entry may name several."""
    _, _, text = cleandoc(docstring).partition("Attributes:\n")
    entries = re.findall(r"^ {4}([a-z_0-9, ]+): (.*(?:\n {5,}.*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(about.split()) for names, about in entries for name in names.split(", ")}


def _type(annotation: Any) -> str:
    """A type as people write it in TOML."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if origin in (typing.Union, UnionType):
        return " | ".join(map(_type, arguments))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    return "none" if annotation is NoneType else str(getattr(annotation, "__name__", annotation))


def _default(option: Field[Any]) -> Any:
    if option.default is not MISSING:
        return list(option.default) if isinstance(option.default, tuple) else option.default
    return option.default_factory() if option.default_factory is not MISSING else None


def _benchmarks(home: Home) -> list[dict[str, Any]]:
    """The benchmark files of this home and those that come with the program; the head comment sums one up."""
    folders = (home.root / "benchmarks", shipped("benchmarks"))
    files = {file.name: file for folder in reversed(folders) for file in sorted(folder.glob("*.toml"))}
    rows = []
    for name, file in sorted(files.items()):
        text = file.read_text(encoding="utf-8")
        summary = text.splitlines()[0].lstrip("# ") if text.startswith("#") else ""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            summary, values = "not a TOML file", {}
        rows.append({"name": f"benchmarks/{name}", "summary": summary, "dataset": values.get("dataset", "")})
    return rows
