"""The shop: a simulated log with known truth, in the format of Taobao's UserBehavior.

Users, items and categories have latent vectors. For user u, item v and behaviour k the log-odds are

    logit_k = b_k + <u_k, v>,    u_k = rho_k u_0 + sqrt(1 - rho_k^2) u_k'

so rho_k says how alike the tastes behind behaviour k and behind page views are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

BEHAVIOURS = ("pv", "cart", "fav", "buy")
TASKS = ("view", "cart", "fav", "buy")
DAYS = 9
TRAIN_DAYS = range(1, 6)
"""26 to 30 November, counted from the first day of the window."""
START = 1511539200
"""2017-11-25 00:00 in UTC+8, in Unix seconds."""
DAY_SECONDS = 86_400

HOURLY = np.array([3, 2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 9, 11, 12, 12, 8], dtype=float)
"""Relative traffic by hour: quiet at night, busiest after supper."""
DAILY = np.array([1, 1, 1, 1, 1, 1, 1, 1.3, 1.3])
"""Relative traffic by day: the last two bring a third more, as in UserBehavior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopSettings:
    """The knobs of the simulated shop; `negatives` is of the recipe that reads it.

    Attributes:
        users, items, categories: how many there are.
        negatives: sampled negatives a positive.
        seed: of everything random.
        events_per_day: mean events of a user on a day; users differ by a gamma factor.
        rate_cart, rate_fav, rate_buy: shares of all events; the rest are page views.
        rho_cart, rho_fav, rho_buy: relation of that behaviour's taste to the taste behind page views.
        taste: standard deviation of <u_k, v>, so how far taste outweighs popularity.
        dimensions: of the latent vectors.
        category_share: share of an item vector's variance that its category explains.
        zipf: popularity of the r-th item is r^-zipf.
        label_noise: share of events that follow popularity alone.
        opposite_share: share of users (those with the lowest ids) whose relation has the other sign.
        labels: free (each behaviour draws its own items) or funnel (the others follow a page view).
    """

    users: int = 500
    negatives: int = 4
    seed: int = 0
    items: int = 1500
    categories: int = 30
    events_per_day: float = 16.0
    rate_cart: float = 0.10
    rate_fav: float = 0.06
    rate_buy: float = 0.04
    rho_cart: float = 0.0
    rho_fav: float = 1.0
    rho_buy: float = 1.0
    taste: float = 2.0
    dimensions: int = 3
    category_share: float = 0.3
    zipf: float = 0.6
    label_noise: float = 0.0
    opposite_share: float = 0.0
    labels: Literal["free", "funnel"] = "free"

    def __post_init__(self) -> None:
        """Refuse values that make no shop."""
        least = {"users": 2, "items": 2, "categories": 1, "negatives": 1, "dimensions": 1, "seed": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} = {getattr(self, name)}; must be at least {low}.")
        for name in ("events_per_day", "rate_cart", "rate_fav", "rate_buy"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}; must be above 0.")
        for name in ("category_share", "label_noise", "opposite_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}; must lie in [0, 1].")
        for name in ("rho_cart", "rho_fav", "rho_buy"):
            if not -1 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}; must lie in [-1, 1].")
        for name in ("taste", "zipf"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} = {getattr(self, name)}; must be at least 0.")
        if self.rates[0] <= 0:
            raise ValueError(f"rate_cart + rate_fav + rate_buy = {1 - self.rates[0]:g}; must be below 1.")

    @property
    def rates(self) -> tuple[float, float, float, float]:
        """Share of each behaviour among the events, in the order of BEHAVIOURS."""
        return (
            1 - self.rate_cart - self.rate_fav - self.rate_buy,
            self.rate_cart,
            self.rate_fav,
            self.rate_buy,
        )

    @property
    def rhos(self) -> tuple[float, float, float, float]:
        """Relation of each behaviour's taste to that of page views, in the order of BEHAVIOURS."""
        return 1.0, self.rho_cart, self.rho_fav, self.rho_buy


def simulate(settings: ShopSettings, path: Path) -> dict[str, str]:
    """Write the log to `path` as UserBehavior's CSV, and return what sharing was planted to do to each task.

    Rows are in order of time. Deterministic in the settings.
    """
    log = events(settings)
    log.write_csv(path, include_header=False)
    return truth(settings)


def truth(settings: ShopSettings) -> dict[str, str]:
    """What sharing does to each task, by the knobs: "helps", "harms" or "none"."""
    return {"view": "none", "cart": "harms", "fav": "helps", "buy": "helps"}


def events(settings: ShopSettings) -> pl.DataFrame:
    """The log as a frame: user, item, category (ids from 1), behaviour, time in Unix seconds."""
    generator = np.random.default_rng(settings.seed)
    category = generator.integers(settings.categories, size=settings.items)
    rank = generator.permutation(settings.items) + 1.0
    popularity = np.exp(-settings.zipf * np.log(rank))
    tastes = logits(settings, category, generator)

    user, seconds = visits(settings, generator)
    behaviour = generator.choice(len(BEHAVIOURS), size=len(user), p=settings.rates)
    item = np.empty_like(user)
    for k in range(len(BEHAVIOURS)):
        rows = np.flatnonzero(behaviour == k)
        item[rows] = choose(user[rows], chances(tastes[k], popularity, settings.label_noise), generator)
    return pl.DataFrame(
        {
            "user": user + 1,
            "item": item + 1,
            "category": category[item] + 1,
            "behaviour": np.array(BEHAVIOURS)[behaviour],
            "time": seconds + START,
        }
    ).sort("time", "user", "item", "behaviour")


def logits(
    settings: ShopSettings, category: NDArray[np.int64], generator: np.random.Generator
) -> list[NDArray[np.float64]]:
    """<u_k, v> for each behaviour, user and item, with standard deviation `taste`."""
    size, share = settings.dimensions, settings.category_share
    of_category = generator.normal(size=(settings.categories, size))[category]
    items = np.sqrt(share) * of_category + np.sqrt(1 - share) * generator.normal(size=(settings.items, size))
    common = generator.normal(size=(settings.users, size))
    sign = np.where(np.arange(settings.users) < settings.opposite_share * settings.users, -1.0, 1.0)[:, None]
    rows = []
    for k, rho in enumerate(settings.rhos):
        own = generator.normal(size=common.shape)
        users = (sign if k else 1.0) * rho * common + np.sqrt(1 - rho**2) * own
        rows.append(settings.taste / size**0.5 * users @ items.T)
    return rows


def visits(
    settings: ShopSettings, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """User and second of each event; every user has one on a train day."""
    activity = settings.events_per_day * generator.gamma(4.0, 1 / 4.0, size=settings.users)
    counts = generator.poisson(activity[:, None] * DAILY)
    idle = np.flatnonzero(counts[:, TRAIN_DAYS].sum(axis=1) == 0)
    counts[idle, generator.choice(TRAIN_DAYS, size=len(idle))] = 1
    user, day = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), DAYS)
    hour = generator.choice(24, size=len(user), p=HOURLY / HOURLY.sum())
    return user, day * DAY_SECONDS + hour * 3600 + generator.integers(3600, size=len(user))


def chances(logit: NDArray[np.float64], popularity: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """Each user's distribution over the items, (users, items)."""
    weight = popularity * np.exp(logit - logit.max(axis=1, keepdims=True))
    chosen = weight / weight.sum(axis=1, keepdims=True)
    mixed: NDArray[np.float64] = (1 - noise) * chosen + noise * popularity / popularity.sum()
    return mixed


def choose(
    user: NDArray[np.int64], chance: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """One item for each entry of `user`, drawn from that user's row of `chance`."""
    items = chance.shape[1]
    steps = np.cumsum(chance, axis=1)
    steps /= steps[:, -1:]
    line = (steps + np.arange(len(steps))[:, None]).ravel()  # the users' distribution functions end to end
    position = np.searchsorted(line, user + generator.random(len(user)), side="right") - user * items
    chosen: NDArray[np.int64] = np.minimum(position, items - 1)
    return chosen
