"""Baselines that a benchmark does not name itself: the same network as each of its arms, nothing shared."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mtlbench.config import EQUAL, Arm, fill
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method, NetworkConfig
from mtlbench.registry import lookup

NETWORK = tuple(field.name for field in fields(NetworkConfig))
"""Options that every network has; a gain is about sharing where both sides have the same."""


def missing(name: str, arms: Sequence[Arm]) -> list[Arm]:
    """The baselines of that method that arms still need.

    Where the arms themselves name one, it serves as it stands; with a balancer it is no baseline. Else
    there is one for each set of `NETWORK` options among the arms, so that none differs from its baseline
    in these; floors have none and need no other. A baseline that is made to `match` a method is wanted
    for each of them that has none yet.

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
    """One for each network with its options; not for models a task or for floors, which are no larger."""
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
    """What a control is made to match, every option filled in."""
    filled = fill(config, options, "options of the baseline")
    return filled.match, filled.match_options


def _is_network(method: str) -> bool:
    return issubclass(lookup(METHODS, method, "method").load(), Method)


def _network(config: Any, arm: Arm) -> dict[str, Any]:
    """The arm's `NETWORK` options, as far as they are not what `config` has anyway."""
    usual = fill(config, {}, "options of the baseline")
    method = lookup(METHODS, arm.method, "method").load()
    own = fill(method.Config, arm.method_options, f"options of {arm.method}")
    both = [option for option in NETWORK if hasattr(usual, option)]
    return {option: getattr(own, option) for option in both if getattr(own, option) != getattr(usual, option)}
