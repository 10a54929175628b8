"""`bench plot`: write the figures of a result's report as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from bench.cli.option_groups import OPTIONS, OUTPUT, OutputOptions, Reference
from bench.cli.option_values import Names, StoredResult, UserPath
from bench.errors import UserError, make_unknown_error

#: The folder of the plots, in that of the result.
FOLDER = "plots"
#: As `FORMATS` of `bench.report.plots.plot_file`, without dots.
FORMATS = ("svg", "png", "pdf")
#: Suffixes of pictures that are none of them: a folder with such a name would be a mistake.
OTHER_PICTURES = ("jpg", "jpeg", "gif", "webp", "eps", "ps", "bmp", "tif", "tiff")


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class PlotOptions(OutputOptions):
    """Where plots go."""

    output: Annotated[
        UserPath | None,
        Parameter(help="Folder for the plots, or the file of one; `plots` in the folder of the result by default."),
    ] = None


def plot(
    run: StoredResult = None,
    /,
    *,
    format_: Annotated[
        Names,
        Parameter(
            name="--format",
            group=OPTIONS,
            metavar="NAME",
            completer=lambda _: FORMATS,
            help="Format of the files: `svg`, `png` or `pdf`; repeatable, svg and png by default.",
        ),
    ] = (),
    figure: Annotated[
        Names,
        Parameter(
            group=OPTIONS,
            metavar="TEXT",
            help="Only the figures whose title has this text, as `throughput`; repeatable.",
        ),
    ] = (),
    kind: Annotated[
        Literal["pipeline", "compute"],
        Parameter(
            group=OPTIONS,
            show_default=True,
            help="Training steps of a run's figures: with the input pipeline, or compute alone.",
        ),
    ] = "pipeline",
    relative_to: Annotated[str | None, Reference] = None,
    output: PlotOptions = PlotOptions(),
) -> int:
    """Write the figures of a result as SVG and PNG.

    They are the figures of `report.html`, in the same colours.
    """
    return write_plots(run, format_, figure, kind, relative_to, output)


def write_plots(
    name: str | None,
    formats: tuple[str, ...],
    titles: tuple[str, ...],
    kind: str,
    relative_to: str | None,
    options: PlotOptions,
) -> int:
    """Write the figures of a result. The exit status is 0; 1 if a record could not be read.

    Args:
        name: of the result; the newest by default.
        formats: of `FORMATS`; `svg` and `png` by default.
        titles: a figure is written if its title has one of these texts; all by default.
        kind: of the training steps: `pipeline` or `compute`.
        relative_to: the case that the ratios of a run are relative to; the run's own by default.
        options: where to.

    Raises:
        UserError: the result, a format or a figure is unknown, no record can be read, or a file cannot be written.
    """
    from bench.cli.stored_results import read_page
    from bench.records import result_kinds, store
    from bench.report.plots.plot_file import list_figures, make_name, write_plot

    for format_ in formats:
        if format_ not in FORMATS:
            raise make_unknown_error("format", format_, FORMATS)
    folder = store.find_run(options.results, name, *result_kinds.KINDS)
    page, problems = read_page(result_kinds.find_kind(folder), folder, relative_to)
    figures = list(enumerate(list_figures(page, {"kind": kind}), start=1))
    chosen = [each for each in figures if _is_chosen(each[1].title, titles)]
    if not chosen:
        known = ", ".join(repr(figure.title) for _, figure in figures)
        raise UserError(
            f"no figure of {folder.name} has a title with {' or '.join(map(repr, titles))}: choose from {known}"
            if figures
            else f"{folder.name} has no figure: bench show prints what it has"
        )
    console = Console()
    for problem in problems:
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
    suffix = options.output.suffix[1:].lower() if options.output is not None else ""
    if suffix in OTHER_PICTURES:
        raise make_unknown_error("format", suffix, FORMATS)
    file = options.output if suffix in FORMATS else None
    if file is not None:
        if formats or len(chosen) > 1:
            raise UserError(f"--output {file} is the file of one figure in its own format: choose one with --figure")
        paths = [(chosen[0][1], file)]
    else:
        into = options.output or folder / FOLDER
        store.make_folder(into)
        suffixes = formats or FORMATS[:2]
        paths = [(one, into / f"{make_name(number, one)}.{suffix}") for number, one in chosen for suffix in suffixes]
    for one, path in paths:
        write_plot(one, path, page.facts)
        console.print(f"Written: {path}", soft_wrap=True, markup=False, highlight=False)
    return 1 if problems else 0


def _is_chosen(title: str, texts: tuple[str, ...]) -> bool:
    return not texts or any(text.casefold() in title.casefold() for text in texts)
