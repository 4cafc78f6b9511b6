"""Ali-CCP: is a recommended item clicked, and is it bought?

Ma et al., "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate",
SIGIR 2018. Source, terms, quirks, the split and its reason: datasets/ali-ccp/card.toml
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from mtlbench.data.ali_ccp import encoded, skeleton
from mtlbench.data.ali_ccp.rows import AliCcpSettings, Part, held_out
from mtlbench.data.card import Card
from mtlbench.data.lines import header
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.source import Published, lying_in
from mtlbench.data.table import write_table
from mtlbench.data.unpack import unpack
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SplitName
from mtlbench.schema import Field, Schema, Task

TASKS = (Task(name="ctr"), Task(name="cvr"), Task(name="ctcvr", given="ctr"))
Form = Literal["skeleton", "common", "table"]
PARTS: Mapping[SplitName, tuple[str, ...]] = {
    "test": ("test",),
    "validation": ("val", "dev"),
    "train": ("train",),
}
"""Words in the file names of each part: forms are recognised by content, train and test only by name."""


WANTED = (
    "Wanted: sample_skeleton_train.csv, common_features_train.csv, sample_skeleton_test.csv and "
    "common_features_test.csv (or sample_train.tar.gz and sample_test.tar.gz that hold them); or the train "
    "and test file of a table that starts with click,purchase,101"
)


class AliCcp(Published):
    """Recipe of Ali-CCP."""

    Settings = AliCcpSettings
    revision = 1

    def find(
        self, home: Home, card: Card, settings: AliCcpSettings, given: Sequence[Path]
    ) -> tuple[Path, ...]:
        """Return the given files; else from the raw folder the two archives of the raw form, or the table."""
        archives = [lying_in(home.raw(card.name), (f"sample_{part}.tar.gz",)) for part in ("train", "test")]
        both = tuple(path for path in archives if path and all(archives))
        return tuple(given) or both or super().find(home, card, settings, given)

    def build(self, raw: Raw, settings: AliCcpSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Read either form; users are sampled by a hash, the same in train and test."""
        files = [path for file in raw.files for path in unpack(file, work, says)]
        given = arrange(files, says.command)
        share: float | None = None
        parts: dict[SplitName, Part] = {}
        inputs: tuple[Field, ...]
        if "table" in given["train"]:
            tables = [forms["table"] for forms in given.values()]
            inputs = encoded.fields(tables, says.command)
        else:
            inputs = skeleton.fields(settings.values)
        for split, forms in given.items():  # train comes first: it decides which users are taken
            folder = work / split
            folder.mkdir()
            if "table" in forms:
                parts[split], share = encoded.read_part(forms["table"], inputs, share, settings, folder, says)
            else:
                parts[split], share = skeleton.read_part(
                    forms["skeleton"], forms["common"], share, settings, folder, says
                )
        return write_table(
            _splits(parts, settings),
            Schema(fields=inputs, tasks=TASKS, cluster="user"),
            work=work,
            out=out,
            says=says,
            quirks={f"{split}_{name}": n for split, part in parts.items() for name, n in part.quirks.items()},
            notes={"malformed_lines": {k: v for part in parts.values() for k, v in part.malformed.items()}},
            absent={f.name: 0.0 for f in inputs if f.kind == "numeric"},
        )


def _splits(parts: Mapping[SplitName, Part], settings: AliCcpSettings) -> dict[SplitName, pl.LazyFrame]:
    """Use the authors' validation split if there is one, else a tenth of train's users."""
    frames = {split: part.frame for split, part in parts.items()}
    if "validation" not in frames:
        train = frames["train"]
        frames |= {"train": train.filter(~held_out(settings)), "validation": train.filter(held_out(settings))}
    return frames


def arrange(files: Sequence[Path], command: str) -> dict[SplitName, dict[Form, Path]]:
    """Recognise the files of each part, train first.

    Raises:
        DataError: train or test is missing or incomplete, or two files have the same role.
    """
    found: dict[SplitName, dict[Form, Path]] = {}
    for path in files:
        form = form_of(path)
        split = next((s for s, words in PARTS.items() if any(w in path.name.lower() for w in words)), None)
        if split is None or path.suffix in (".md", ".txt"):
            continue
        if form is None:
            raise DataError(f"{path.name} is no part of Ali-CCP in a form that is known. {WANTED}: {command}")
        other = found.setdefault(split, {}).setdefault(form, path)
        if other != path:
            raise DataError(f"{other.name} and {path.name} are both {form} of {split}; give one: {command}")
    whole = [{"table"}, {"skeleton", "common"}]
    if {"train", "test"} <= set(found) and set(found["train"]) in whole and _alike(found):
        return {split: found[split] for split in ("train", "validation", "test") if split in found}
    seen = ", ".join(path.name for path in files) or "nothing"
    raise DataError(f"{WANTED}. Given: {seen}. Give them: {command}")


def _alike(found: Mapping[SplitName, Mapping[Form, Path]]) -> bool:
    return all(set(forms) == set(found["train"]) for forms in found.values())


def form_of(path: Path) -> Form | None:
    """Recognise the form of a file by its first line; None for any other file."""
    first = header(path)
    if {"click", "purchase"} <= set(first):
        return "table"
    if not first or "\x02" not in first[-1]:
        return None
    forms: dict[int, Form] = {6: "skeleton", 3: "common"}
    return forms.get(len(first))


RECIPE = AliCcp()
