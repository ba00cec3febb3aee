"""Case for uncased encoders: a token before each Capitalised word, another before each UPPER-CASE one.

Both are unused entries of the encoder's vocabulary, and the tokenizer itself puts them there: whoever loads the saved
`tokenizer.json` gets the same ids, from text as from single words. A word's label stays on its first real sub-word.
"""

from tokenizers import AddedToken, Regex, normalizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from recipe.errors import RecipeError

CAPITALISED, UPPER = MARKERS = ("[unused1]", "[unused2]")

# Two capitals or more, not only the first letters of a word: NATO, U.S., NATO-led; but not USAir.
_JOINTS = ".&'\u2019/-"
_UPPER = rf"\p{{Lu}}(?:[\p{{N}}{_JOINTS}]*\p{{Lu}})+(?!\p{{L}})"
# Where a word begins: at the start, before white space (as the text is prepended a space, nothing is inserted at its
# very start, at which tokenizers fails), or behind a sign that does not join letters, as the hyphen of Anglo-French.
# The marker stands before the white space, so that its offsets lie within the word before: transformers' pipeline
# takes it for a last sub-word of that one, and an entity begins and ends where its words do. (?> > keeps the search
# through much white space at a text's start from giving up.
_START = rf"(?:\A(?>\s+)|(?<!\s)(?!\A)(?=\s)|(?<![\s\w])(?<!\w[{_JOINTS}]))(?=\s*%s)"


def add_case_markers(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer that marks case, made of an uncased one of BERT's kind; one that does so already is returned.

    Raises RecipeError for a tokenizer that keeps case, or is of another kind, or has no unused entries.
    """
    if find_markers(tokenizer):
        return tokenizer
    backend = tokenizer.backend_tokenizer
    own = backend.normalizer
    if not (isinstance(own, normalizers.BertNormalizer) and own.lowercase):
        raise RecipeError("case_markers: the tokenizer is not an uncased one of BERT's kind: set case_markers false")
    missing = [marker for marker in MARKERS if backend.token_to_id(marker) is None]
    if missing:
        raise RecipeError(f"case_markers: the vocabulary has no {' '.join(missing)} to spare: set case_markers false")
    clean = normalizers.BertNormalizer(own.clean_text, own.handle_chinese_chars, strip_accents=False, lowercase=False)
    fold = normalizers.BertNormalizer(False, False, strip_accents=own.strip_accents is not False, lowercase=True)
    marks = [
        normalizers.Replace(Regex(_START % shape), marker)
        for shape, marker in ((_UPPER, UPPER), (rf"(?!{_UPPER})\p{{Lu}}", CAPITALISED))
    ]
    backend.normalizer = normalizers.Sequence(
        [clean, normalizers.Prepend(" "), *marks, fold, normalizers.Strip(left=True, right=False)]
    )
    backend.add_special_tokens([AddedToken(marker, normalized=True, special=True) for marker in MARKERS])
    # A class of its own, as BertTokenizer, would make the normalizer anew from its options.
    options = {name: getattr(tokenizer, name) for name in ("model_max_length", "padding_side", "truncation_side")}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=tokenizer.model_input_names,
        **options,
        **tokenizer.special_tokens_map,
    )


def find_markers(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids of the markers that the tokenizer sets; empty if it sets none."""
    added = tokenizer.added_tokens_decoder
    return frozenset(token_id for token_id, token in added.items() if token.content in MARKERS and token.normalized)
