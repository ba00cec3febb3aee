"""Case markers for uncased encoders: one token before each Capitalised word, another before each UPPER-CASE word.

Both are unused entries of the encoder's vocabulary. The tokenizer itself inserts them, so anyone who loads the saved
`tokenizer.json` gets the same ids, for text and for lists of words. The label of a word stays on its first real
sub-word.
"""

from tokenizers import AddedToken, Regex, normalizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from recipe.errors import RecipeError

CAPITALISED, UPPER = MARKERS = ("[unused1]", "[unused2]")

# At least two capitals with no other letter between or right after them: NATO, U.S., NATO-led, but not USAir.
_JOINTS = ".&'\u2019/-"
_UPPER = rf"\p{{Lu}}(?:[\p{{N}}{_JOINTS}]*\p{{Lu}})+(?!\p{{L}})"
# The start of a word: the start of the text, before white space, or after a sign that does not join letters (the hyphen
# of Anglo-French joins them). The normalizer prepends a space to the text, because the tokenizers library fails if it
# must insert something at position 0.
# The marker goes before the white space, so that its offsets are inside the previous word. The pipeline of transformers
# then treats it as the last sub-word of that word, and entities start and end at word boundaries.
# The atomic group (?> ) prevents the regex from giving up on long white space at the start of a text.
_START = rf"(?:\A(?>\s+)|(?<!\s)(?!\A)(?=\s)|(?<![\s\w])(?<!\w[{_JOINTS}]))(?=\s*%s)"


def add_case_markers(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Turn an uncased tokenizer of the BERT type into one that marks case; return it unchanged if it already does.

    Raises RecipeError for a tokenizer that is cased, not of the BERT type, or has no unused entries.
    """
    if find_markers(tokenizer):
        return tokenizer
    backend = tokenizer.backend_tokenizer
    own = backend.normalizer
    if not (isinstance(own, normalizers.BertNormalizer) and own.lowercase):
        raise RecipeError(
            "case_markers: the tokenizer is not an uncased tokenizer of the BERT type: set case_markers to false"
        )
    missing = [marker for marker in MARKERS if backend.token_to_id(marker) is None]
    if missing:
        raise RecipeError(f"case_markers: the vocabulary has no {' '.join(missing)}: set case_markers to false")
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
    # Model-specific classes such as BertTokenizer would rebuild the normalizer from their options.
    options = {name: getattr(tokenizer, name) for name in ("model_max_length", "padding_side", "truncation_side")}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=tokenizer.model_input_names,
        **options,
        **tokenizer.special_tokens_map,
    )


def find_markers(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids of the case markers that the tokenizer inserts; empty if it inserts none."""
    added = tokenizer.added_tokens_decoder
    return frozenset(token_id for token_id, token in added.items() if token.content in MARKERS and token.normalized)
