"""A11: permuted labels teach nothing, and no verdict says that they do.

* The helper: the labels of `second` in the known-positive fixture are permuted over its rows. Nothing is left
  of what helped, so `first` must not be called POSITIVE more often than alpha explains.
* The main task: with its labels permuted on train and validation, a binary task has AUC .5 on test, which the
  interval must cover. Each training seed has its own permutation: a single one leaves a direction that all
  seeds find, at some angle to the truth, so the AUC of that train set is not exactly .5. Over permutations
  the AUC is distributed symmetrically about .5 if the labels are balanced, since permuted labels and their
  negation are then equally likely; hence the linear fixture. With another base rate they are not: a model
  that still has to learn it moves along the mean of x, which is the same in all permutations.
"""

import hashlib
import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np

from mtlbench.config import TrainingSettings
from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from mtlbench.protocol.check import Finding, Lab, Scale, fewest_calls, most_calls, share
from mtlbench.protocol.fixtures import (
    POSITIVE,
    Fixture,
    Replicate,
    arm,
    drawn,
    held_against,
    read,
    results_of,
    train,
)
from mtlbench.protocol.trained import ALPHA, TRAINED, seeds, size
from mtlbench.statistics.influence import influence
from mtlbench.statistics.variance import interval, two_way
from mtlbench.statistics.verdict import Verdict

HELPERS = Scale(40, 6)
MAINS = Scale(20, 3)
HELPER = replace(POSITIVE, tasks=("first",), data_seed=1600)
MAIN = Fixture(
    knobs={
        "sines": 0,
        "p": 0.0,
        "n_a": 1000,
        "n_b": 1000,
        "test_rows": 2000,
        "validation_rows": 500,
        "binary": True,
    },
    arms=(arm("hard-sharing"),),
    training=TrainingSettings(epochs=5, batch_rows=100, learning_rate=1e-2, evaluations_per_epoch=1),
    data_seed=1750,
)


def a11(lab: Lab) -> list[Finding]:
    """Run both placebos."""
    return [_helper(lab), _main(lab)]


def _helper(lab: Lab) -> Finding:
    number = HELPERS.of(lab.quick)
    drawn_seeds = range(HELPER.data_seed, HELPER.data_seed + number)
    done = list(lab.map(partial(permuted_helper, lab.home), drawn_seeds))
    calls = sum(one.of("first").verdict is Verdict.POSITIVE for one in done)
    most = most_calls(number, ALPHA)
    return Finding(
        check="A11",
        what="known positive, the helper's labels permuted: first POSITIVE",
        bound=f"at most {most} of {number}",
        measured=f"{share(calls, number)}; {size(done)}",
        holds=calls <= most,
        seeds=seeds(HELPER, number),
        simulated=TRAINED,
    )


def _main(lab: Lab) -> Finding:
    number = MAINS.of(lab.quick)
    drawn_seeds = range(MAIN.data_seed, MAIN.data_seed + number)
    intervals = list(lab.map(partial(permuted_main, lab.home), drawn_seeds))
    covered = sum(low <= 0.5 <= high for low, high in intervals)
    fewest = fewest_calls(number, 1 - ALPHA)
    middle = float(np.mean(intervals))
    width = float(np.mean([high - low for low, high in intervals]))
    return Finding(
        check="A11",
        what="labels of the main task permuted: AUC .5 within its 95 % interval",
        bound=f"at least {fewest} of {number}",
        measured=f"{share(covered, number)}; mean AUC {middle:.3f}, interval {width:.3f} wide",
        holds=covered >= fewest,
        seeds=seeds(MAIN, number),
        simulated=TRAINED,
    )


def permuted_helper(home: Home, data_seed: int) -> Replicate:
    """Train and compare the known-positive fixture with the labels of `second` permuted."""
    with drawn(HELPER, data_seed, home) as (inner, prepared):
        placebo = permuted(inner, prepared, "second", data_seed)
        return read(held_against(HELPER, train(HELPER, inner, placebo), placebo))


def permuted_main(home: Home, data_seed: int) -> tuple[float, float]:
    """Return the interval of the AUC of `first`, its labels permuted anew for each training seed."""
    with drawn(MAIN, data_seed, home) as (inner, prepared):
        influences = []
        for seed in range(MAIN.seeds):
            placebo = permuted(inner, prepared, "first", seed)
            (result,) = results_of(inner, placebo, MAIN.arms, MAIN.training, (seed,))
            scores = result.scores()
            rows = np.arange(len(scores.cluster))  # every row is a cluster of its own
            label, score = scores.label["first"] > 0, scores.score["first"]
            influences.append(influence("auc", label, score, rows, len(rows)))
    estimate = two_way(np.stack(influences, axis=1))
    return interval(estimate, estimate.df, ALPHA)


def permuted(home: Home, prepared: Prepared, task: str, seed: int) -> Prepared:
    """Copy a prepared data set, with that task's train and validation labels permuted.

    Only rows where the task is defined take part; the test split is unchanged. The copy has its own name and
    fingerprint.
    """
    name = f"{prepared.name}-permuted-{task}-{seed}"
    target = home.prepared(name)
    shutil.copytree(prepared.path, target)
    column = prepared.schema.task_names.index(task)
    rng = np.random.default_rng(seed)
    for split in ("train", "validation"):
        file = target / split / "labels.npy"
        labels = np.load(file)
        defined = ~np.isnan(labels[:, column])
        labels[defined, column] = rng.permutation(labels[defined, column])
        np.save(file, labels)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    fingerprint = hashlib.sha256(f"{prepared.fingerprint}, {task} permuted by {seed}".encode()).hexdigest()
    write_json(target / "manifest.json", {**manifest, "dataset": name, "fingerprint": fingerprint})
    return open_prepared(home, name)
