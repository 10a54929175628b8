"""Pages: one HTML file each, with everything in it, and no request that leaves it.

    from bench.report.html.page import Page, Section, Switch, When
    from bench.report.html.page_writer import write_page

    write_page(path, Page(title=…, facts=…, verdict=(…), opening=(figure, table), sections=(Section("Memory", (…)),)))

The blocks of a page are figures (`bench.report.figures.figure`), tables (`bench.report.tables.table.Table`, sortable,
copied as Markdown, downloaded as CSV) and those of `bench.report.html.page`: `Heading`, `Text`, `Command`, `Notice`,
`Ticks`, `Folded`, and `When`, which shows blocks for one choice of the page's switches. The answer stands first: the
sentences of `verdict`, then `opening`. Sections are tabs; without script, and in print, they are one long page.

All text is escaped, and control characters are made visible: pass names and paths as they are, and never markup.
`render_page` gives the page as text; a page larger than `page_writer.MOST_BYTES` is the caller's to make smaller.
"""
