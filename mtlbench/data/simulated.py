"""The shop: a simulated log goes through the same code as the real one. The simulator is shop.py."""

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
    """The recipe."""

    Settings = ShopSettings
    simulated = True
    revision = REVISION

    def find(self, home: Home, card: Card, settings: ShopSettings, given: Sequence[Path]) -> tuple[Path, ...]:
        """Nothing lies anywhere: the log is made anew."""
        return ()

    def fetch(self, home: Home, card: Card, settings: ShopSettings, work: Path, says: Reporting) -> Raw:
        """Simulate."""
        says.report(f"Simulating a shop of {settings.users:,} users, seed {settings.seed}.")
        log = work / "simulated.csv"
        return Raw((log,), truth=simulate(settings, log))

    def build(self, raw: Raw, settings: ShopSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Prepare, all simulated users."""
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
