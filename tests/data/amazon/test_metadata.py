"""Items: prices that are CSS, repeated lines, Python literals."""

from pathlib import Path
from typing import Any

import pytest

from mtlbench.data.amazon.metadata import items_of, read_metadata
from mtlbench.data.recipe import Reporting
from tests.data.amazon.files import write_lines

SAYS = Reporting("mtlbench prepare amazon --source FILE")


def item(asin: str | None = "B1", **keys: Any) -> dict[str, Any]:
    return {"asin": asin, "price": "$1.00", "brand": "Acme", "category": ["Top", "Second", "Third"], **keys}


@pytest.mark.parametrize(
    ("price", "amount", "strange"),
    [
        ("$29.99", 29.99, 0),
        ("$1,234.50", 1234.5, 0),
        (9.49, 9.49, 0),
        (10, 10.0, 0),
        ("$12.99 - $25.00", 12.99, 0),
        ("from 14.99", 14.99, 0),
        ("", None, 0),
        (None, None, 0),
        ("None", None, 0),
        (".a-box-inner{background-color:#fff} #alohaBuyBoxWidget .selected{color:#111}", None, 1),
        ("$", None, 1),
        ("—", None, 1),
        ("Currently unavailable", None, 1),
    ],
)
def test_a_price_is_an_amount_or_missing(
    price: Any, amount: float | None, strange: int, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "meta.json", [item(price=price)])
    items, quirks = items_of([read_metadata(path, "2018", tmp_path / "parts", SAYS)])
    assert items["price"].to_list() == [amount]
    assert quirks["strange_prices"] == strange


def test_the_first_line_of_an_item_counts_and_the_others_are_counted(tmp_path: Path) -> None:
    one = write_lines(
        tmp_path / "1", [item("B1", brand="first"), item("B2"), item("B1", brand="later"), item("")]
    )
    two = write_lines(tmp_path / "2", [item("B3"), item("B1", brand="last"), item(None)])
    files = [read_metadata(path, "2018", tmp_path / f"parts-{path.name}", SAYS) for path in (one, two)]
    items, quirks = items_of(files)
    assert dict(items.select("item", "brand").iter_rows()) == {"B1": "first", "B2": "Acme", "B3": "Acme"}
    assert quirks["metadata_lines"] == 7
    assert quirks["repeated_metadata"] == 2
    assert quirks["metadata_without_item"] == 2
    assert quirks["metadata_lines"] == len(items) + 2 + 2


def test_the_releases_agree_on_what_an_item_is(tmp_path: Path) -> None:
    """2014: Python literals with lists of lists; 2023: a store, a parent, and ratings that are never read."""
    files: dict[str, dict[str, Any] | str] = {
        "2014": "{'asin': 'B1', 'price': 9.5, 'brand': \"O'Neill\", 'categories': [['Top', 'Second']]}",
        "2018": {"asin": "B1", "price": "$9.50", "brand": "O'Neill", "category": ["Top", "Second"]},
        "2023": {
            "parent_asin": "B1",
            "asin": "other",
            "price": 9.5,
            "store": "O'Neill",
            "categories": ["Top", "Second"],
            "average_rating": 4.8,
            "rating_number": 10,
        },
    }
    for version, line in files.items():
        path = write_lines(tmp_path / version, [line])
        items, _ = items_of([read_metadata(path, version, tmp_path / f"parts-{version}", SAYS)])
        assert items.rows() == [("B1", 9.5, "O'Neill", "Second")]


def test_what_is_not_there_is_null(tmp_path: Path) -> None:
    """An empty category, a blank brand, keys that are missing or of another type."""
    lines = [item("B1", brand=" ", category=[]), {"asin": "B2"}, item("B3", category="Top", brand=None)]
    items, _ = items_of([read_metadata(write_lines(tmp_path / "m", lines), "2018", tmp_path / "parts", SAYS)])
    assert items["brand"].to_list() == [None, None, None]
    assert items["subcategory"].to_list() == [None, None, None]
