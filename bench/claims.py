"""Which differences between lines of the study are more than chance: intervals and p-values, as `compare` finds them.

`python -m bench.report` prints the table of docs/quality.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isnan

from bench.runs import SEEDS, Run
from recipe.evaluation.comparison import SIGNED, find_differences, format_interval, format_p, mean_f1
from recipe.evaluation.results import format_markdown
from recipe.evaluation.scoring import MICRO
from recipe.evaluation.systems import System, read_systems
from recipe.evaluation.uncertainty import find_seed_p_value

SPLITS = {"dev": "dev", "test": "test", "conllpp": "CoNLL++"}
MODELS = {"minilm": "MiniLM", "mpnet": "MPNet"}


@dataclass(frozen=True)
class Claim:
    """Two lines of the study that differ in one thing, `change`. They are compared on the seeds that both have."""

    change: str
    before: Run
    after: Run

    def find_systems(self) -> list[System]:
        """Both groups of runs; empty if no seed has both."""
        pairs = [[replace(line, seed=seed).result for line in (self.before, self.after)] for seed in SEEDS]
        found = [pair for pair in pairs if all(path.exists() for path in pair)]
        return read_systems([",".join(map(str, paths)) for paths in zip(*found, strict=True)]) if found else []


def list_claims() -> Iterator[Claim]:
    """Every difference that docs/quality.md speaks of."""
    for encoder, name in MODELS.items():
        alone, document = Run(encoder, context="none"), Run(encoder)
        plain = [replace(line, markers=False) for line in (alone, document)]
        yield Claim(f"{name}: case markers", plain[1], document)
        yield Claim(f"{name}: case markers, each sentence alone", plain[0], alone)
        yield Claim(f"{name}: document context", alone, document)
        yield Claim(f"{name}: document context, no markers", *plain)
        yield Claim(f"{name}: mixed context instead of documents", document, Run(encoder, context="mixed"))
    yield Claim("MPNet: trained on dev too", Run("mpnet"), Run("mpnet", extra="dev"))
    for encoder, name in MODELS.items():
        yield Claim(f"{name}: silver data", Run(encoder), Run(encoder, extra="silver"))
    for millions in (1, 2, 4, 7, 14):
        yield Claim(f"MiniLM: {millions} M tokens of masked pretraining", Run("minilm"), Run("minilm", millions))
    yield Claim("MiniLM: 14 M tokens, autoregressive", Run("minilm"), Run("minilm", 14, autoregressive=True))
    yield Claim(
        "MiniLM, silver data: 7 M tokens before", Run("minilm", extra="silver"), Run("minilm", 7, extra="silver")
    )
    for encoder, millions in (("minilm", 7), ("mpnet", 1)):
        for markers, context in ((True, "document"), (True, "none"), (False, "document"), (False, "none")):
            if (encoder, markers, context) == ("minilm", True, "document"):
                continue  # above
            line = Run(encoder, markers=markers, context=context)
            setting = f"{'' if markers else 'no '}markers, context {context}"
            yield Claim(f"{MODELS[encoder]}, {setting}: {millions} M tokens", line, replace(line, millions=millions))


def list_students() -> Iterator[Claim]:
    """The differences that docs/distillation.md speaks of."""
    mixed, teacher = Run("minilm", context="mixed"), Run("mpnet", context="mixed")
    student = replace(mixed, extra="distilled")
    yield Claim("MiniLM: taught by MPNet", mixed, student)
    yield Claim("MiniLM: taught by three seeds of itself", mixed, replace(mixed, extra="ensemble"))
    yield Claim("MPNet, its student MiniLM", teacher, student)
    for millions in (7, 14):
        change = f"student: {millions} M tokens of masked pretraining before"
        yield Claim(change, student, replace(student, millions=millions))
    for layers in (3, 2):
        yield Claim(f"student: {layers} layers instead of 6", student, replace(student, layers=layers))


def format_claims(claims: Iterator[Claim]) -> str:
    """A Markdown table: F1's difference in points with its interval and p-value over documents, and p over seeds.

    Differences without counts by document in the reports have no interval and no p-value over documents.
    """
    lines = []
    for claim in claims:
        systems = claim.find_systems()
        if not systems:
            continue
        before, after = systems
        splits = [split for split in SPLITS if all(split in system.results[0].splits for system in systems)]
        cells = {split: format_difference(before, after, split) for split in splits}
        over_seeds = [find_seed_p_value(before.scores(split), after.scores(split)) for split in splits]
        seeds = " / ".join(map(format_p, over_seeds)) if before.is_group else ""
        lines.append([claim.change, *(cells.get(split, "") for split in SPLITS), seeds, str(len(before.results))])
    return format_markdown(["", *SPLITS.values(), "p over seeds", "seeds"], lines)


def format_difference(before: System, after: System, split: str) -> str:
    """The difference of F1 in points, and its interval and p-value if there are counts by document."""
    change = f"{mean_f1(after, split, MICRO) - mean_f1(before, split, MICRO):{SIGNED}}"
    (interval,), (p,) = find_differences(before, after, split, [])
    return change if isnan(p) else f"{change} ({format_interval(interval, SIGNED)}), p {format_p(p, '= ')}"
