"""Registries: plain dicts from a name to the location of its class, so that listing loads nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mtlbench.errors import UsageError, unknown


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered class: its location (`module:attribute`) and what lists say about it.

    `needs` is what a method requires of the tasks, or a balancer of the machine, copied from its class
    (`mtlbench.catalogue.needs`) so that listing loads none of them. `version` identifies the code of a
    plugin; it is empty for built-in classes, which have a `revision` instead.
    """

    target: str
    summary: str = ""
    family: str = ""
    paper: str = ""
    needs: str = ""
    version: str = ""

    def load(self) -> Any:
        """Import and return the object at `target`."""
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)


def lookup(table: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """Return entry `name` of a registry; if it is missing, load plugins and look again.

    Raises:
        UsageError: there is no such name; the message says what would have worked.
    """
    if name not in table:
        from mtlbench import plugins  # imports the registries

        plugins.load()
        if name not in table:
            hint = (
                " One of your own wants its file: --plugin FILE." if table in plugins.TABLES.values() else ""
            )
            listed = "methods" if kind == "baseline" else f"{kind}s"
            raise UsageError(f"{unknown(kind, name, table, f'mtlbench list {listed}')}{hint}")
    return table[name]


def written_options(loaded: Any) -> type[Any]:
    """Return the options that an arm in a benchmark takes: `Grid` if the class has one, else `Config`."""
    options: type[Any] = getattr(loaded, "Grid", None) or loaded.Config
    return options
