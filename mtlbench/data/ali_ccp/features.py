"""The column `features` of the raw form: entries `field \\x02 feature \\x03 value`, separated by \\x01."""

import polars as pl

_FEATURE = "[0-9_]+\x02-?[0-9]+\x03[-+0-9.eE]+"
_SHAPE = f"^{_FEATURE}(?:\x01{_FEATURE})*$"


def damaged() -> pl.Expr:
    """Return whether the row or its features are malformed."""
    return pl.col("malformed") | ~pl.col("features").str.contains(_SHAPE).fill_null(False)


def single(code: str) -> pl.Expr:
    """Return the field's feature, the first if there are several; null if there is none."""
    return pl.col("features").str.extract(f"(?:^|\x01){code}\x02(-?[0-9]+)\x03").cast(pl.Int64, strict=False)


def value(code: str) -> pl.Expr:
    """Return the value of that feature, 0 if it is absent."""
    text = pl.col("features").str.extract(f"(?:^|\x01){code}\x02-?[0-9]+\x03([^\x01]*)")
    return text.cast(pl.Float64, strict=False).fill_null(0.0)


def many(code: str, most: int) -> pl.Expr:
    """Return at most `most` features of the field, that with the largest value last; ties by feature."""
    feature = pl.element().str.extract("\x02(-?[0-9]+)\x03").cast(pl.Int64, strict=False)
    ordered = feature.sort_by(_value_of_entry(), feature, nulls_last=False)
    return _entries(code).list.eval(ordered.drop_nulls().tail(most))


def largest(code: str) -> pl.Expr:
    """Return the largest value of the field, 0 if it is absent."""
    return _entries(code).list.eval(_value_of_entry()).list.max().fill_null(0.0)


def repeats(codes: tuple[str, ...]) -> pl.Expr:
    """Return whether one of these fields occurs more than once."""
    there = pl.col("features").str.count_matches(f"(?:^|\x01)(?:{'|'.join(codes)})\x02")
    return there > pl.sum_horizontal(single(code).is_not_null() for code in codes)


def miscounted() -> pl.Expr:
    """Return whether the row's stated `number` of features is wrong."""
    return pl.col("features").str.count_matches("\x03", literal=True) != pl.col("number")


def _entries(code: str) -> pl.Expr:
    return pl.col("features").str.extract_all(f"(?:^|\x01){code}\x02[^\x01]*")


def _value_of_entry() -> pl.Expr:
    return pl.element().str.extract("\x03(.*)$").cast(pl.Float64, strict=False)
