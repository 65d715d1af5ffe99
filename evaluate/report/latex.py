"""LaTeX of a table whose columns have headers in common (needs the package booktabs)."""

from collections.abc import Sequence
from itertools import groupby

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "<": "$<$",
        ">": "$>$",
        "|": "$|$",
        "→": r"$\rightarrow$",
        "²": "$^2$",
        "–": "--",
        "…": r"\ldots{}",
    }
)


def escaped(text: str) -> str:
    """The text as LaTeX shows it, on one line; signs that pdfLaTeX lacks are written as mathematics."""
    return " ".join(text.split()).translate(_SPECIAL)


def tabular(
    label: str,
    title: str,
    texts: Sequence[str],
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
) -> str:
    """A floating table: columns of text, of figures (group, name), and the source.

    Titles and headers are escaped here; `rows` hold LaTeX.
    """
    above, rules = _groups(columns, len(texts) + 1)
    body = [f"{' & '.join(row)} \\\\" for row in rows]
    names = [*texts, *(name for _, name in columns), "Source"]
    lines = [
        r"\begin{table*}[t]",
        r"\centering",
        f"\\caption{{{escaped(title)}}}",
        f"\\label{{tab:{label}}}",
        f"\\begin{{tabular}}{{{'l' * len(texts)}{'r' * len(columns)}l}}",
        r"\toprule",
        *([f"{' & ' * len(texts)}{above} & \\\\", rules] if rules else []),
        f"{' & '.join(map(escaped, names))} \\\\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _groups(columns: Sequence[tuple[str, str]], first: int) -> tuple[str, str]:
    """The line of groups and the rules below them; `first`: the number of the first column, from 1."""
    cells, rules = [], []
    for group, members in groupby(columns, key=lambda column: column[0]):
        width = len(list(members))
        cells.append(f"\\multicolumn{{{width}}}{{c}}{{{escaped(group)}}}")
        if group:
            rules.append(f"\\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return " & ".join(cells), " ".join(rules)
