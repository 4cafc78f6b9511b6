"""Methods and balancers from outside the package: one of your own files, or an installed package.

    a file      `--plugin FILE`, or files in `$MTLBENCH_PLUGINS`. It has METHODS = {"my-name": MyClass}, or
                BALANCERS, or both.
    a package   entry points of the groups `mtlbench.methods` and `mtlbench.balancers`.

They are added to the same registries as the built-in ones, so the rest of the program treats them alike.
Looking up an unregistered name loads plugins first (`registry.lookup`): that is how worker processes, which
inherit the variable, and notebooks find them. A run's identity holds the sha256 of the file or the version
of the package, so results of old code are not mistaken for those of edited code.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mtlbench.balancing import BALANCERS
from mtlbench.data import DATASETS
from mtlbench.errors import UsageError
from mtlbench.methods import METHODS
from mtlbench.registry import Entry, lookup

if TYPE_CHECKING:
    from mtlbench.config import RunSpec

VARIABLE = "MTLBENCH_PLUGINS"
"""Environment variable with the paths of plugin files, separated as in $PATH."""
TABLES = {"method": METHODS, "balancer": BALANCERS}
FAMILY = "plugin"
MODULE = "mtlbench_plugin_"
"""Prefix of the module name of a plugin file, before the file's stem and a hash."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Plugin(Entry):
    """A registry entry from outside the package, whose class `load` checks.

    Attributes:
        name: the registered name.
        kind: method or balancer.
        source: the file, or the distribution and its version.
    """

    name: str = ""
    kind: str = ""
    source: str = ""

    def load(self) -> Any:
        """Import and return the class.

        Raises:
            UsageError: it cannot be imported, or is not a valid method or balancer class.
        """
        try:
            found = Entry.load(self)
        except Exception as error:
            raise UsageError(_loading(self.source, error)) from error
        _examine(found, self)
        return found


def use(files: Sequence[Path]) -> None:
    """Register these files and those that `$MTLBENCH_PLUGINS` names; worker processes will do the same.

    Raises:
        UsageError: a file is missing or fails, or a name is taken.
    """
    paths = list(dict.fromkeys([*named_files(), *(os.path.abspath(file) for file in files)]))
    for path in paths:
        _load_file(Path(path))
    if paths:
        os.environ[VARIABLE] = os.pathsep.join(paths)


def load() -> None:
    """Register everything that `$MTLBENCH_PLUGINS` and installed packages offer, without importing packages.

    Raises:
        UsageError: as in `use`.
    """
    use([])
    for kind in TABLES:
        for point in entry_points(group=f"mtlbench.{kind}s"):
            _register(_offered(kind, point))


def refuse_changed(spec: "RunSpec") -> None:
    """Check that the code loaded here is the code the run was planned with.

    Raises:
        UsageError: a plugin has been edited since, or built-in code has another revision.
    """
    from mtlbench.train.loop import REVISION  # loads torch

    planned = spec.revision
    changed = ["the training loop"] if planned.get("loop") != REVISION else []
    for kind, table in TABLES.items():
        name = str(getattr(spec, kind))
        entry = lookup(table, name, kind)
        version, revision = planned.get(f"{kind}_code", ""), planned.get(kind)
        if entry.version != version or entry.load().revision != revision:
            changed.append(name)
    if changed:
        raise UsageError(
            f"The code of {' and '.join(changed)} has changed since this run was planned. Run it again."
        )


def place(error: BaseException) -> str:
    """Return FILE:LINE of the innermost stack frame in plugin code, or empty if there is none."""
    plugins = [e for table in TABLES.values() for e in table.values() if isinstance(e, Plugin)]
    packages = {re.split("[.:]", plugin.target)[0] for plugin in plugins}
    found, trace = "", error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        if name.startswith(MODULE) or name.partition(".")[0] in packages:
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def named_files() -> list[str]:
    """Return the files that `$MTLBENCH_PLUGINS` names."""
    return [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]


def _load_file(path: Path) -> None:
    """Run a file, unless it has run with the same content, and register its methods and balancers."""
    try:
        code = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"Plugin {path} cannot be read: {error.strerror}. It is one Python file; a package offers its "
            "methods by entry points (CONTRIBUTING.md)."
        ) from error
    version = sha256(code).hexdigest()[:20]
    name = f"{MODULE}{re.sub(r'[^0-9a-zA-Z]', '_', path.stem)}_{version[:8]}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = str(path)
        sys.modules[name] = module  # dataclasses and pydantic look up a class's module
        try:
            exec(compile(code, str(path), "exec"), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            raise UsageError(_loading(str(path), error)) from error
    _register_all(sys.modules[name], path, version)


def _register_all(module: ModuleType, path: Path, version: str) -> None:
    tables = {kind: getattr(module, f"{kind.upper()}S", {}) for kind in TABLES}
    if not any(tables.values()) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(
            f"{path}: names no method and no balancer. Write at its end, for example: "
            'METHODS = {"my-method": MyMethod}'
        )
    for kind, table in tables.items():
        for name, cls in table.items():
            plugin = Plugin(
                f"{module.__name__}:{getattr(cls, '__name__', cls)}",
                family=FAMILY,
                needs=str(getattr(cls, "needs", "")),
                summary=(getattr(cls, "__doc__", "") or "").partition("\n")[0],
                version=version,
                name=name,
                kind=kind,
                source=str(path),
            )
            _examine(cls, plugin)
            if getattr(module, cls.__name__, None) is not cls:
                raise UsageError(f"{path}: {cls.__name__} has to be defined at the top level.")
            _register(plugin)


def _offered(kind: str, point: EntryPoint) -> Plugin:
    """Return the plugin that an entry point offers, without importing it."""
    source = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    return Plugin(
        f"{point.module}:{point.attr}",
        summary=f"of the package {source}",
        family=FAMILY,
        version=source,
        name=point.name,
        kind=kind,
        source=source,
    )


def _register(plugin: Plugin) -> None:
    """Add a plugin to its registry. Names are unique across registries; an edited plugin replaces itself."""
    if not isinstance(plugin.name, str) or not NAME.fullmatch(plugin.name):
        raise UsageError(f"{plugin.source}: {plugin.name!r} is no name; use a-z, 0-9 and hyphens.")
    own = TABLES[plugin.kind]
    for table in (*TABLES.values(), DATASETS):
        there = table.get(plugin.name)
        if there is not None and (table is not own or getattr(there, "source", "") != plugin.source):
            owner = there.source if isinstance(there, Plugin) else "mtlbench itself"
            raise UsageError(f"{plugin.source}: the name {plugin.name!r} is taken by {owner}.")
    own[plugin.name] = plugin


def _examine(found: Any, plugin: Plugin) -> None:
    """Refuse an invalid method or balancer now, with a clear message, before training fails on it."""
    from mtlbench.balancing.base import Balancer  # loads torch
    from mtlbench.methods.base import Method, NetworkConfig

    base, options = (Method, NetworkConfig) if plugin.kind == "method" else (Balancer, object)
    if not isinstance(found, type) or not issubclass(found, base):
        raise UsageError(
            f"{plugin.source}: {plugin.name} is {found!r}, not a class derived from "
            f"{base.__module__}.{base.__name__}."
        )
    config = getattr(found, "Config", None)
    if not isinstance(config, type) or not is_dataclass(config) or "__dataclass_fields__" not in vars(config):
        raise UsageError(
            f"{plugin.source}: {found.__name__}.Config has to be a dataclass of its own: put "
            "@dataclass(frozen=True, slots=True, kw_only=True) above it."
        )
    if not issubclass(config, options):
        raise UsageError(f"{plugin.source}: {found.__name__}.Config is not derived from {options.__name__}.")


def _loading(source: str, error: Exception) -> str:
    """Describe an error raised while loading code from `source`, and where it was raised."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    return f"{place(error) or source}: {type(error).__name__}: {error}"
