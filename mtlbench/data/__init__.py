"""Datasets: one recipe a source, and the card that says where the data is from and what is odd in it."""

from mtlbench.registry import Entry

DATASETS = {
    "shop": Entry(
        "mtlbench.data.simulated:RECIPE",
        "simulated shop log with known truth; needs no download",
        family="simulated",
    ),
    "taobao": Entry(
        "mtlbench.data.taobao:RECIPE",
        "Taobao UserBehavior: view, cart, favourite, buy over nine days",
        family="e-commerce log",
        paper="https://doi.org/10.1145/3219819.3219826",
    ),
}
