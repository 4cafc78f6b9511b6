"""Baselines that a benchmark does not name itself: the network of each of its arms, with nothing shared."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mtlbench.config import EQUAL, Arm, fill
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method, NetworkConfig
from mtlbench.registry import lookup

NETWORK = tuple(field.name for field in fields(NetworkConfig))
"""Names of the options that every network has; a gain is about sharing only if both sides agree in them."""


def missing(name: str, arms: Sequence[Arm]) -> list[Arm]:
    """Return the baseline arms of method `name` that `arms` still need.

    If the arms include that method, it serves as the baseline unchanged; with a balancer it is not one,
    unless the method trains one model per task. Otherwise there is one baseline for each set of `NETWORK`
    options among the arms, so that no arm differs from its baseline in these. Floors have no such options
    and need no baseline of their own. A baseline that is made to `match` a method is added for each network
    that has none yet.

    Raises:
        UsageError: an unknown method or option.
    """
    method = lookup(METHODS, name, "baseline").load()
    config = method.Config
    there = [arm for arm in arms if arm.method == name and (arm.balancer == EQUAL or method.per_task)]
    if "match" in (field.name for field in fields(config)):
        return _made_to_match(name, config, there, arms)
    if there:
        return []
    wanted: list[dict[str, Any]] = []
    for arm in arms:
        if _is_network(arm.method) and (options := _network(config, arm)) not in wanted:
            wanted.append(options)
    return [Arm(method=name, method_options=options) for options in wanted or [{}]]


def _made_to_match(name: str, config: Any, there: Sequence[Arm], arms: Sequence[Arm]) -> list[Arm]:
    """Return one baseline per network and options; floors and per-task models, no larger, need none."""
    matched = [_matched(config, arm.method_options) for arm in there]
    wanted = []
    for arm in arms:
        if not _is_network(arm.method) or lookup(METHODS, arm.method, "method").load().per_task:
            continue
        made = {"match": arm.method, "match_options": dict(arm.method_options)}
        if (match := _matched(config, made)) not in matched:
            matched.append(match)
            wanted.append(Arm(method=name, method_options={**_network(config, arm), **made}))
    return wanted


def _matched(config: Any, options: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the method and options that a control is made to match, every option filled in."""
    filled = fill(config, options, "options of the baseline")
    return filled.match, filled.match_options


def _is_network(method: str) -> bool:
    return issubclass(lookup(METHODS, method, "method").load(), Method)


def _network(config: Any, arm: Arm) -> dict[str, Any]:
    """Return the arm's `NETWORK` options that differ from the defaults of `config`."""
    usual = fill(config, {}, "options of the baseline")
    method = lookup(METHODS, arm.method, "method").load()
    own = fill(method.Config, arm.method_options, f"options of {arm.method}")
    both = [option for option in NETWORK if hasattr(usual, option)]
    return {option: getattr(own, option) for option in both if getattr(own, option) != getattr(usual, option)}
