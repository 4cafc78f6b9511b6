"""Where the real samples are: `$MTLBENCH_SAMPLES` alone says so."""

import os
from pathlib import Path

import pytest


def samples(*parts: str) -> Path:
    """A file or folder of the samples; skips the test, plainly, where they are not at hand."""
    folder = os.environ.get("MTLBENCH_SAMPLES")
    if not folder:
        pytest.skip("$MTLBENCH_SAMPLES does not say where the samples are")
    return Path(folder, *parts)
