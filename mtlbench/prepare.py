"""The prepare stage: from a dataset's raw files to matrices that training opens memory-mapped.

A prepared dataset is complete or absent: everything is written into a scratch folder, which is renamed at
the end. Asked again for the same data, the stage does nothing.
"""

import contextlib
import errno
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mtlbench import __version__
from mtlbench.data import DATASETS
from mtlbench.data.card import Card, read_card
from mtlbench.data.describe import describe_fields
from mtlbench.data.guards import check
from mtlbench.data.matrix import blocks
from mtlbench.data.recipe import Built, Progress, Raw, Recipe, Reporting
from mtlbench.data.scaling import scale_all, with_units
from mtlbench.data.source import describe, given_files, same
from mtlbench.data.volume import PREFIX
from mtlbench.errors import DataError, UsageError, unknown
from mtlbench.files import alone_in, atomic_folder, write_json
from mtlbench.home import Home
from mtlbench.load import FORMAT, GROUP, MATRICES, SPLITS, Prepared, open_matrix, open_prepared
from mtlbench.provenance import now
from mtlbench.registry import lookup

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def prepare(
    home: Home,
    dataset: str,
    *,
    source: Sequence[Path] = (),
    options: Mapping[str, object] | None = None,
    force: bool = False,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda stage, done, total: None,
) -> Prepared:
    """Prepare a dataset, or open it if it is already prepared in the same way.

    Args:
        home: where `datasets/` is.
        dataset: a name in DATASETS.
        source: raw files, or folders of them. Without any, the raw folder's files are used, else they are
            downloaded or simulated.
        options: settings of the dataset that the user chose; values may be strings.
        force: prepare anew, replacing what is prepared under that name.
        name: prepare under this name instead of the dataset's.
        report: receives lines for people.
        progress: receives (stage, done, total); total is 0 if unknown.

    Raises:
        UsageError: no such dataset or option, a bad value, or other data are prepared under that name.
        DataError: the raw data are missing, damaged or too small; nothing is left behind.
    """
    recipe: Recipe = lookup(DATASETS, dataset, "dataset").load()
    command = f"mtlbench prepare {dataset}"
    again = f"{command} " + ("--set KNOB=VALUE" if recipe.simulated else "--source FILE")
    if source and recipe.simulated:
        raise UsageError(f"Dataset {dataset!r} is simulated: it reads no --source. Leave it out.")
    job = Job(
        name=_checked_name(dataset, name),
        of=dataset,
        recipe=recipe,
        settings=_settings(recipe, dataset, options or {}),
        card=read_card(dataset),
        command=command,
    )
    return _prepare(home, job, given_files(source, again), force, Reporting(again, report, progress))


def prepare_own(
    home: Home,
    path: Path,
    *,
    force: bool = False,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda stage, done, total: None,
) -> Prepared:
    """Prepare the user's own table that the card at `path` describes; other arguments as in `prepare`.

    Raises:
        UsageError: the card is invalid.
        DataError: the files are missing, damaged or too small; nothing is left behind.
    """
    from mtlbench.data.own.recipe import OwnTable

    recipe = OwnTable(path)
    command = f"mtlbench prepare --card {path}"
    job = Job(
        name=_checked_name("", name or recipe.own.name),
        of="card",
        recipe=recipe,
        settings=recipe.own,
        card=recipe.card,
        command=command,
    )
    return _prepare(home, job, (), force, Reporting(command, report, progress))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to prepare: name, recipe and settings, and the `command` that repeats it."""

    name: str
    of: str
    recipe: Recipe
    settings: Any
    card: Card
    command: str


def _prepare(home: Home, job: Job, given: Sequence[Path], force: bool, says: Reporting) -> Prepared:
    if set("*?[]{}") & set(str(home.root)):
        raise UsageError(
            f"{home.root}: a folder with any of * ? [ ] {{ }} in its name would be read as a pattern. Choose "
            "another by MTLBENCH_HOME."
        )
    recipe, settings, progress = job.recipe, job.settings, says.progress
    raw = recipe.find(home, job.card, settings, given)
    if not force and (there := _same_as_there(home, job, raw, says)):
        return there

    started = time.monotonic()
    target = home.prepared(job.name)
    with _nothing_left(target.parent) as work, atomic_folder(target) as out, _plain_words(target):
        found = Raw(raw) if raw else recipe.fetch(home, job.card, settings, work, says)
        sources = [describe(file, says) for file in found.files]
        built = recipe.build(found, settings, work, out, says)
        built = replace(built, schema=with_units(built.schema, out))
        guards = check(built, out, job.card, says.report)
        described = describe_fields(built, out, guards)
        scaling = scale_all(built.schema, out, progress)
        splits = {split: _counts(out / split, built) for split in SPLITS}
        plain = _plain(settings)
        write_json(
            out / "manifest.json",
            {
                "format": FORMAT,
                "dataset": job.name,
                "recipe": job.of,
                "command": job.command,
                "fingerprint": fingerprint(built, plain, out),
                "simulated": recipe.simulated or any(file.name.startswith(PREFIX) for file in found.files),
                "schema": built.schema.to_json(),
                "vocabularies": dict(built.vocabularies),
                "scaling": scaling,
                "splits": splits,
                "quirks": dict(built.quirks),
                **built.notes,
                "guards": guards,
                "fields": described,
                "periods": dict(built.periods),
                "settings": plain,
                "sources": sources,
                "revision": recipe.revision,
                "version": __version__,
                "prepared_at": now(),
                "seconds": round(time.monotonic() - started, 1),
            },
        )
    prepared = open_prepared(home, job.name)
    says.report(
        f"Prepared {home.relative(target)}: "
        + ", ".join(f"{split} {splits[split]['rows']:,} rows" for split in SPLITS)
        + f", in {prepared.manifest['seconds']:.0f} s."
    )
    return prepared


def summary(prepared: Prepared) -> dict[str, Any]:
    """Return the document of `prepare --json`; its `path` is relative to the home."""
    manifest = prepared.manifest
    home = prepared.path.parents[2]
    return {
        "dataset": prepared.name,
        "fingerprint": prepared.fingerprint,
        "path": prepared.path.relative_to(home).as_posix(),
        "simulated": prepared.simulated,
        "cluster": prepared.schema.cluster,
        "splits": manifest["splits"],
        "periods": manifest.get("periods", {}),
        "quirks": manifest["quirks"],
    }


def fingerprint(built: Built, settings: Mapping[str, Any], out: Path) -> str:
    """Return the sha256 of schema, settings and matrix contents; not of names, times, paths or versions."""
    digest = hashlib.sha256()
    document = {
        "schema": built.schema.to_json(),
        "vocabularies": dict(built.vocabularies),
        "settings": settings,
    }
    digest.update(json.dumps(document, sort_keys=True).encode())
    names = (*MATRICES, GROUP) if built.schema.grouped else tuple(MATRICES)
    for split in SPLITS:
        for matrix in names:
            values = open_matrix(out / split / f"{matrix}.npy")
            digest.update(f"{split}/{matrix} {values.dtype.str} {values.shape}".encode())
            for rows in blocks(len(values)):
                digest.update(np.ascontiguousarray(values[rows]).data)
    return digest.hexdigest()


def _settings(recipe: Recipe, dataset: str, options: Mapping[str, object]) -> Any:
    """Return the recipe's settings with these options."""
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
        said = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise UsageError(f"Dataset {dataset!r}: {given}{said}.") from error


def _plain(settings: Any) -> dict[str, Any]:
    """Return the settings as JSON reads them back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain


def _checked_name(dataset: str, name: str | None) -> str:
    if name is None or name == dataset:
        return dataset
    instead = f"For example: --as {dataset or 'my-shop'}-2"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a dataset: letters, digits, '_', '-' and '.', at most 64, not starting "
            f"with a sign. {instead}"
        )
    if name in DATASETS:
        raise UsageError(f"{name!r} is the name of another dataset. {instead}")
    return name


def _same_as_there(home: Home, job: Job, raw: Sequence[Path], says: Reporting) -> Prepared | None:
    """Return the dataset prepared under that name if it is the one asked for; None if there is none.

    Raises:
        UsageError: other data, or other settings, are prepared under that name.
    """
    if not (home.prepared(job.name) / "manifest.json").exists():
        return None
    there = open_prepared(home, job.name)
    manifest, asked = there.manifest, _plain(job.settings)
    differences = [
        f"{key} {manifest['settings'].get(key)!r} (asked: {value!r})"
        for key, value in asked.items()
        if manifest["settings"].get(key) != value
    ]
    if manifest["recipe"] != job.of:
        differences = [f"dataset {manifest['recipe']!r} (asked: {job.of!r})"]
    elif raw and not _same_sources(raw, manifest["sources"], says):
        had, asked_files = (
            ", ".join(names) for names in ([s["name"] for s in manifest["sources"]], [f.name for f in raw])
        )
        differences.append(f"source {had} (asked: {asked_files}, other bytes)")
    if manifest["recipe"] == job.of and manifest["revision"] != job.recipe.revision:
        differences.append(f"recipe revision {manifest['revision']} (now {job.recipe.revision})")
    if differences:
        raise UsageError(
            f"{home.relative(there.path)} was prepared with {'; '.join(differences)}. "
            "Replace it with --force, or keep both with --as NAME."
        )
    for split in SPLITS:
        there.open_split(split)  # raises DataError if damaged
    says.report(f"{home.relative(there.path)} is that already; nothing to do.")
    return there


def _same_sources(raw: Sequence[Path], described: Sequence[dict[str, Any]], says: Reporting) -> bool:
    """Return whether these files have the described content, in any order."""
    if len(raw) == len(described) == 1:  # may have been renamed
        return same(raw[0], described[0], says)
    left = list(described)
    for file in raw:  # two files in different folders may have the same name
        alike = (source for source in left if source["name"] == file.name and same(file, source, says))
        if (found := next(alike, None)) is None:
            return False
        left.remove(found)
    return not left


def _counts(folder: Path, built: Built) -> dict[str, Any]:
    """Count the rows, groups and clusters of one split, and the labelled rows and positives of each task."""
    labels, cluster = open_matrix(folder / "labels.npy"), open_matrix(folder / "cluster.npy")
    tasks = list(enumerate(built.schema.tasks))
    return {
        "rows": len(labels),
        "groups": len(cluster),
        "clusters": len(np.unique(cluster)),
        "defined": {task.name: int((~np.isnan(labels[:, at])).sum()) for at, task in tasks},
        "positives": {
            task.name: int((labels[:, at] > 0).sum()) for at, task in tasks if task.kind == "binary"
        },
    }


@contextlib.contextmanager
def _nothing_left(folder: Path) -> Iterator[Path]:
    """Lock `folder` and yield a scratch folder inside it; afterwards remove it, and new folders left empty.

    Leftovers of a killed process are removed too: under the lock, nobody else can need them.

    Raises:
        UsageError: another process is preparing there.
    """
    made = [path for path in (folder, folder.parent) if not path.exists()]
    try:
        with alone_in(folder):
            for left in [*folder.glob(".prepare-*"), *folder.glob(".prepared-*")]:
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(prefix=".prepare-", dir=folder) as scratch:
                yield Path(scratch)
    except BlockingIOError:
        raise UsageError(
            f"Another mtlbench prepare is at work in {folder}. Wait for its end, or keep both with --as NAME."
        ) from None
    finally:
        with contextlib.suppress(OSError):  # not empty: preparation succeeded
            for path in made:
                path.rmdir()


@contextlib.contextmanager
def _plain_words(target: Path) -> Iterator[None]:
    """Turn file system errors into a DataError."""
    try:
        yield
    except OSError as error:
        if error.filename and not Path(error.filename).is_relative_to(target.parent):
            raise DataError(f"{error.filename} cannot be read ({error.strerror}).") from error
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
        if full:
            raise DataError(
                f"No space left for {target} ({error}). Nothing was changed. Free some, ask for less "
                "(such as --users N), or set MTLBENCH_HOME to a folder on a larger disk."
            ) from error
        raise DataError(f"{target} could not be written ({error}). Nothing was changed.") from error
