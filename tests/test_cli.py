"""The command line: what it writes equals what the doors give, and errors are one line."""

from __future__ import annotations

import os
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl import cli

FIT = ["--n-factors", "5", "--max-iter", "40", "--tol", "1e-2"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    both, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    for name in ("reference", "query"):
        both[both.obs["cohort"] == name].copy().write_h5ad(folder / f"{name}.h5ad")
    otl.io.write_gmt(folder / "sets.gmt", truth.gene_sets)
    code = cli.main(
        ["plier", str(folder / "reference.h5ad"), "--gene-sets", str(folder / "sets.gmt"), "--output",
         str(folder / "fit.h5ad"), "--model", str(folder / "model.npz"), "--quiet", *FIT]
    )  # fmt: skip
    assert code == 0
    return folder


def project(files, reference: str, output, *more: str) -> list[str]:
    return ["project", str(files / "query.h5ad"), "--reference", str(files / reference), "--output", str(output), *more]


def test_plier_is_the_verb(files) -> None:
    adata = ad.read_h5ad(files / "reference.h5ad")
    otl.tl.plier(adata, files / "sets.gmt", n_factors=5, max_iter=40, tol=1e-2)
    written = ad.read_h5ad(files / "fit.h5ad")
    np.testing.assert_array_equal(written.obsm["plier"], adata.obsm["plier"])
    assert written.uns["plier"]["digest"] == adata.uns["plier"]["digest"]
    assert list(otl.io.read_model(files / "model.npz").names) == list(adata.uns["plier"]["names"])


@pytest.mark.parametrize("reference", ["fit.h5ad", "model.npz"])
def test_project_is_the_verb(files, tmp_path, capsys, reference: str) -> None:
    query = ad.read_h5ad(files / "query.h5ad")
    otl.tl.project(query, files / "model.npz")
    out, scores = tmp_path / "out.h5ad", tmp_path / "scores.tsv"
    assert cli.main(project(files, reference, out, "--scores", str(scores))) == 0
    written = ad.read_h5ad(out)
    np.testing.assert_array_equal(written.obsm["plier"], query.obsm["plier"])
    assert written.uns["plier"]["quality"]["verdict"] == query.uns["plier"]["quality"]["verdict"]
    table = pd.read_csv(scores, sep="\t", index_col="observation")
    np.testing.assert_allclose(table, query.obsm["plier"], rtol=1e-4, atol=1e-6)
    assert list(table.columns) == list(query.uns["plier"]["names"])
    assert capsys.readouterr().out == f"Written: {out}\nWritten: {scores}\n"


def test_zarr(files, tmp_path) -> None:
    pytest.importorskip("zarr")
    out = tmp_path / "out.zarr"
    for _ in range(2):
        assert cli.main(project(files, "model.npz", out, "--key-added", "blood", "--quiet", "--force-overwrite")) == 0
    written = ad.read_zarr(out)
    assert written.obsm["blood"].shape == (20, 5)
    written.write_h5ad(tmp_path / "back.h5ad")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.h5ad", "out.zarr"]


def test_an_output_is_not_replaced_unasked(files, tmp_path, capsys) -> None:
    out = tmp_path / "out.h5ad"
    out.write_text("mine")
    assert cli.main(project(files, "model.npz", out)) == 2
    assert "--force-overwrite" in error_line(capsys)
    assert out.read_text() == "mine"


def test_an_output_that_is_no_file(files, tmp_path, capsys) -> None:
    for name, words in (("out.h5ad", "got a pipe"), ("out.zarr", "is no folder, as a .zarr is")):
        os.mkfifo(tmp_path / name)
        assert cli.main(project(files, "model.npz", tmp_path / name, "--force-overwrite")) == 2
        assert words in error_line(capsys)
        assert (tmp_path / name).is_fifo()


def test_links_and_modes_stay(files, tmp_path) -> None:
    out, link, scores = tmp_path / "out.h5ad", tmp_path / "link.h5ad", tmp_path / "scores.tsv.gz"
    out.write_text("old")
    out.chmod(0o600)
    link.symlink_to("out.h5ad")
    assert cli.main(project(files, "model.npz", link, "--scores", str(scores), "--quiet", "--force-overwrite")) == 0
    assert link.is_symlink()
    assert out.stat().st_mode & 0o777 == 0o600
    assert ad.read_h5ad(out).n_obs == len(pd.read_csv(scores, sep="\t"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.h5ad", "out.h5ad", "scores.tsv.gz"]


def error_line(capsys) -> str:
    text = capsys.readouterr().err
    assert text.startswith("omicstl: error: ")
    assert text.endswith("\n")
    assert text.count("\n") == 1, "one line"
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("query.h5ad", "gone.h5ad"), "INPUT: there is no"),
        (("query.h5ad", "sets.gmt"), "has no known ending. Use one of .h5ad, .zarr"),
        (("model.npz", "query.h5ad"), "no fitted model"),
        (("model.npz", "gone.npz"), "gone.npz"),
        (("model.npz", "sets.gmt"), "Use one of .npz, .h5ad, .zarr"),
        (("out.h5ad", "out.csv"), "--output: "),
        (("out.h5ad", "nowhere/out.h5ad"), "does not exist. Make it first"),
    ],
)
def test_errors_are_one_line(files, tmp_path, capsys, change, words: str) -> None:
    command = [part.replace(*change) for part in project(files, "model.npz", tmp_path / "out.h5ad", "--quiet")]
    assert cli.main(command) == 2
    assert words in error_line(capsys)
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_without_a_command_the_help_is_shown(capsys) -> None:
    assert cli.main([]) == 2
    assert "examples:" in capsys.readouterr().err


def test_errors_of_the_doors_are_one_line(files, tmp_path, capsys) -> None:
    assert cli.main(project(files, "model.npz", tmp_path / "out.h5ad", "--layer", "log1p")) == 2
    assert "'log1p' not found in adata.layers" in error_line(capsys)


def test_a_damaged_file_is_one_line(files, tmp_path, capsys) -> None:
    bad = tmp_path / "bad.h5ad"
    bad.write_bytes((files / "query.h5ad").read_bytes()[:3000])
    assert (
        cli.main(["project", str(bad), "--reference", str(files / "model.npz"), "--output", str(tmp_path / "o.h5ad")])
        == 2
    )
    assert "cannot be read" in error_line(capsys)


@pytest.mark.parametrize(
    ("given", "words"), [(["bloo"], "Did you mean 'blood'?"), (["blood", "blood"], "in an earlier collection, too")]
)
def test_gene_sets_are_checked(files, tmp_path, capsys, given: list[str], words: str) -> None:
    command = ["plier", str(files / "reference.h5ad"), "--gene-sets", *given, "--output", str(tmp_path / "out.h5ad")]
    assert cli.main(command) == 2
    assert words in error_line(capsys)


def test_warnings_are_one_line_or_errors(files, tmp_path, capsys) -> None:
    query = ad.read_h5ad(files / "query.h5ad")
    query.var_names = np.random.default_rng(0).permutation(query.var_names)
    query.write_h5ad(tmp_path / "shuffled.h5ad")
    command = project(files, "model.npz", tmp_path / "out.h5ad", "--quiet")
    command[1] = str(tmp_path / "shuffled.h5ad")
    assert cli.main([*command, "--strict"]) == 2
    error_line(capsys)
    assert not (tmp_path / "out.h5ad").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert cli.main(command) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("omicstl: warning: ") for line in lines)


def test_methods_lists_all_with_citations(capsys) -> None:
    from omicstl._core.registry import records

    assert cli.main(["methods"]) == 0
    text = capsys.readouterr().out
    for row in records().values():
        assert f"({row.verb})" in text
        assert all(f"{key}: " in text for key in row.citations)
    assert "https://doi.org/10.1038/s41592-019-0456-1" in text


@pytest.mark.parametrize("command", [[], ["demo"], ["methods"], ["plier"], ["project"]])
def test_help(command: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    assert "exit codes:" in capsys.readouterr().out


def test_version_and_the_module(run_python) -> None:
    code = "import sys, runpy; sys.argv = ['omicstl', '--version']; runpy.run_module('omicstl', run_name='__main__')"
    assert run_python(code).strip() == f"omicstl {otl.__version__}"
