"""Datasets: one recipe per source, and a card with the data's origin and quirks.

Lists describe each dataset by the first line of its card, `datasets/NAME/card.toml`.
"""

from mtlbench.registry import Entry

_TAOBAO = "https://doi.org/10.1145/3219819.3219826"
_ALIEXPRESS = "https://doi.org/10.1145/3340531.3412713"
_AMAZON = "https://doi.org/10.18653/v1/D19-1018"
_MMOE = "https://doi.org/10.1145/3219819.3220007"

LOG, IMPRESSIONS, REVIEWS = "e-commerce log", "e-commerce impressions", "e-commerce reviews"

DATASETS = {
    "shop": Entry("mtlbench.data.simulated:RECIPE", family="simulated"),
    "mmoe-synthetic": Entry("mtlbench.data.mmoe_synthetic:RECIPE", family="simulated", paper=_MMOE),
    "taobao": Entry("mtlbench.data.taobao:RECIPE", family=LOG, paper=_TAOBAO),
    "taobao-conversion": Entry("mtlbench.data.taobao_conversion:RECIPE", family=LOG, paper=_TAOBAO),
    "retailrocket": Entry("mtlbench.data.retailrocket.recipe:RECIPE", family=LOG),
    "taobao-ads": Entry("mtlbench.data.taobao_ads.recipe:RECIPE", family=IMPRESSIONS),
    "ali-ccp": Entry(
        "mtlbench.data.ali_ccp.recipe:RECIPE",
        family=IMPRESSIONS,
        paper="https://doi.org/10.1145/3209978.3210104",
    ),
    "aliexpress-nl": Entry("mtlbench.data.aliexpress:NL", family=IMPRESSIONS, paper=_ALIEXPRESS),
    "aliexpress-es": Entry("mtlbench.data.aliexpress:ES", family=IMPRESSIONS, paper=_ALIEXPRESS),
    "aliexpress-fr": Entry("mtlbench.data.aliexpress:FR", family=IMPRESSIONS, paper=_ALIEXPRESS),
    "aliexpress-us": Entry("mtlbench.data.aliexpress:US", family=IMPRESSIONS, paper=_ALIEXPRESS),
    "amazon": Entry("mtlbench.data.amazon.recipe:RECIPE", family=REVIEWS, paper=_AMAZON),
    "amazon-categories": Entry(
        "mtlbench.data.amazon.recipe:CATEGORIES_RECIPE", family=REVIEWS, paper=_AMAZON
    ),
    "census-income": Entry("mtlbench.data.census_income:RECIPE", family="survey", paper=_MMOE),
}
