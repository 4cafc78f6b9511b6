"""The recipes that read text tables on real samples, found through $MTLBENCH_SAMPLES."""

from pathlib import Path

import pytest

from mtlbench.data.ali_ccp import encoded
from mtlbench.data.ali_ccp.rows import AliCcpSettings
from mtlbench.data.recipe import Reporting
from mtlbench.home import Home
from mtlbench.load import SPLITS
from mtlbench.prepare import prepare
from tests.samples import samples

pytestmark = pytest.mark.slow


def test_aliexpress_is_read_as_torch_rechub_ships_it(home: Home) -> None:
    """100 and 20 rows with 60 + 10 clicks and 2 + 2 purchases, as the sample's page says."""
    data = prepare(
        home, "aliexpress-nl", source=[samples("aliexpress")], options={"validation": 0.5, "seed": 0}
    )
    quirks, splits = data.manifest["quirks"], data.manifest["splits"]
    assert (quirks["train_rows"], quirks["test_rows"]) == (100, 20)
    assert not any(
        count for name, count in quirks.items() if not name.endswith("_rows") or "malformed" in name
    )
    assert splits["test"]["positives"] == {"ctr": 10, "ctcvr": 2}
    learnt = [splits[split]["positives"] for split in ("train", "validation")]
    assert sum(p["ctr"] for p in learnt) == 60
    assert sum(p["ctcvr"] for p in learnt) == 2


def test_ali_ccp_is_read_as_torch_rechub_ships_it(home: Home) -> None:
    """100, 50 and 50 rows with 7, 3 and 2 clicks and a purchase each, as the sample's page says."""
    files = [samples("ali_ccp", f"ali_ccp_{part}_sample.csv") for part in ("train", "val", "test")]
    splits = prepare(home, "ali-ccp", source=files).manifest["splits"]
    assert [splits[split]["rows"] for split in SPLITS] == [100, 50, 50]
    assert [splits[split]["positives"]["ctr"] for split in SPLITS] == [7, 3, 2]
    assert all(splits[split]["positives"][task] == 1 for split in SPLITS for task in ("cvr", "ctcvr"))
    assert [splits[split]["defined"]["cvr"] for split in SPLITS] == [7, 3, 2]


def test_aitms_ali_ccp_table_is_read(tmp_path: Path) -> None:
    """48 rows of four users: to read, not to split, for 2 of its 3 purchases have no click."""
    path = samples("ali_ccp", "aitm_ctr_cvr_train_sample.csv")
    says = Reporting("mtlbench prepare ali-ccp --source FILE")
    inputs = encoded.fields([path], says.command)
    part, share = encoded.read_part(path, inputs, None, AliCcpSettings(), tmp_path, says)
    assert share == 1
    assert part.quirks == {
        "rows": 48,
        "malformed_rows": 0,
        "rows_of_other_users": 0,
        "purchases_without_click": 2,
        "rows_without_user": 0,
    }
    rows = part.frame.collect()
    assert rows["user"].n_unique() == 4
    assert rows.select("ctr", "cvr", "ctcvr").sum().row(0) == (3, 1, 1)


def test_census_income_is_the_official_test_file(home: Home) -> None:
    """Rows, positives and duplicates as the card says."""
    source = samples("census_income", "census-income.test.gz")
    data = prepare(home, "census-income", source=[source], options={"split": "hashed"})
    quirks, splits = data.manifest["quirks"], data.manifest["splits"]
    assert quirks == {"file_1_rows": 99_762, "file_1_malformed_rows": 0, "file_1_duplicate_rows": 883}
    positives = [sum(splits[s]["positives"][task] for s in SPLITS) for task in data.schema.task_names]
    assert positives == [6_186, 43_143, 19_456]
    above = {entry["field"].split()[0] for entry in data.manifest["guards"]["above"] if entry["explained"]}
    assert above == {
        "age",
        "detailed_industry",
        "detailed_occupation",
        "family_detailed",
        "household_summary",
        "major_occupation",
        "parents_under_18",
        "tax_filer",
    }
