"""Features of the past: impressions and clicks of a user, an ad, a category on the days before.

Computed day by day, so that a row knows only strictly earlier days, of all users, sampled or not.
"""

import polars as pl

ENTITIES = {"user": "user", "adgroup": "item", "cate": "category"}
"""Columns whose impressions are counted -> the entity that each describes."""
SMOOTHING = 20.0
"""Weight of the overall rate in a rate, in impressions."""


class Past:
    """Impressions and clicks up to the last closed day; in memory, one row per entity."""

    def __init__(self) -> None:
        counts = {"shown": pl.Int64, "clicked": pl.Int64}
        self._counts = {entity: pl.DataFrame(schema={entity: pl.Int64, **counts}) for entity in ENTITIES}
        self._shown = self._clicked = 0

    def features(self, rows: pl.LazyFrame, day: int) -> pl.LazyFrame:
        """Add, for each entity, `shown` and `clicked` per day (logarithms) and the click `rate`.

        The rate is smoothed towards that of all earlier impressions; null if the entity has none.
        """
        overall = self._clicked / self._shown if self._shown else 0.0
        for entity in ENTITIES:
            names = {name: f"{entity}_{name}" for name in ("shown", "clicked")}
            counts = self._counts[entity].lazy().rename(names)
            shown, clicked = (pl.col(name).fill_null(0) for name in names.values())
            rows = rows.join(counts, on=entity, how="left", maintain_order="left").with_columns(
                (shown / max(day, 1)).log1p().alias(f"{entity}_shown"),
                (clicked / max(day, 1)).log1p().alias(f"{entity}_clicked"),
                pl.when(shown > 0)
                .then((clicked + SMOOTHING * overall) / (shown + SMOOTHING))
                .alias(f"{entity}_rate"),
            )
        return rows

    def close(self, rows: pl.LazyFrame) -> None:
        """Count the impressions and clicks (`clk`) of a finished day."""
        for entity in ENTITIES:
            today = rows.filter(pl.col(entity).is_not_null()).group_by(entity)
            counts = today.agg(shown=pl.len().cast(pl.Int64), clicked=pl.col("clk").sum().cast(pl.Int64))
            together = pl.concat([self._counts[entity].lazy(), counts]).group_by(entity)
            self._counts[entity] = together.agg(pl.col("shown", "clicked").sum()).collect(engine="streaming")
        day = rows.select(shown=pl.len(), clicked=pl.col("clk").sum()).collect(engine="streaming").row(0)
        self._shown, self._clicked = self._shown + int(day[0]), self._clicked + int(day[1])
