"""Early warnings of `run`: that a benchmark is too small to decide what it asks."""

from collections.abc import Callable, Mapping
from typing import Any

from mtlbench.config import Benchmark
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.planning.pilot import choose, members
from mtlbench.planning.power import read_power
from mtlbench.report.power import conclusion, too_few_seeds, undecided
from mtlbench.runs.outcome import Outcome
from mtlbench.runs.store import finished


class Foresight:
    """Warns before anything is trained, and once more when the pilot is complete.

    `stored` says whether results of earlier runs count, which they do unless all is trained again.

    Attributes:
        power: what the benchmark can detect, as in `Power.to_json`; None until the pilot is complete.
    """

    def __init__(
        self,
        home: Home,
        benchmark: Benchmark,
        prepared: Prepared,
        say: Callable[[str], None],
        *,
        stored: bool = True,
    ) -> None:
        self.power: dict[str, Any] | None = None
        self._benchmark, self._schema, self._say = benchmark, prepared.schema, say
        self._members = members(benchmark, prepared.schema)
        pilot = choose(benchmark, prepared) if self._members else []
        self._pilot = [spec for arm in pilot for spec in arm]
        done = {spec.hash: finished(home, prepared.name, spec) for spec in self._pilot if stored}
        self._results = {hash_: result for hash_, result in done.items() if result is not None}

    def warn(self) -> None:
        """Give the warnings that are possible before the first run."""
        if self._members:
            for line in too_few_seeds(
                len(self._benchmark.seed_numbers), self._members, self._benchmark.family.alpha
            ):
                self._say(line)
        self.look({})

    def look(self, outcomes: Mapping[str, Outcome], *, aloud: bool = True) -> None:
        """Add these outcomes to the pilot; once it is complete, read it and, if `aloud`, warn."""
        for spec in self._pilot:
            outcome = outcomes.get(spec.hash)
            if outcome is not None and outcome.result is not None:
                self._results[spec.hash] = outcome.result
        if self.power is not None or not self._pilot or len(self._results) < len(self._pilot):
            return
        results = [self._results[spec.hash] for spec in self._pilot]
        self.power = read_power(self._benchmark, self._schema, results).to_json()
        lines = undecided(self.power)
        for line in [conclusion(self.power), *lines] if lines and aloud else []:
            self._say(line)
