"""Metadata of the items: price, brand and subcategory."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mtlbench.data.amazon.records import read_records
from mtlbench.data.lines import Lines
from mtlbench.data.recipe import Reporting

METADATA_KEYS = {
    "2014": ("asin", "price", "brand", "categories"),
    "2018": ("asin", "price", "brand", "category"),
    "2023": ("parent_asin", "price", "store", "categories"),
}
"""Keys to read, by version. Never 2023's means and numbers of ratings: they are of the dump's day."""
_PRICE = r"^(?:from\s+)?\$?\s*([0-9][0-9,]*(?:\.[0-9]+)?)(?:\s*-\s*\$?\s*[0-9][0-9,]*(?:\.[0-9]+)?)?$"
"""A price, or the lower end of a range of prices."""
_TEXT = r'"((?:[^"\\]|\\.)*)"'
_SECOND = rf"(?s)^[\[\s]*{_TEXT}\s*,\s*{_TEXT}"
"""The second text of a list, or of the first list in a list (2014)."""


def read_metadata(path: Path, version: str, parts: Path, says: Reporting) -> Lines:
    """Read the items of a file.

    Returns:
        Lines with item, brand and subcategory (strings), price (dollars), and `strange_price`: whether the
        price is a text without a price, such as CSS.

    Raises:
        DataError: damaged packing, no line, or more than 0.1 % of the lines are malformed.
    """
    keys = item, _, brand, categories = METADATA_KEYS[version]
    price = pl.col("price").str.strip_chars()
    amount = price.str.extract(_PRICE).str.replace_all(",", "").cast(pl.Float64, strict=False)

    def shape(chunk: pl.DataFrame) -> pl.DataFrame:
        return chunk.select(
            "line",
            item=pl.col(item).str.strip_chars(),
            price=amount,
            strange_price=price.is_not_null() & ~price.is_in(["", "None"]) & amount.is_null(),
            brand=_named(pl.col(brand)),
            subcategory=_named(pl.col(categories).str.extract(_SECOND, 2)),
        )

    return read_records(path, keys, shape, parts, says, literals=version == "2014")


def items_of(files: Sequence[Lines]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return one row per item, and counts of oddities.

    If several lines describe an item, the first counts, in the order of the files.

    Returns:
        item, price, brand, subcategory; and quirks.
    """
    frames = [records.frame.with_columns(file=pl.lit(i)) for i, records in enumerate(files)]
    lines = pl.concat(frames).collect(engine="streaming").sort("file", "line")
    named = lines.filter(pl.col("item").is_not_null() & (pl.col("item") != ""))
    items = named.unique("item", keep="first", maintain_order=True)
    quirks = {
        "metadata_lines": sum(records.rows for records in files),
        "malformed_metadata_lines": sum(records.malformed for records in files),
        "metadata_without_item": len(lines) - len(named),
        "repeated_metadata": len(named) - len(items),
        "strange_prices": int(items["strange_price"].sum()),
    }
    return items.select("item", "price", "brand", "subcategory"), quirks


def _named(text: pl.Expr) -> pl.Expr:
    """Strip the text; null if it is blank."""
    stripped = text.str.strip_chars()
    return pl.when(stripped != "").then(stripped)
