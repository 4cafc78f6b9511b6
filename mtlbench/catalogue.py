"""What can be named, read off the registries without loading what they name."""

import tomllib
from typing import Any

from mtlbench.balancing import BALANCERS
from mtlbench.data import DATASETS
from mtlbench.home import Home, shipped
from mtlbench.load import prepared_names
from mtlbench.methods import METHODS


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
        rows = [{**row, "prepared": row["name"] in prepared} for row in rows]
        rows += [
            {"name": name, "summary": "prepared here with --as", "family": "", "paper": "", "prepared": True}
            for name in prepared
            if name not in table
        ]
    return rows


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
