"""The base rate is the mean of the labels that there are."""

import numpy as np

from mtlbench.config import Benchmark, fill
from mtlbench.experiment.grid import plan
from mtlbench.floors.base_rate import BaseRate
from mtlbench.load import Prepared
from mtlbench.runs.floors import fit_floors
from mtlbench.runs.outcome import FinishedRun


def test_every_row_is_given_the_mean_of_train(toy: Prepared) -> None:
    ((spec,),) = plan(
        fill(Benchmark, {"run": [{"method": "base-rate"}], "seeds": 1}, "test"), toy.schema, toy.fingerprint
    )
    (done,) = fit_floors(BaseRate, toy, [spec], lambda rows: None)
    assert isinstance(done, FinishedRun)
    train = toy.open_split("train").labels
    for k, task in enumerate(toy.schema.task_names):
        np.testing.assert_allclose(done.scores.score[task], np.nanmean(train[:, k]), rtol=1e-6)
    assert done.costs.parameters == 3
