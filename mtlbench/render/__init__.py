"""Output for a terminal. The one package that builds Rich output."""

from mtlbench.render.console import say
from mtlbench.render.inspection import inspection
from mtlbench.render.plan import plan
from mtlbench.render.progress import grid, stages
from mtlbench.render.protocol import findings, rules, work
from mtlbench.render.things import catalogue, prepared, shown
from mtlbench.render.verdicts import shard, verdicts

__all__ = [
    "catalogue",
    "findings",
    "grid",
    "inspection",
    "plan",
    "prepared",
    "rules",
    "say",
    "shard",
    "shown",
    "stages",
    "verdicts",
    "work",
]
