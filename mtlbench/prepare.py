"""The prepare stage: from a dataset's raw files to matrices that training opens memory-mapped.

A prepared dataset is whole or not there: everything is written into a scratch folder that takes its
place at the end. Asked again for the same thing, the stage does nothing.
"""

import contextlib
import errno
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mtlbench import __version__
from mtlbench.data import DATASETS
from mtlbench.data.card import read_card
from mtlbench.data.guards import check
from mtlbench.data.recipe import Built, Progress, Raw, Recipe, Reporting
from mtlbench.data.source import check_file, describe, same
from mtlbench.errors import DataError, UsageError, unknown
from mtlbench.home import Home, atomic_folder, write_json
from mtlbench.load import FORMAT, MATRICES, SPLITS, Prepared, open_prepared
from mtlbench.registry import lookup

BLOCK = 100_000
"""Rows that are scaled or counted at a time."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def prepare(
    home: Home,
    dataset: str,
    *,
    source: Path | None = None,
    options: Mapping[str, object] | None = None,
    force: bool = False,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda stage, done, total: None,
) -> Prepared:
    """Prepare a dataset, or open what is there already when it is the same.

    Args:
        home: where `datasets/` lies.
        dataset: a name in DATASETS.
        source: the raw file; else the newest in the raw folder; else it is downloaded, or simulated.
        options: what the user chose among the dataset's settings; values may be strings.
        force: replace what was prepared otherwise.
        name: prepare under this name instead of the dataset's.
        report: takes lines for people.
        progress: takes (stage, done, total); total is 0 where nobody knows.

    Raises:
        UsageError: no such dataset or option, a bad value, or another set is prepared under that name.
        DataError: the raw data are missing, damaged or too small; nothing is left behind.
    """
    recipe: Recipe = lookup(DATASETS, dataset, "dataset").load()
    settings = _settings(recipe, dataset, options or {})
    name = _checked_name(dataset, name)
    command = f"mtlbench prepare {dataset} " + ("--users N" if recipe.simulated else "--source FILE")
    says = Reporting(command, report, progress)
    if source is not None:
        if recipe.simulated:
            raise UsageError(f"Dataset {dataset!r} is simulated: it reads no --source. Leave it out.")
        check_file(source, command)
    card = read_card(dataset)
    raw = recipe.find(home, card, source)
    if not force and (there := _same_as_there(home, name, dataset, recipe, settings, raw, says)):
        return there

    started = time.monotonic()
    target = home.prepared(name)
    with _nothing_left(target.parent) as work, atomic_folder(target) as out, _plain_words(target):
        found = Raw(raw) if raw else recipe.fetch(home, card, settings, work, says)
        sources = [describe(found.path, says)]
        built = recipe.build(found, settings, work, out, says)
        guards = check(built, out, card, report)
        for split in SPLITS:
            if split == "train":
                mean, deviation = moments(built.numeric[split])
            scale(built.numeric[split], out / split / "numeric.npy", mean, deviation)
            progress("scale", SPLITS.index(split) + 1, len(SPLITS))
        splits = {split: _counts(out / split, built) for split in SPLITS}
        plain = _plain(settings)
        write_json(
            out / "manifest.json",
            {
                "format": FORMAT,
                "dataset": name,
                "recipe": dataset,
                "fingerprint": fingerprint(built, plain, out),
                "simulated": recipe.simulated,
                "schema": built.schema.to_json(),
                "vocabularies": dict(built.vocabularies),
                "splits": splits,
                "quirks": dict(built.quirks),
                **built.notes,
                "guards": guards,
                "settings": plain,
                "sources": sources,
                "revision": recipe.revision,
                "version": __version__,
                "prepared_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - started, 1),
            },
        )
    prepared = open_prepared(home, name)
    report(
        f"Prepared {home.relative(target)}: "
        + ", ".join(f"{split} {splits[split]['rows']:,} rows" for split in SPLITS)
        + f", in {prepared.manifest['seconds']:.0f} s."
    )
    return prepared


def summary(prepared: Prepared) -> dict[str, Any]:
    """What `prepare --json` prints; `path` is relative to the home."""
    manifest = prepared.manifest
    home = prepared.path.parents[2]
    return {
        "dataset": prepared.name,
        "fingerprint": prepared.fingerprint,
        "path": prepared.path.relative_to(home).as_posix(),
        "simulated": prepared.simulated,
        "splits": manifest["splits"],
        "quirks": manifest["quirks"],
    }


def fingerprint(built: Built, settings: Mapping[str, Any], out: Path) -> str:
    """sha256 over schema, settings and matrix contents; not over names, times, paths or versions."""
    digest = hashlib.sha256()
    document = {
        "schema": built.schema.to_json(),
        "vocabularies": dict(built.vocabularies),
        "settings": settings,
    }
    digest.update(json.dumps(document, sort_keys=True).encode())
    for split in SPLITS:
        for matrix in MATRICES:
            values = np.load(out / split / f"{matrix}.npy", mmap_mode="r")
            digest.update(f"{split}/{matrix} {values.dtype.str} {values.shape}".encode())
            for start in range(0, len(values), BLOCK):
                digest.update(np.ascontiguousarray(values[start : start + BLOCK]).data)
    return digest.hexdigest()


def moments(matrix: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, block by block in double precision."""
    values = np.load(matrix, mmap_mode="r")
    blocks = [slice(start, start + BLOCK) for start in range(0, len(values), BLOCK)]
    mean = sum(values[b].sum(axis=0, dtype=np.float64) for b in blocks) / len(values)
    square = sum(((values[b] - mean) ** 2).sum(axis=0, dtype=np.float64) for b in blocks) / len(values)
    return mean, np.sqrt(square)


def scale(raw: Path, target: Path, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Write (value - mean) / deviation; a column that is constant on train becomes zero there."""
    from mtlbench.data.userbehavior.matrices import Matrix

    values = np.load(raw, mmap_mode="r")
    matrix = Matrix(target, values.shape, np.float32)
    divisor = np.where(deviation > 0, deviation, 1.0)
    for start in range(0, len(values), BLOCK):
        matrix.write(((values[start : start + BLOCK] - mean) / divisor).astype(np.float32))
    matrix.close()


def _settings(recipe: Recipe, dataset: str, options: Mapping[str, object]) -> Any:
    """The options as the recipe's settings."""
    known = [f.name for f in fields(recipe.Settings)]
    for option in options:
        if option not in known:
            raise unknown(f"option of dataset {dataset!r}", option, known)
    try:
        return TypeAdapter(recipe.Settings).validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]) if first["loc"] else ""
        given = f"{option} = {options[option]!r}: " if option in options else ""
        raise UsageError(f"Dataset {dataset!r}: {given}{first['msg']}.") from error


def _plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON reads them back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain


def _checked_name(dataset: str, name: str | None) -> str:
    if name is None or name == dataset:
        return dataset
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--as {name!r} is no name for a dataset: letters, digits, '_', '-' and '.', at most 64, "
            f"not starting with a sign. For example: --as {dataset}-2"
        )
    if name in DATASETS:
        raise UsageError(f"--as {name!r} is the name of another dataset. For example: --as {dataset}-2")
    return name


def _same_as_there(
    home: Home, name: str, dataset: str, recipe: Recipe, settings: Any, raw: Path | None, says: Reporting
) -> Prepared | None:
    """What is prepared under that name when it is what is asked for; None when nothing is.

    Raises:
        UsageError: something else is.
    """
    if not (home.prepared(name) / "manifest.json").exists():
        return None
    there = open_prepared(home, name)
    manifest, asked = there.manifest, _plain(settings)
    differences = [
        f"{key} {manifest['settings'].get(key)!r} (asked: {value!r})"
        for key, value in asked.items()
        if manifest["settings"].get(key) != value
    ]
    if manifest["recipe"] != dataset:
        differences = [f"dataset {manifest['recipe']!r} (asked: {dataset!r})"]
    elif raw is not None and not same(raw, manifest["sources"][0], says):
        differences.append(f"source {manifest['sources'][0]['name']} (asked: {raw.name}, other bytes)")
    if manifest["revision"] != recipe.revision:
        differences.append(f"recipe revision {manifest['revision']} (now {recipe.revision})")
    if differences:
        raise UsageError(
            f"{home.relative(there.path)} was prepared with {'; '.join(differences)}. "
            "Replace it with --force, or keep both with --as NAME."
        )
    for split in SPLITS:
        there.open_split(split)  # whole, or DataError
    return there


def _counts(folder: Path, built: Built) -> dict[str, Any]:
    """Rows, clusters, and positives of each binary task of one split."""
    labels = np.load(folder / "labels.npy", mmap_mode="r")
    return {
        "rows": len(labels),
        "clusters": len(np.unique(np.load(folder / "cluster.npy", mmap_mode="r"))),
        "positives": {
            task.name: int((labels[:, at] > 0).sum())
            for at, task in enumerate(built.schema.tasks)
            if task.kind == "binary"
        },
    }


@contextlib.contextmanager
def _nothing_left(folder: Path) -> Iterator[Path]:
    """A scratch folder within `folder`, gone in the end; so is what was made for it and stayed empty."""
    made = [path for path in (folder, folder.parent) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".prepare-", dir=folder) as scratch:
            yield Path(scratch)
    finally:
        with contextlib.suppress(OSError):  # not empty: as it should be
            for path in made:
                path.rmdir()


@contextlib.contextmanager
def _plain_words(target: Path) -> Iterator[None]:
    """Turn what the disk says into a DataError."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
        if full:
            raise DataError(
                f"No space left for {target} ({error}). Nothing was changed. Free some, ask for less "
                "(--users N), or set MTLBENCH_HOME to a folder on a larger disk."
            ) from error
        raise DataError(f"{target} could not be written ({error}). Nothing was changed.") from error
