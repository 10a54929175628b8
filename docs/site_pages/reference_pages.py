"""The reference: pages made from the docstrings of the modules that others build on."""

from __future__ import annotations

from importlib.util import find_spec

FOLDER = "reference"
#: Page: title, question, modules. A module that is not there yet has no page.
PAGES = {
    "backends": (
        "The interface of a backend",
        "What does a backend have to provide, and what is it given?",
        (
            "backends.base",
            "backends.values",
            "backends.image_files",
            "backends.task",
            "backends.knobs",
            "backends.extraction",
            "backends.kernels",
            "backends.convolutions",
            "backends.backbones",
            "backends.exported.network_graph",
            "backends.registry",
            "backends.task_entries",
        ),
    ),
    "python": (
        "The Python interface",
        "How do I read and make runs from Python?",
        (
            "bench.api.load",
            "bench.api.run",
            "bench.api.run_results",
            "bench.report.verdict",
            "bench.report.tables.table",
        ),
    ),
    "records": ("Records", "What is stored of a launch?", ("bench.records.record",)),
}


def make_pages() -> dict[str, str]:
    """The pages by file name."""
    pages = {}
    for name, (title, question, modules) in PAGES.items():
        sections = [
            f"## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```" for module in modules if find_spec(module)
        ]
        if sections:
            pages[f"{FOLDER}/{name}.md"] = "\n\n".join([f"# {title}", question, *sections]) + "\n"
    return pages
