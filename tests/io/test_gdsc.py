"""Fitted dose responses in GDSC's layout, written here."""

from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl

ROWS = [  # line, Sanger's identifier, COSMIC, TCGA, drug number, drug, ln IC50, area
    ("A-375", "SIDM00795", "906793", "SKCM", "1", "Erlotinib", "2.5", "0.90"),
    ("HT-29", "SIDM00136", "905939", "COREAD", "1", "Erlotinib", "1.5", "0.80"),
    ("HT-29", "SIDM00136", "905939", "COREAD", "9", "Erlotinib", "0.5", "0.70"),
    ("HT-29", "SIDM00136", "905939", "COREAD", "3", "VNLG/124", "4.0", "0.95"),
    ("T-T", "SIDM00411", "", "ESCA", "3", "VNLG/124", "-1.0", ""),
    ("T-T", "SIDM00411", "", "ESCA", "1", "Erlotinib", "", ""),
]
NAMES = ["CELL_LINE_NAME", "SANGER_MODEL_ID", "COSMIC_ID", "TCGA_DESC", "DRUG_ID", "DRUG_NAME", "LN_IC50", "AUC"]


def frame(rows=ROWS, **columns):
    table = pd.DataFrame(rows, columns=NAMES)
    table.insert(0, "DATASET", "GDSC2")
    table["PUTATIVE_TARGET"] = ["EGFR" if drug == "Erlotinib" else "" for drug in table["DRUG_NAME"]]
    return table.assign(**columns)


def write(path, table, sep=","):
    table.to_csv(path, index=False, sep=sep)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "GDSC2_fitted_dose_response_27Oct23.csv", frame())


def test_lines_and_drugs(path):
    screen = otl.io.read_gdsc(path)
    assert screen.obs_names.tolist() == ["A-375", "HT-29", "T-T"]
    assert screen.var_names.tolist() == ["Erlotinib", "VNLG/124"]
    np.testing.assert_array_equal(screen.X, [[2.5, np.nan], [1.0, 4.0], [np.nan, -1.0]])
    np.testing.assert_allclose(screen.layers["auc"], [[0.9, np.nan], [0.75, 0.95], [np.nan, np.nan]])
    assert screen.obs["stripped_name"].tolist() == ["A375", "HT29", "TT"]
    assert screen.obs["sanger_model_id"].tolist() == ["SIDM00795", "SIDM00136", "SIDM00411"]
    assert screen.obs["cosmic_id"].tolist() == ["906793", "905939", ""]
    assert screen.obs["tcga"].tolist() == ["SKCM", "COREAD", "ESCA"]
    assert screen.var["drug_id"].tolist() == ["1; 9", "3"]
    assert screen.var["n_lines"].tolist() == [2, 2]
    assert screen.var["target"].tolist() == ["EGFR", ""]


def test_what_was_averaged_is_counted(path):
    entry = otl.io.read_gdsc(str(path)).uns["gdsc"]
    assert entry["n_measured"] == 4
    assert entry["n_averaged"] == 1
    assert entry["n_without_value"] == 1
    assert entry["dataset"] == "GDSC2"


def test_geometric_mean_of_ic50(tmp_path):
    rows = [("A", "", "", "", str(i), "D", str(np.log(ic50)), "0.5") for i, ic50 in enumerate([1.0, 10.0, 100.0])]
    screen = otl.io.read_gdsc(write(tmp_path / "a.csv", frame(rows)))
    assert np.exp(screen.X[0, 0]) == pytest.approx(10.0)


def test_layouts_of_the_file(tmp_path, path):
    expected = otl.io.read_gdsc(path).to_df()
    for name, separator in [("a.tsv", "\t"), ("a.tsv.gz", "\t"), ("a.csv.zip", ","), ("a.txt", "\t")]:
        pd.testing.assert_frame_equal(otl.io.read_gdsc(write(tmp_path / name, frame(), separator)).to_df(), expected)
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(otl.io.read_gdsc(tmp_path / "bom.csv").to_df(), expected)
    shuffled = frame().iloc[::-1, ::-1]
    pd.testing.assert_frame_equal(otl.io.read_gdsc(write(tmp_path / "other.csv", shuffled)).to_df(), expected)
    few = frame()[["CELL_LINE_NAME", "DRUG_NAME", "LN_IC50"]]
    screen = otl.io.read_gdsc(write(tmp_path / "few.csv", few))
    pd.testing.assert_frame_equal(screen.to_df(), expected)
    assert list(screen.obs) == ["stripped_name"]
    assert "auc" not in screen.layers


def test_excel(tmp_path, path, monkeypatch):
    sheet = tmp_path / "GDSC2.xlsx"
    sheet.write_bytes(b"PK")

    def absent(*args, **kwargs):
        msg = "Missing optional dependency 'openpyxl'"
        raise ImportError(msg)

    monkeypatch.setattr(pd, "read_excel", absent)
    with pytest.raises(ImportError, match="pip install openpyxl. Or save the sheet as .csv"):
        otl.io.read_gdsc(sheet)
    monkeypatch.setattr(pd, "read_excel", lambda *args, nrows=None, **kwargs: frame().iloc[:nrows])
    pd.testing.assert_frame_equal(otl.io.read_gdsc(sheet).to_df(), otl.io.read_gdsc(path).to_df())


def test_files_hold_it(tmp_path, path):
    screen = otl.io.read_gdsc(path)
    screen.write_h5ad(tmp_path / "screen.h5ad")
    back = ad.read_h5ad(tmp_path / "screen.h5ad")
    pd.testing.assert_frame_equal(back.to_df(), screen.to_df())


def test_cite(path):
    text = otl.cite(otl.io.read_gdsc(path))
    assert "GDSC (Yang et al., 2013), GDSC2: ln IC50 of 2 drugs in 3 lines" in str(text)


def test_another_file_is_named(tmp_path):
    compounds = tmp_path / "screened_compounds_rel_8.5.csv"
    compounds.write_text("DRUG_ID,SCREENING_SITE,DRUG_NAME,SYNONYMS,TARGET\n1,MGH,Erlotinib,Tarceva,EGFR\n")
    with pytest.raises(ValueError, match="is GDSC's list of compounds. Pass GDSC's fitted dose response"):
        otl.io.read_gdsc(compounds)
    model = tmp_path / "Model.csv"
    model.write_text("ModelID,StrippedCellLineName\nACH-1,A375\n")
    with pytest.raises(ValueError, match="is DepMap's table of models"):
        otl.io.read_gdsc(model)
    website = tmp_path / "PANCANCER_IC.csv"
    website.write_text("Drug Name,Drug ID,Cell Line Name,IC50\nErlotinib,1,A375,2.5\n")
    with pytest.raises(ValueError, match="GDSC's website for chosen drugs"):
        otl.io.read_gdsc(website)


def test_missing_columns(tmp_path):
    with pytest.raises(ValueError, match=r"lacks 'LN_IC50'.*Did you mean 'LN_IC_50'"):
        otl.io.read_gdsc(write(tmp_path / "a.csv", frame().rename(columns={"LN_IC50": "LN_IC_50"})))
    with pytest.raises(ValueError, match="one column only: commas are expected in .csv, and tabs in .tsv"):
        otl.io.read_gdsc(write(tmp_path / "b.csv", frame(), sep=";"))


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"LN_IC50": ["1,5", *["1"] * 5]}, "LN_IC50 of .* holds '1,5' and 0 more that are no numbers. Use a point"),
        ({"LN_IC50": ["high", "low", *["1"] * 4]}, "holds 'high' and 1 more that are no numbers"),
        ({"LN_IC50": ["inf", *["1"] * 5]}, "holds 1 infinite values"),
        ({"LN_IC50": [""] * 6}, "holds no measured LN_IC50"),
        ({"CELL_LINE_NAME": ["", *["A"] * 5]}, "CELL_LINE_NAME of .* is empty in 1 rows"),
        ({"DRUG_NAME": [" ", *["A"] * 5]}, "DRUG_NAME of .* is empty in 1 rows"),
        ({"SANGER_MODEL_ID": ["1", "2", "3", "2", "4", "4"]}, "several SANGER_MODEL_ID for the line 'HT-29'"),
    ],
)
def test_bad_values(tmp_path, columns, text):
    with pytest.raises(ValueError, match=text):
        otl.io.read_gdsc(write(tmp_path / "a.csv", frame(**columns)))


def test_no_file(tmp_path, path):
    with pytest.raises(
        FileNotFoundError, match=r"There is no file .*Did you mean 'GDSC2_fitted_dose_response_27Oct23.csv'"
    ):
        otl.io.read_gdsc(tmp_path / "GDSC2_fitted_dose_response.csv")
    with pytest.raises(ValueError, match="is the folder"):
        otl.io.read_gdsc(tmp_path)
    with pytest.raises(TypeError, match="`path` must be a path"):
        otl.io.read_gdsc(3)
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        otl.io.read_gdsc(empty)
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(path.read_bytes())[:60])
    with pytest.raises(ValueError, match="cannot be read as a table"):
        otl.io.read_gdsc(tmp_path / "broken.csv.gz")


def test_an_excel_file_that_is_none(tmp_path):
    (tmp_path / "screen.xlsx").write_text("hello")
    with pytest.raises(ValueError, match=r"screen\.xlsx' cannot be read as an Excel file .* Download it again"):
        otl.io.read_gdsc(tmp_path / "screen.xlsx")
