"""What a method is given."""

import torch
from torch.testing import assert_close

from tests.methods.toys import SPEC, toy_inputs


def test_flat_is_fields_then_mean_of_the_sequence_then_numbers() -> None:
    inputs = toy_inputs(rows=4, tables=2)
    flat = inputs.flat(table=1)
    assert flat.shape == (4, SPEC.flat_dim(2))
    for row in range(4):
        past = [inputs.sequence[1, row, p] for p in range(3) if inputs.sequence_mask[row, p]]
        mean = torch.stack(past).mean(dim=0) if past else torch.zeros(2)
        user, item = inputs.categorical[1, row]
        assert_close(flat[row], torch.cat([user, item, mean, inputs.numeric[row]]))
