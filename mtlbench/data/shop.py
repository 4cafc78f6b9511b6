"""The shop: a simulated log with known truth, in the format of Taobao's UserBehavior.

Users and items have latent vectors. The log-odds that behaviour k of user u in hour h falls on item v are

    logit_k = b_k + <u_k, v>,    u_k = rho_k u_0 + sqrt(1 - rho_k^2) u_k'

where u_0 is the taste behind page views, and u_k' the behaviour's own taste, which follows the clock (one
vector per hour, the same for all users) and depends on other properties of the items. rho_k sets how related
the tastes are. The clock's vectors cancel over a day's traffic: they determine when an item sells, not how
much.

The planted effects of sharing, and their mechanisms:

* helps `fav` and `buy` (rho 1): rare, with exactly the taste of the many page views. Alone they have too few
  rows to learn the vectors of users and items; embeddings shared with the views provide them.
* harms `cart` (rho 0): common enough to learn its own taste alone, but unrelated to the rest. When shared,
  one small embedding per item and one small bottom must serve two tastes, and the views' gradient dominates.
  That costs time, not capacity: trained until they stop, shared networks learn both (figures on the card).

Nothing is planted for `view`; it counts carts, so it may move a little.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BEHAVIOURS = ("pv", "cart", "fav", "buy")
DAYS = 9
TRAIN_DAYS = range(1, 6)
"""26 to 30 November, counted from the first day of the window."""
START = 1511539200
"""2017-11-25 00:00 in UTC+8, in Unix seconds."""
DAY_SECONDS = 86_400
HOURLY = np.array([3, 2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 9, 11, 12, 12, 8], dtype=float)
"""Relative traffic by hour: quiet at night, busiest after supper."""
DAILY = np.array([1, 1, 1, 1, 1, 1, 1, 1.3, 1.3])
"""Relative traffic by day: a third more on the last two, as in UserBehavior."""
RECALLED = 8
"""Number of earlier page views among which a follow-up chooses, if labels follow a funnel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopSettings:
    """Settings of the simulated shop; `negatives` is for the recipe that reads the log.

    Attributes:
        users, items, categories: number of each.
        negatives: sampled negatives per positive.
        seed: seed of everything random; the default gives a shop with clear planted effects (see the card).
        events_per_day: mean events per user and day; users differ by a gamma factor.
        rate_cart, rate_fav, rate_buy: shares of all events; the rest are page views.
        rho_cart, rho_fav, rho_buy: relation of that behaviour's taste to the taste behind page views.
        taste: standard deviation of <u_k, v>, which sets how far taste outweighs popularity.
        user_dimensions, hour_dimensions: dimensions of the vectors behind u_0 and behind each u_k'.
        category_share: share of an item vector's variance that its category explains.
        zipf: popularity of the r-th item is r^-zipf.
        label_noise: share of events that follow popularity alone.
        opposite_share: share of users (those with the lowest ids) for whom rho has the other sign.
        labels: free (each behaviour draws its own items) or funnel (the others follow an earlier page view).
    """

    users: int = 600
    negatives: int = 4
    seed: int = 5
    items: int = 250
    categories: int = 30
    events_per_day: float = 6.5
    rate_cart: float = 0.35
    rate_fav: float = 0.05
    rate_buy: float = 0.04
    rho_cart: float = 0.0
    rho_fav: float = 1.0
    rho_buy: float = 1.0
    taste: float = 2.5
    user_dimensions: int = 3
    hour_dimensions: int = 8
    category_share: float = 0.0
    zipf: float = 0.6
    label_noise: float = 0.0
    opposite_share: float = 0.1
    labels: Literal["free", "funnel"] = "free"

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        counts = ("users", "items", "categories", "negatives", "user_dimensions", "hour_dimensions")
        shares = ("category_share", "label_noise", "opposite_share")
        bounds = dict.fromkeys(counts, (1.0, np.inf)) | dict.fromkeys(shares, (0.0, 1.0))
        bounds |= {"seed": (0, np.inf), "taste": (0, 100), "zipf": (0, 10), "events_per_day": (0.1, 10_000)}
        for behaviour in BEHAVIOURS[1:]:
            bounds |= {f"rate_{behaviour}": (1e-6, 1), f"rho_{behaviour}": (-1, 1)}
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                above = f" and at most {high:g}" if high < np.inf else ""
                raise ValueError(f"{name} = {value}; must be at least {low:g}{above}.")
        if self.rates[0] <= 0:
            raise ValueError(f"rate_cart + rate_fav + rate_buy = {1 - self.rates[0]:g}; must be below 1.")

    @property
    def rates(self) -> tuple[float, ...]:
        """Share of each behaviour among the events, in the order of BEHAVIOURS."""
        others = (self.rate_cart, self.rate_fav, self.rate_buy)
        return (1 - sum(others), *others)

    @property
    def rhos(self) -> tuple[float, ...]:
        """Relation of each behaviour's taste to that of page views, in the order of BEHAVIOURS."""
        return (1.0, self.rho_cart, self.rho_fav, self.rho_buy)


def simulate(settings: ShopSettings, path: Path) -> dict[str, str]:
    """Write the log to `path` in UserBehavior's CSV format; return sharing's planted effect on each task."""
    events(settings).write_csv(path, include_header=False)
    return truth(settings)


def truth(settings: ShopSettings) -> dict[str, str]:
    """Return the planted effect per task, "helps", "harms" or "none", as it follows from the settings.

    The bounds enclose the settings that were tried; between them an effect may exist that was not planted.
    """
    taste = settings.taste > 0 and settings.label_noise < 0.5 and settings.opposite_share < 0.25
    planted = {"view": "none"}
    for task, rho, rate in zip(BEHAVIOURS[1:], settings.rhos[1:], settings.rates[1:], strict=True):
        helps = taste and rho >= 0.9 and rate <= 0.1
        harms = taste and abs(rho) <= 0.1 and rate >= 0.1 and settings.labels == "free"
        planted[task] = "helps" if helps else "harms" if harms else "none"
    return planted


def events(settings: ShopSettings) -> pl.DataFrame:
    """Simulate the log, in order of time: user, item, category (ids from 1), behaviour, Unix seconds."""
    generator = np.random.default_rng(settings.seed)
    category = generator.integers(settings.categories, size=settings.items)
    popularity = np.exp(-settings.zipf * np.log(generator.permutation(settings.items) + 1.0))
    by_user, by_hour = tastes(settings, category, generator)

    user, seconds = visits(settings, generator)
    hour = seconds % DAY_SECONDS // 3600
    behaviour = generator.choice(len(BEHAVIOURS), size=len(user), p=settings.rates)
    item = np.empty_like(user)
    for k, h in product(range(len(BEHAVIOURS)), range(24)):
        rows = np.flatnonzero((behaviour == k) & (hour == h))
        chance = chances(by_user[k] + by_hour[k][h], popularity, settings.label_noise)
        item[rows] = choose(user[rows], chance, generator)
    if settings.labels == "funnel":
        behaviour, rows, recalled = follow(user, behaviour, generator)
        kind, seen = behaviour[rows, None], item[recalled]  # (follow-ups, 1), (follow-ups, RECALLED)
        logit = (
            np.stack(by_user)[kind, user[rows, None], seen] + np.stack(by_hour)[kind, hour[rows, None], seen]
        )
        best = np.argmax(logit + generator.gumbel(size=logit.shape), axis=1)
        item[rows] = seen[np.arange(len(rows)), best]
    return pl.DataFrame(
        {
            "user": user + 1,
            "item": item + 1,
            "category": category[item] + 1,
            "behaviour": np.array(BEHAVIOURS)[behaviour],
            "time": seconds + START,
        }
    ).sort("time", "user", "item", "behaviour")


def tastes(
    settings: ShopSettings, category: Ints, generator: np.random.Generator
) -> tuple[list[Floats], list[Floats]]:
    """Draw <u_k, v> of each behaviour: the user's part, (users, items), and the hour's, (24, items)."""

    def affinity(count: int, size: int) -> Floats:
        """Draw <u, v> of `count` random u with every item, with standard deviation `taste`."""
        share = settings.category_share
        items = np.sqrt(share) * generator.normal(size=(settings.categories, size))[category]
        items += np.sqrt(1 - share) * generator.normal(size=(settings.items, size))
        scores: Floats = settings.taste / size**0.5 * generator.normal(size=(count, size)) @ items.T
        return scores

    def by_clock() -> Floats:
        """Draw affinities for the 24 hours; over a day's traffic no item gains by them."""
        scores = affinity(24, settings.hour_dimensions)
        centred: Floats = scores - np.log(np.average(np.exp(scores), axis=0, weights=HOURLY))
        return centred

    common = affinity(settings.users, settings.user_dimensions)
    opposite = np.arange(settings.users) < settings.opposite_share * settings.users
    sign = np.where(opposite, -1.0, 1.0)[:, None]
    by_user, by_hour = [common], [np.zeros((24, settings.items))]
    for rho in settings.rhos[1:]:
        by_user.append(rho * sign * common)
        by_hour.append(np.sqrt(1 - rho**2) * by_clock())
    return by_user, by_hour


def visits(settings: ShopSettings, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw user and second of each event, by user and time; every user has at least one on a train day."""
    activity = settings.events_per_day * generator.gamma(4.0, 1 / 4.0, size=settings.users)
    counts = generator.poisson(activity[:, None] * DAILY)
    idle = np.flatnonzero(counts[:, TRAIN_DAYS].sum(axis=1) == 0)
    counts[idle, generator.choice(TRAIN_DAYS, size=len(idle))] = 1
    user, day = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), DAYS)
    hour = generator.choice(24, size=len(user), p=HOURLY / HOURLY.sum())
    seconds = day * DAY_SECONDS + hour * 3600 + generator.integers(3600, size=len(user))
    order = np.lexsort((seconds, user))
    return user[order], seconds[order]


def follow(user: Ints, behaviour: Ints, generator: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Draw the page views that the other behaviours follow, in a funnel; rows are in order of user and time.

    Returns:
        The behaviours, changed to page views if no page view comes before; the rows of the follow-ups; and
        for each of these the rows of RECALLED earlier page views of its user, with repeats.
    """
    views = np.flatnonzero(behaviour == 0)
    before = np.searchsorted(views, np.arange(len(user)))  # page views before each row, of all users
    first = np.searchsorted(views, np.searchsorted(user, user))  # and before its user's first row
    known = before > first
    rows = np.flatnonzero((behaviour > 0) & known)
    low, high = first[rows, None], before[rows, None]
    recalled = views[generator.integers(low, high, size=(len(rows), RECALLED))]
    return np.where(known, behaviour, 0), rows, recalled


def chances(logit: Floats, popularity: Floats, noise: float) -> Floats:
    """Compute each user's distribution over the items, (users, items)."""
    weight = popularity * np.exp(logit - logit.max(axis=1, keepdims=True))
    chosen = weight / weight.sum(axis=1, keepdims=True)
    mixed: Floats = (1 - noise) * chosen + noise * popularity / popularity.sum()
    return mixed


def choose(user: Ints, chance: Floats, generator: np.random.Generator) -> Ints:
    """Draw an item for each entry of `user` from that user's row of `chance`."""
    items = chance.shape[1]
    steps = np.cumsum(chance, axis=1)
    steps /= steps[:, -1:]
    line = (steps + np.arange(len(steps))[:, None]).ravel()  # the users' distribution functions end to end
    position = np.searchsorted(line, user + generator.random(len(user)), side="right") - user * items
    chosen: Ints = np.clip(position, 0, items - 1)
    return chosen
