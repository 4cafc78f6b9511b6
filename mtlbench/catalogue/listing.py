"""Lists of names, made without loading the named things, torch, numpy or polars."""

import re
import tomllib
from importlib.util import find_spec
from typing import Any

from mtlbench.balancing import BALANCERS
from mtlbench.catalogue.families import BALANCER_FAMILIES, METHOD_FAMILIES, Family, in_order
from mtlbench.data import DATASETS
from mtlbench.data.card import card_head
from mtlbench.home import Home, shipped
from mtlbench.methods import METHODS
from mtlbench.plugins import load as load_plugins
from mtlbench.registry import Entry

EXTRA = ("torchjd", "cvxpy", "clarabel")
"""Modules of the extra `mtlbench[balancers]`."""


def catalogue(kind: str, home: Home) -> list[dict[str, Any]]:
    """Return rows with at least `name` and `summary`, for methods, balancers, datasets or benchmarks."""
    if kind == "benchmarks":
        return _benchmarks(home)
    if kind == "datasets":
        return _datasets(home)
    load_plugins()
    if kind == "methods":
        return _rows(METHODS, METHOD_FAMILIES)
    rows = _rows(BALANCERS, BALANCER_FAMILIES)
    return [row | {"passes": BALANCER_FAMILIES[row["family"]].passes} for row in rows]


def _rows(table: dict[str, Entry], families: dict[str, Family]) -> list[dict[str, Any]]:
    installed = all(map(find_spec, EXTRA))
    return [
        {
            "name": name,
            "summary": e.summary,
            "family": e.family,
            "paper": e.paper,
            "needs": re.sub(r"(mtlbench\[\w+\])", r"\1 (installed)", e.needs) if installed else e.needs,
        }
        for name, e in in_order(table, families)
    ]


def _datasets(home: Home) -> list[dict[str, Any]]:
    from mtlbench.load import prepared_names  # loads numpy

    prepared = prepared_names(home)
    rows = [{"name": n, "summary": card_head(n), "prepared": n in prepared} for n in DATASETS]
    own = [name for name in prepared if name not in DATASETS]
    return rows + [{"name": name, "summary": "prepared here", "prepared": True} for name in own]


def _benchmarks(home: Home) -> list[dict[str, Any]]:
    """List the benchmark files of this home and the shipped ones, each summarised by its head comment."""
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
