"""Small files in the formats of the three releases, made on the spot."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

DAY = 86_400
START = 1_300_000_000 // DAY * DAY


def review_2018(
    user: str | int = "A1USER0000001", item: str | int = "B000000001", **keys: Any
) -> dict[str, Any]:
    """A review of 2018; a key that is None is left out."""
    record = {
        "overall": 5.0,
        "verified": True,
        "reviewerID": user,
        "asin": item,
        "style": {"Size:": " 7.0 oz", "Flavor:": " Ice"},
        "reviewText": "Good.",
        "summary": "Fine",
        "unixReviewTime": START,
        **keys,
    }
    return {key: value for key, value in record.items() if value is not None}


def review_2014(user: str = "A1USER0000001", item: str = "B000000001", **keys: Any) -> dict[str, Any]:
    """A review of 2014."""
    return {
        "reviewerID": user,
        "asin": item,
        "helpful": [3, 4],
        "reviewText": "Good.",
        "overall": 4.0,
        "summary": "Fine",
        "unixReviewTime": START,
        **keys,
    }


def review_2023(user: str = "AFSKPY37", item: str = "B000000001", **keys: Any) -> dict[str, Any]:
    """A raw review of 2023; `item` is the parent."""
    return {
        "rating": 5.0,
        "title": "Fine",
        "text": "Good.",
        "images": [],
        "asin": "B0VARIANT1",
        "parent_asin": item,
        "user_id": user,
        "timestamp": START * 1000 + 123,
        "helpful_vote": 2,
        "verified_purchase": True,
        **keys,
    }


def write_lines(path: Path, records: Sequence[dict[str, Any] | str]) -> Path:
    """JSON lines, or texts as they are; gzipped where the name says so."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def shop(reviews: int = 400, seed: int = 0, users: int = 30, items: int = 25) -> list[dict[str, Any]]:
    """Reviews of 2018 over 4,000 days, all pairs different, by users with habits."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(users * items, reviews, replace=False)
    days = np.sort(rng.integers(0, 4000, reviews))
    records = []
    for pair, day in zip(pairs.tolist(), days.tolist(), strict=True):
        user, item = divmod(pair, items)
        good = rng.random() < 0.3 + 0.6 * ((user + item) % 2)
        records.append(
            review_2018(
                f"A1USER{user:07}",
                f"B{item:09}",
                overall=5.0 if good else float(rng.integers(1, 5)),
                verified=bool(rng.random() < 0.7),
                vote="1,234" if rng.random() < 0.3 else None,
                reviewText="word " * int(rng.integers(0, 30)),
                unixReviewTime=START + day * DAY,
            )
        )
    return records
