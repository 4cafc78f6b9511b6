"""The shop: a simulated log, prepared by the same code as the real one. The simulator is shop.py."""

from collections.abc import Sequence
from pathlib import Path

from mtlbench.data.card import Card
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.shop import ShopSettings, simulate
from mtlbench.data.userbehavior.build import REVISION, build
from mtlbench.data.userbehavior.log import read_log
from mtlbench.data.userbehavior.window import TAOBAO
from mtlbench.home import Home


class Shop:
    """Recipe of the simulated shop."""

    Settings = ShopSettings
    simulated = True
    revision = REVISION

    def find(self, home: Home, card: Card, settings: ShopSettings, given: Sequence[Path]) -> tuple[Path, ...]:
        """Find nothing: the log is always simulated anew."""
        return ()

    def fetch(self, home: Home, card: Card, settings: ShopSettings, work: Path, says: Reporting) -> Raw:
        """Simulate the log."""
        says.report(f"Simulating a shop of {settings.users:,} users, seed {settings.seed}.")
        log = work / "simulated.csv"
        return Raw((log,), truth=simulate(settings, log))

    def build(self, raw: Raw, settings: ShopSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Prepare the log of all simulated users."""
        return build(
            read_log(raw.files[0], TAOBAO, work, says),
            users="all",
            negatives=settings.negatives,
            seed=settings.seed,
            work=work,
            out=out,
            says=says,
            truth=raw.truth,
        )


RECIPE = Shop()
