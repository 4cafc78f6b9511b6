"""Names, types, defaults and meanings of options that are declared in a frozen dataclass."""

import re
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Any


def options(settings: Any) -> list[dict[str, Any]]:
    """Return the fields of a frozen dataclass: name, type, default, and its docstring's text on each."""
    about: dict[str, str] = {}
    for cls in reversed(settings.__mro__):
        about |= _attributes(cls.__doc__ or "")
    return [
        {"name": f.name, "type": _type(f.type), "default": _default(f), "about": about.get(f.name, "")}
        for f in fields(settings)
    ]


def _attributes(docstring: str) -> dict[str, str]:
    """Parse the entries under `Attributes:`; one entry may name several."""
    _, _, text = cleandoc(docstring).partition("Attributes:\n")
    entries = re.findall(r"^ {4}([a-z_0-9, ]+): (.*(?:\n {5,}.*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(about.split()) for names, about in entries for name in names.split(", ")}


def _type(annotation: Any) -> str:
    """Describe a type as written in TOML; an annotation on the type overrides that, if it is a string."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return next((said for said in arguments[1:] if isinstance(said, str)), _type(arguments[0]))
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if origin in (typing.Union, UnionType):
        return " | ".join(map(_type, arguments))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin in (Mapping, dict):
        inner = _type(arguments[1])
        return "table" if inner in ("table", "Any") else f"table of {inner}"
    if is_dataclass(annotation):
        return "table"
    return "none" if annotation is NoneType else str(getattr(annotation, "__name__", annotation))


def _default(option: Field[Any]) -> Any:
    if option.default is not MISSING:
        return list(option.default) if isinstance(option.default, tuple) else option.default
    return option.default_factory() if option.default_factory is not MISSING else None
