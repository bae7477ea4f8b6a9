"""The shell over the doors: ``python -m omicstl demo | methods | plier | project``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import omicstl as otl
from omicstl._core.checks import near_miss
from omicstl._data.files import What, refusal, replacing, try_file

if TYPE_CHECKING:
    from anndata import AnnData

SUFFIXES = (".h5ad", ".zarr")
COLLECTIONS = ("blood", "reactome", "pid")
COMPRESSION = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
OUTPUT = What("--output", "the result", "result.h5ad")
MODEL = What("--model", "the model", "model.npz")
SCORES = What("--scores", "the scores", "scores.tsv")
EXAMPLES = """\
examples:
  see what it is about, on data that come with the package (about a minute)
    python -m omicstl demo figures

  learn pathway factors of a compendium of log expression, once
    python -m omicstl plier compendium.h5ad --gene-sets blood reactome own_sets.gmt \\
        --output learnt.h5ad --model blood.npz

  bring them to a small cohort; the file may be the model or the .h5ad that holds it
    python -m omicstl project cohort.h5ad --reference blood.npz --output scored.h5ad --scores scores.tsv
"""
DOUBTS = """\
exit codes:  0 done   2 an error, said in one line, nothing is written   130 interrupted
Warnings go to stderr, one line each; with --strict a pipeline stops at a doubtful result, and nothing is written.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; `argv` None takes that of the process."""
    if not (sys.argv[1:] if argv is None else argv):
        parser().print_help(sys.stderr)
        return 2
    arguments = parser().parse_args(argv)
    try:
        with _warnings_in_a_line(strict=getattr(arguments, "strict", False)):
            arguments.run(arguments)
    except KeyboardInterrupt:
        return _stop("interrupted, nothing was written.", 130)
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except (
        KeyError,
        ValueError,
        TypeError,
        OSError,
        ImportError,
        NotImplementedError,
        MemoryError,
        UserWarning,
    ) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        return _stop(f"error: {' '.join(str(text).split()) or type(error).__name__}", 2)
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    layout = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="python -m omicstl",
        description="Transfer learning for omics data: bring what large public compendia know to the data you have.",
        epilog=EXAMPLES + "\n" + DOUBTS,
        formatter_class=layout,
    )
    top.add_argument("--version", action="version", version=f"omicstl {otl.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, title: str, text: str, run: object) -> argparse.ArgumentParser:
        part = commands.add_parser(
            name, help=title, description=textwrap.fill(text, 100), epilog=DOUBTS, formatter_class=layout
        )
        part.set_defaults(run=run)
        return part

    part = command("demo", "compare public factors with those of 8, 12 and 20 patients", _DEMO, _demo)
    part.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="where to write (default: here)")
    command("methods", "list the methods, what they transfer and whom to cite", _METHODS, _methods)

    part = command("plier", "learn pathway factors of a cohort (PLIER)", _PLIER, _plier)
    part.add_argument(
        "--gene-sets",
        nargs="+",
        required=True,
        metavar="SETS",
        help=f"GMT files (.gmt, .gmt.gz) or names of bundled collections: {', '.join(COLLECTIONS)}",
    )
    _files(part, "log expression, samples × genes")
    part.add_argument("--model", metavar="FILE.npz", help="write the model alone to this file, too")
    part.add_argument("--key", default="plier", help="name of the results in the output (default: plier)")
    part.add_argument("--n-factors", type=int, help="number of factors (default: the data decide)")
    part.add_argument(
        "--annotated-fraction",
        type=float,
        default=0.7,
        help="share of the factors that follow gene sets (default: 0.7)",
    )
    part.add_argument(
        "--selection", choices=("complete", "fast"), default="complete", help="how sets are chosen for a factor"
    )
    part.add_argument("--min-genes", type=int, default=10, help="smallest gene set to use (default: 10)")
    part.add_argument("--max-iter", type=int, default=350, help="most iterations (default: 350)")
    part.add_argument("--tol", type=float, default=1e-6, help="relative change to stop at (default: 1e-6)")
    part.add_argument("--seed", type=int, default=0, help="seed; the same seed gives the same answer (default: 0)")

    part = command("project", "score samples on factors learnt elsewhere (MultiPLIER)", _PROJECT, _project)
    part.add_argument(
        "--reference", required=True, metavar="FILE", help="a model (.npz), or the .h5ad or .zarr that holds one"
    )
    _files(part, "log expression, samples × genes")
    part.add_argument("--scores", metavar="FILE.tsv", help="write the scores to this table, too: samples × factors")
    part.add_argument("--key", help="name of the model in the reference, if it holds several")
    part.add_argument("--key-added", help="name of the results in the output (default: that of the model)")
    part.add_argument(
        "--standardize",
        choices=("auto", "query", "reference", "center", "none"),
        default="auto",
        help="whose mean and spread make z-scores (default: auto, those of INPUT from 10 samples on)",
    )
    part.add_argument(
        "--missing",
        choices=("model", "mean"),
        default="model",
        help="solve on the measured genes, or count missing ones as average (default: model)",
    )
    part.add_argument("--force", action="store_true", help="use --standardize reference even where it is refused")
    return top


_DEMO = """Learns PLIER factors on a bundled public compendium, brings them to a cohort whose cells were counted, compares
them with factors of 8, 12 and 20 of that cohort's patients, and shows a transfer that is refused. Writes omicstl_demo.h5ad and
omicstl_demo.png, replacing those of an earlier run."""
_METHODS = "Lists the methods of this package: the question, what is transferred, what is written, and whom to cite."
_PLIER = """Learns factors of log expression that follow gene sets, each named by the set that it follows. The output holds
the input, scores (obsm), loadings (varm) and the model (uns)."""
_PROJECT = """Scores samples on the factors of a model that was fitted on other data, and says how far to trust it: a verdict
on the whole, and the factors that the measured genes cannot determine. The output holds the input, scores (obsm), R² of each
sample (obs) and the quality (uns)."""


def _files(part: argparse.ArgumentParser, what: str) -> None:
    part.add_argument("input", metavar="INPUT", help=f".h5ad or .zarr: {what}")
    part.add_argument("--output", required=True, metavar="OUT", help=".h5ad or .zarr to write")
    part.add_argument("--layer", help="layer to use (default: X)")
    part.add_argument("--force-overwrite", action="store_true", help="replace what is there")
    part.add_argument("--strict", action="store_true", help="make doubts about scale, convergence and transfer errors")
    part.add_argument("--quiet", action="store_true", help="say only what is wrong")


def _demo(arguments: argparse.Namespace) -> None:
    from .demo import demo

    demo(arguments.folder)


def _methods(arguments: argparse.Namespace) -> None:
    from omicstl._core.registry import records

    cited: list[str] = []
    for row in records().values():
        print(f"{row.name}  ({row.verb})  {row.title}")
        facts = {
            "transfers": ", ".join(row.transfers),
            "setting": ", ".join(row.setting),
            "expects": f"{row.scale} data; {', '.join(row.layouts)}",
            "writes": ", ".join(row.writes) or "nothing",
            "sometimes": ", ".join(row.sometimes),
            "cite": ", ".join(row.citations),
        }
        print(textwrap.indent(textwrap.fill(row.summary, 100), "    "))
        for name, text in facts.items():
            if text:
                print(textwrap.fill(text, 110, initial_indent=f"    {name:<11}", subsequent_indent=" " * 15))
        print()
        cited += [key for key in row.citations if key not in cited]
    print("References")
    for key in cited:
        print(textwrap.fill(f"{key}: {_reference(key)}", 110, initial_indent="    ", subsequent_indent="      "))
    print("\nomicstl.cite(adata) writes the methods paragraph and BibTeX of an analysis.")


def _reference(key: str) -> str:
    """Write a BibTeX entry in a line."""
    import re

    from omicstl._data.cite import references

    fields = dict(re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", references()[key], re.MULTILINE))
    fields = {name: re.sub(r"[{}]", "", text) for name, text in fields.items()}
    authors = fields.get("author", "").split(" and ")
    first = authors[0].split(",")[0] + (" et al." if len(authors) > 2 else "")
    who = " and ".join(author.split(",")[0] for author in authors) if len(authors) == 2 else first
    where = fields.get("journal") or fields.get("booktitle") or fields.get("publisher") or ""
    link = f"https://doi.org/{fields['doi']}" if "doi" in fields else fields.get("url", "")
    return ". ".join(part for part in (f"{who} ({fields.get('year')})", fields.get("title", ""), where, link) if part)


def _plier(arguments: argparse.Namespace) -> None:
    _check_outputs(arguments, arguments.output, arguments.model, MODEL)
    gene_sets = _gene_sets(arguments.gene_sets)
    adata = _read(arguments.input)
    with otl.settings.override(verbosity=1 if arguments.quiet else 2):
        otl.tl.plier(
            adata,
            gene_sets,
            n_factors=arguments.n_factors,
            annotated_fraction=arguments.annotated_fraction,
            selection=arguments.selection,
            min_genes=arguments.min_genes,
            tol=arguments.tol,
            max_iter=arguments.max_iter,
            layer=arguments.layer,
            key_added=arguments.key,
            rng=arguments.seed,
        )
    _write(arguments, adata)
    if arguments.model:
        otl.io.write_model(arguments.model, otl.get.model(adata, arguments.key))
        _written(arguments, arguments.model)


def _project(arguments: argparse.Namespace) -> None:
    _check_outputs(arguments, arguments.output, arguments.scores, SCORES)
    path = Path(arguments.reference)
    if path.suffix != ".npz":
        _kind(path, "--reference")
    model = otl.get.model(path, arguments.key)  # of an .h5ad or .zarr only `uns` is read
    adata = _read(arguments.input)
    key = arguments.key_added or arguments.key or model.kind
    with otl.settings.override(verbosity=1 if arguments.quiet else 2):
        otl.tl.project(
            adata,
            model,
            layer=arguments.layer,
            standardize=arguments.standardize,
            missing=arguments.missing,
            key_added=key,
            force=arguments.force,
        )
    _write(arguments, adata)
    if arguments.scores:
        table = otl.get.factors(adata, key).to_df()
        compression = COMPRESSION.get(Path(arguments.scores).suffix)
        with replacing(arguments.scores, SCORES) as new:
            table.to_csv(new, sep="\t", index_label="observation", float_format="%.6g", compression=compression)
        _written(arguments, arguments.scores)


def _gene_sets(given: Sequence[str]) -> dict[str, list[str]]:
    merged: dict[str, list[str]] = {}
    for item in given:
        path = Path(item)
        if item in COLLECTIONS:
            found = otl.datasets.gene_sets(item)
        elif path.is_file():
            found = otl.io.read_gmt(path)
        else:
            msg = f"--gene-sets: no file {item!r} and no bundled collection of that name.{near_miss(item, COLLECTIONS)} Bundled: {', '.join(COLLECTIONS)}."
            raise FileNotFoundError(msg)
        twice = sorted(set(found) & set(merged))
        if twice:
            msg = f"--gene-sets: the set {twice[0]!r} of {item!r} is in an earlier collection, too. Leave one of them out."
            raise ValueError(msg)
        merged |= found
    return merged


def _kind(path: Path, argument: str) -> str:
    if path.suffix not in SUFFIXES:
        allowed = (".npz", *SUFFIXES) if argument == "--reference" else SUFFIXES
        msg = f"{argument}: {str(path)!r} has no known ending. Use one of {', '.join(allowed)}."
        raise ValueError(msg)
    return path.suffix


def _read(source: str) -> AnnData:
    path = Path(source)
    kind = _kind(path, "INPUT")
    if not path.exists():
        msg = f"INPUT: there is no {str(path)!r}."
        raise FileNotFoundError(msg)
    import anndata

    try:
        return anndata.read_h5ad(path) if kind == ".h5ad" else anndata.read_zarr(path)
    except (KeyError, ValueError, OSError) as error:
        msg = f"INPUT: {str(path)!r} cannot be read: {error}"
        raise ValueError(msg) from error


def _check_outputs(arguments: argparse.Namespace, output: str, second: str | None, what: What) -> None:
    """Find out before the work what would prevent writing after it."""
    _kind(Path(output), "--output")
    for name, written in ((output, OUTPUT), (second, what)):
        if name is None:
            continue
        path = Path(name)
        if path.exists() and not arguments.force_overwrite:
            msg = f"{name!r} is there already. Choose another name, or pass --force-overwrite to replace it."
            raise FileExistsError(msg)
        if not path.resolve().parent.is_dir():
            msg = f"The folder of {name!r} does not exist. Make it first."
            raise FileNotFoundError(msg)
        if written is OUTPUT and path.suffix == ".zarr":
            _try_zarr(path)
        else:
            try_file(path, written)


def _try_zarr(path: Path) -> None:
    if path.exists() and not path.is_dir():
        msg = f"--output: {str(path)!r} is no folder, as a .zarr is. Choose another name."
        raise FileExistsError(msg)
    try:
        with tempfile.TemporaryDirectory(dir=path.resolve().parent, prefix=".omicstl-"):
            pass
    except OSError as error:
        raise refusal(error, path, OUTPUT) from error


def _write(arguments: argparse.Namespace, adata: AnnData) -> None:
    """Write beside the target, then move, so that a failure leaves no half of a file and the old one in place."""
    if Path(arguments.output).suffix == ".zarr":
        _write_zarr(Path(arguments.output).resolve(), adata)
    else:
        with replacing(arguments.output, OUTPUT) as new:
            adata.write_h5ad(new)
    _written(arguments, arguments.output)


def _write_zarr(target: Path, adata: AnnData) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".omicstl-") as folder:
        new, old = Path(folder) / target.name, Path(folder) / "old"
        with warnings.catch_warnings():  # notes on the version of the format, which is the default of anndata
            warnings.filterwarnings("ignore", message="Writing zarr v2|The codec|The data type")
            adata.write_zarr(new)
        if target.is_dir():
            os.replace(target, old)
        try:
            os.replace(new, target)
        except BaseException:
            if old.is_dir():
                os.replace(old, target)
            raise


def _written(arguments: argparse.Namespace, name: str) -> None:
    if not arguments.quiet:
        print(f"Written: {name}")


def _stop(text: str, code: int) -> int:
    print(f"omicstl: {text}", file=sys.stderr)
    return code


@contextmanager
def _warnings_in_a_line(*, strict: bool) -> Iterator[None]:
    """Show each warning once as one line on stderr; `strict` makes those of this package errors."""

    def show(message: Warning | str, *_: object) -> None:
        print(f"omicstl: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        if strict:
            for category in (otl.ScaleWarning, otl.ConvergenceWarning, otl.TransferWarning):
                warnings.simplefilter("error", category)
        yield
