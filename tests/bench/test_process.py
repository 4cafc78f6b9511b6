from pathlib import Path

import pytest

from mtlbench.bench.process import measure
from mtlbench.errors import MtlbenchError


def test_a_process_is_measured_by_itself(tmp_path: Path) -> None:
    """Its memory and its disk, the latter even if it is gone in the end."""
    code = (
        "import time, pathlib; x = bytearray(300 << 20); f = pathlib.Path('f')\n"
        "f.write_bytes(bytes(5 << 20)); time.sleep(1); f.unlink()"
    )
    small = measure(["-c", "pass"], tmp_path, {})
    program = tmp_path / "program.py"
    program.write_text(f"import os; os.chdir({str(tmp_path)!r})\n{code}")
    large = measure([str(program)], tmp_path, {})
    assert small.peak_bytes < 60 << 20 < 300 << 20 < large.peak_bytes < 400 << 20
    assert 5 << 20 < large.disk_bytes < 6 << 20
    assert 1 < large.seconds < 30
    assert large.cpu_seconds < large.seconds


def test_a_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(MtlbenchError, match=r"ended with 1: .*no such thing"):
        measure(["-c", "import sys; sys.exit('no such thing')"], tmp_path, {})
