"""Products by oneDNN, or as Intel's processors take them, are torch's."""

import pytest
import torch
from torch.testing import assert_close

from mtlbench.methods import products
from mtlbench.methods.products import between, here, product


@pytest.mark.parametrize("by_onednn", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("outputs", "inputs"), [(3, 70), (48, 48), (33, 48), (48, 33), (16, 5)])
def test_the_products_of_a_layer_are_the_same_however_they_are_made(
    outputs: int, inputs: int, dtype: torch.dtype, by_onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thin and wide, whole vectors and others: every way that there is."""
    if by_onednn and not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pytest.skip("torch was built without oneDNN")
    monkeypatch.setattr(products, "ONEDNN", by_onednn)
    draws = torch.Generator().manual_seed(0)
    gradient = torch.randn(40, outputs, generator=draws, dtype=dtype)
    x = torch.randn(40, inputs, generator=draws, dtype=dtype)
    made = between(gradient, x)
    assert_close(made, torch.einsum("bo,bi->oi", gradient, x))
    assert made.is_contiguous()
    weight, bias = torch.randn(outputs, inputs, generator=draws, dtype=dtype), gradient[0].clone()
    assert_close(product(x, weight, bias), torch.einsum("bi,oi->bo", x, weight) + bias)
    assert_close(product(gradient, weight.t()), torch.einsum("bo,oi->bi", gradient, weight))


def test_who_else_decides_how_things_are_multiplied_is_left_to_it() -> None:
    x = torch.ones(2, 3)
    assert here(x)
    assert not here(x.half())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not here(x)

    def one(row: torch.Tensor) -> torch.Tensor:
        assert not here(row)
        return row

    torch.func.vmap(one)(x)
