"""From a raw log to the matrices of train, validation and test."""

import errno
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.hashing import splitmix64
from mtlbench.data.matrix import blocks, size_bytes
from mtlbench.data.recipe import Built, Reporting
from mtlbench.data.userbehavior.exposures import (
    Exposures,
    Pool,
    TooFewItems,
    draw,
    exposures,
    positives,
)
from mtlbench.data.userbehavior.features import Features, Histories, Past, absent, features, fields, novelty
from mtlbench.data.userbehavior.log import Events, Log
from mtlbench.data.userbehavior.matrices import SplitWriter, fit_vocabularies
from mtlbench.data.userbehavior.window import Window
from mtlbench.errors import DataError
from mtlbench.load import SPLITS
from mtlbench.schema import Schema, Task

REVISION = 2
THREADS = min(4, os.cpu_count() or 1)
"""Number of threads that compute features, each of one block of rows."""
PARQUET_BYTES = 14
"""Bytes of a row's ids, time and labels in Parquet; twice that while the parts are joined."""


def build(
    log: Log,
    *,
    users: int | Literal["all"],
    negatives: int,
    seed: int,
    work: Path,
    out: Path,
    says: Reporting,
    truth: Mapping[str, str] | None = None,
    least_events: int = 1,
) -> Built:
    """Turn a cleaned log into matrices; see `Recipe.build`.

    Args:
        users: number of users to sample; "all", or more than there are, takes all.
        negatives: number of negatives sampled per positive.
        seed: seed of the negatives.
        truth: for simulated logs, the planted effect of sharing on each task.
        least_events: fewest events on train days of a user who may be sampled.

    Raises:
        DataError: the log is too small for these settings.
    """
    window = log.window
    sampled = sample_users(log, users, says, least_events)
    history = []
    for day in range(window.days):
        says.progress("choose", day, window.days)
        events = log.day(day)
        history.append(events.where(sampled[events.user]))
    says.progress("choose", window.days, window.days)
    split_days = sorted(day for days in window.splits.values() for day in days)
    touched = {day: positives(history[day], len(log.items), window) for day in split_days}
    rows = (1 + negatives) * sum(len(one.user) for one in touched.values())
    check_space(log, rows, 1 + negatives, work, says)

    quirks = Counter(positives_with_too_small_category=0)
    days: dict[int, Exposures] = {}
    for done, day in enumerate(split_days):
        says.progress("draw", done, len(split_days))
        pool = Pool(log.day(day), log.category)
        try:
            drawn, too_few = draw(log, day, pool, touched[day], negatives, seed)
        except TooFewItems as error:
            raise DataError(f"{error}: {says.command}") from error
        one = touched.pop(day)
        days[day] = exposures(one, drawn)
        quirks["positives_with_too_small_category"] += len(too_few)
        quirks["bought_without_page_view"] += int((one.labels[:, -1].astype(bool) & ~one.viewed).sum())
    says.progress("draw", len(split_days), len(split_days))
    return write(log, days, joined(history), tasks(window, truth or {}), quirks, work, out, says)


def write(
    log: Log,
    days: Mapping[int, Exposures],
    history: Events,
    tasks: tuple[Task, ...],
    quirks: Mapping[str, int],
    work: Path,
    out: Path,
    says: Reporting,
) -> Built:
    """Write exposures and their features.

    Args:
        days: the exposures of every day of every split, their labels in the order of `tasks`.
        history: all events of the sampled users, from `joined`.
        tasks: the tasks, named as in the window.
        quirks: quirks counted while the exposures were made.

    Raises:
        DataError: a task never happens in some split.
    """
    window = log.window
    check_positives(days, window, says.command)
    size = next(iter(days.values())).size
    vocabularies = fit_vocabularies(log, [days[day] for day in window.splits["train"]])
    schema = Schema(fields=fields(window, grouped=size > 1), tasks=tasks, cluster="user", time="time")
    rows = {split: sum(len(days[day]) for day in window.splits[split]) for split in SPLITS}
    total, done = sum(rows.values()), 0
    histories = Histories(history, log.category, len(log.users), window)
    past = Past(log.category, window)

    def look(part: Exposures) -> Features:
        return features(part, histories, past, log.category, window)

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        writers = {
            split: stack.enter_context(
                SplitWriter(split, schema, rows[split], rows[split] // size, log, vocabularies, work, out)
            )
            for split in SPLITS
        }
        for day in range(window.days):
            for split in (s for s in SPLITS if day in window.splits[s]):
                parts = (days[day].part(groups) for groups in blocks(days[day].groups, size))
                for part, known in _ahead(pool, look, parts):
                    writers[split].write(part, known)
                    done += len(part)
                    says.progress("features", done, total)
            past.close(log.day(day))
    return Built(
        schema=schema,
        vocabularies={name: vocabulary.size for name, vocabulary in vocabularies.items()},
        rows=rows,
        quirks={**log.quirks, **quirks},
        absent=absent(window),
        novelty=novelty(window),
        periods={split: window.between(days) for split, days in window.splits.items()},
        notes={"malformed_lines": list(log.malformed_lines)},
    )


def tasks(window: Window, truth: Mapping[str, str]) -> tuple[Task, ...]:
    """Return the tasks; all but the first are also scored on the rows where the first happened."""
    first = window.tasks[0]
    return tuple(
        Task(name=name, given="" if name == first else first, truth=truth.get(name, ""))  # type: ignore[arg-type]
        for name in window.tasks
    )


def sample_users(
    log: Log, users: int | Literal["all"], says: Reporting, least_events: int = 1
) -> NDArray[np.bool_]:
    """Return a mask over user codes: the `users` smallest hashes among those with enough train-day events."""
    _report_reading(log, says)
    train, counts = log.window.splits["train"], np.zeros(len(log.users), np.int64)
    for day in train:
        counts += np.bincount(log.day(day).user, minlength=len(log.users))
    codes = np.flatnonzero(counts >= least_events)
    enough = "an event" if least_events == 1 else f"{least_events} events"
    if not len(codes):
        raise DataError(
            f"No user has {enough} on train days, {log.window.between(train)}, so there is nothing to train "
            f"on. Take a log that covers those days: {says.command}"
        )
    if users != "all":
        codes = codes[np.argsort(splitmix64(log.users[codes]), kind="stable")[:users]]
    mask = np.zeros(len(log.users), bool)
    mask[codes] = True
    says.report(
        f"Users: {len(codes):,} of {len(log.users):,}, chosen among those with {enough} on train days."
    )
    return mask


def check_positives(days: Mapping[int, Exposures], window: Window, command: str) -> None:
    """Raise if a task never happens in a split: no model could be trained or judged."""
    for split, numbers in window.splits.items():
        counts = sum(
            (days[day].labels.sum(axis=0, dtype=np.int64) for day in numbers), np.zeros(len(window.tasks))
        )
        missing = [task for task, count in zip(window.tasks, counts, strict=True) if count == 0]
        if missing:
            raise DataError(
                f"No row of the {split} split is positive for task{'s' * (len(missing) > 1)} "
                f"{', '.join(missing)}, so nothing can be learnt or judged there. Take more users "
                f"(--users N) or a larger log: {command}"
            )


def check_space(log: Log, rows: int, size: int, work: Path, says: Reporting) -> None:
    """Report the disk space that `rows` rows in groups of `size` take; raise if there is not enough.

    Call it before the long work.
    """
    schema = Schema(fields=fields(log.window, size > 1), tasks=tasks(log.window, {}))
    done = size_bytes(schema, rows, rows // size if size > 1 else None) + rows * PARQUET_BYTES
    scratch = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
    need, free = done + rows * PARQUET_BYTES, shutil.disk_usage(work).free
    says.report(
        f"{rows:,} rows: {(need + scratch) / 1e6:,.0f} MB on disk while working, "
        f"{done / 1e6:,.0f} MB when done."
    )
    if need > free:
        raise OSError(
            errno.ENOSPC, f"{rows:,} rows need about {need / 1e6:,.0f} MB, {free / 1e6:,.0f} are free"
        )


def _report_reading(log: Log, says: Reporting) -> None:
    q = log.quirks
    says.report(
        f"Read {q['rows']:,} rows; dropped {q['rows_outside_window']:,} outside {log.window}, "
        f"{q['duplicate_rows']:,} exact duplicates, {q['malformed_rows']:,} malformed; "
        f"{q['items_in_several_categories']:,} items stand under several categories (the earliest counts)."
    )


def joined(days: list[Events]) -> Events:
    """Join the days' events in (user, time, item, behaviour) order."""
    columns = {name: np.concatenate([getattr(d, name) for d in days]) for name in Events.__slots__}
    return Events(**columns).where(np.argsort(columns["user"], kind="stable"))


def _ahead(
    pool: Executor, look: Callable[[Exposures], Features], parts: Iterable[Exposures]
) -> Iterator[tuple[Exposures, Features]]:
    """Yield parts and their features in order; while one is written, the next ones are computed."""
    coming: deque[tuple[Exposures, Future[Features]]] = deque()
    for part in parts:
        coming.append((part, pool.submit(look, part)))
        if len(coming) > THREADS:
            first, future = coming.popleft()
            yield first, future.result()
    for part, future in coming:
        yield part, future.result()
