"""Where things lie: under `$MTLBENCH_HOME`, else under the working directory."""

import os
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "shipped"  # in a wheel; a checkout has the same files beside the package


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds `datasets/` and `results/`."""

    root: Path

    @classmethod
    def find(cls) -> "Home":
        """`$MTLBENCH_HOME` if set, else the working directory."""
        return cls(Path(os.environ.get("MTLBENCH_HOME") or Path.cwd()).resolve())

    @property
    def datasets(self) -> Path:
        """Raw and prepared data, one folder a dataset."""
        return self.root / "datasets"

    @property
    def results(self) -> Path:
        """What came out of runs."""
        return self.root / "results"

    def raw(self, dataset: str) -> Path:
        """Where a dataset's raw files are looked for, and downloaded to."""
        return self.datasets / dataset / "raw"

    def prepared(self, dataset: str) -> Path:
        """The prepared matrices of a dataset."""
        return self.datasets / dataset / "prepared"

    def runs(self, dataset: str) -> Path:
        """One folder a finished run."""
        return self.results / "runs" / dataset

    def training(self, dataset: str) -> Path:
        """One folder a run that is under way: held by who trains it, with checkpoints to go on from."""
        return self.results / "runs" / ".training" / dataset

    def failed(self, dataset: str) -> Path:
        """One file a run that failed when it was last tried."""
        return self.results / "runs" / ".failed" / dataset

    def asked(self, dataset: str) -> Path:
        """One file a benchmark that was run."""
        return self.results / "runs" / ".asked" / dataset

    def set_aside(self, dataset: str) -> Path:
        """What lay in the place of a result and was none."""
        return self.results / "runs" / ".set-aside" / dataset

    def relative(self, path: Path) -> str:
        """`path` as seen from the home, with forward slashes: what JSON and messages show."""
        return path.relative_to(self.root).as_posix()


def shipped(*parts: str) -> Path:
    """A card or benchmark file that comes with the program, from a wheel or a checkout."""
    base = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
    return base.joinpath(*parts)
