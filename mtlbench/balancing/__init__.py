"""Ways to turn task losses into one update, one file each. Targets are strings: listing loads no torch."""

from mtlbench.registry import Entry

BALANCERS: dict[str, Entry] = {
    "equal": Entry("mtlbench.balancing.equal:Equal", "weight 1 a task", family="loss"),
    "static": Entry("mtlbench.balancing.static:Static", "fixed weights, used as given", family="loss"),
    "static-frontier": Entry(
        "mtlbench.balancing.static_frontier:StaticFrontier",
        "a grid of fixed weights, the best of it chosen on validation: what a balancer has to beat",
        family="frontier",
        paper="Kurin et al. 2022",
    ),
}
