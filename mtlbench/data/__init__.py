"""Datasets: one recipe a source, and the card that says where the data is from and what is odd in it."""

from mtlbench.registry import Entry

DATASETS = {
    "shop": Entry(
        "mtlbench.data.simulated:RECIPE",
        "simulated shop log with known truth; needs no download",
        family="simulated",
    ),
    "mmoe-synthetic": Entry(
        "mtlbench.data.mmoe_synthetic:RECIPE",
        "two simulated regressions of a chosen relation; needs no download",
        family="simulated",
        paper="https://doi.org/10.1145/3219819.3220007",
    ),
    "taobao": Entry(
        "mtlbench.data.taobao:RECIPE",
        "Taobao UserBehavior: view, cart, favourite, buy over nine days",
        family="e-commerce log",
        paper="https://doi.org/10.1145/3219819.3219826",
    ),
    "taobao-conversion": Entry(
        "mtlbench.data.taobao_conversion:RECIPE",
        "Taobao UserBehavior: cart, favourite, buy within 24 hours of the first look",
        family="e-commerce log",
        paper="https://doi.org/10.1145/3219819.3219826",
    ),
    "retailrocket": Entry(
        "mtlbench.data.retailrocket.recipe:RECIPE",
        "RetailRocket's shop: view, cart, transaction over four and a half months",
        family="e-commerce log",
    ),
    "census-income": Entry(
        "mtlbench.data.census_income:RECIPE",
        "Census-Income (KDD): income, marital status, education; the MMoE paper's data",
        family="survey",
        paper="https://doi.org/10.1145/3219819.3220007",
    ),
    "aliexpress-nl": Entry(
        "mtlbench.data.aliexpress:NL",
        "AliExpress search in the Netherlands: click, purchase",
        family="e-commerce impressions",
        paper="https://doi.org/10.1145/3340531.3412713",
    ),
    "aliexpress-es": Entry(
        "mtlbench.data.aliexpress:ES",
        "AliExpress search in Spain: click, purchase",
        family="e-commerce impressions",
        paper="https://doi.org/10.1145/3340531.3412713",
    ),
    "aliexpress-fr": Entry(
        "mtlbench.data.aliexpress:FR",
        "AliExpress search in France: click, purchase",
        family="e-commerce impressions",
        paper="https://doi.org/10.1145/3340531.3412713",
    ),
    "aliexpress-us": Entry(
        "mtlbench.data.aliexpress:US",
        "AliExpress search in the United States: click, purchase",
        family="e-commerce impressions",
        paper="https://doi.org/10.1145/3340531.3412713",
    ),
    "amazon": Entry(
        "mtlbench.data.amazon.recipe:RECIPE",
        "Amazon reviews: rating, liked, helpful, verified",
        family="e-commerce reviews",
        paper="https://doi.org/10.18653/v1/D19-1018",
    ),
    "amazon-categories": Entry(
        "mtlbench.data.amazon.recipe:CATEGORIES_RECIPE",
        "Amazon reviews: liked, a task a category",
        family="e-commerce reviews",
        paper="https://doi.org/10.18653/v1/D19-1018",
    ),
    "ali-ccp": Entry(
        "mtlbench.data.ali_ccp.recipe:RECIPE",
        "Ali-CCP: click, purchase of the clicked, purchase on all exposures",
        family="e-commerce impressions",
        paper="https://doi.org/10.1145/3209978.3210104",
    ),
    "taobao-ads": Entry(
        "mtlbench.data.taobao_ads.recipe:RECIPE",
        "Taobao display ads: click, and buy from the behaviour log where it is given",
        family="e-commerce impressions",
    ),
}
