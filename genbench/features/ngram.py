"""`ngram`: counts of a text's n-grams, hashed and projected; for texts of any alphabet, without a weights file.

N-gram counts distinguish languages (W. B. Cavnar, J. M. Trenkle, "N-Gram-Based Text Categorization", 1994). They are
kept in hashed buckets (K. Weinberger, A. Dasgupta, J. Langford, A. Smola, J. Attenberg, "Feature Hashing for Large
Scale Multitask Learning", 2009, https://arxiv.org/abs/0902.2206), and a projection with random signs preserves squared
distances to within about sqrt(2 / 256) = 9% (D. Achlioptas, "Database-friendly random projections", 2003). The features
rank models trained on one dataset. They capture neither the meaning of texts nor dependencies between symbols further
apart than four.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import seeding
from genbench.features.extractor import Extractor, place
from genbench.features.intake import Texts
from genbench.features.weight_file import content_sha256
from genbench.kinds.text import END

__all__ = ["BUCKETS", "ORDERS", "Ngram", "bucket_counts", "hash_table", "load_ngram"]

FEATURES = 256
ORDERS = 4
BUCKETS = 1 << 14
_PROCEDURE = "ngram-1"  # raise the number whenever a change here changes the numbers


class Ngram(nn.Module):
    """Maps (B, L) int64 tokens to (B, 256) features: log(1 + count) of each bucket, times ±1/16.

    The expected squared norm of the features equals that of the logarithms. A text's features are bit-identical in any
    batch and with any amount of padding. The signs are drawn as integers, so they are the same on every machine.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__()
        self.register_buffer("table", hash_table(symbols))
        signs = torch.randint(2, (BUCKETS, FEATURES), generator=seeding.generator(0, _PROCEDURE, "signs"))
        self.register_buffer("projection", signs.mul_(2).sub_(1).float().div_(FEATURES**0.5))
        self.table: Tensor
        self.projection: Tensor

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        buckets, counts, starts = bucket_counts(tokens, self.table)
        weights = counts.float().log1p().to(self.projection.dtype)
        features = F.embedding_bag(buckets, self.projection, starts, mode="sum", per_sample_weights=weights)
        return features, None


def bucket_counts(tokens: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count the n-grams of texts by bucket.

    Every symbol of a text ends one n-gram of each order from 1 to 4; begin symbols precede the first symbol. The end
    token counts as a symbol if present: a text that fills its length has none.

    Args:
        tokens: (B, L) int64, all zeros after an item's first 0.
        table: from `hash_table`.

    Returns:
        The buckets of each text, sorted, text by text; the count in each of these buckets; and (B,) the index at which
        each text starts.
    """
    padded = F.pad(tokens, (ORDERS - 1, 0), value=len(table) - 1)
    hashed = torch.zeros_like(tokens)
    orders = []
    for offset in range(ORDERS):  # one symbol longer: the hash so far, combined with that of the symbol `offset` back
        back = ORDERS - 1 - offset
        hashed = hashed ^ table[:, offset][padded[:, back : back + tokens.shape[1]]]
        orders.append(hashed)
    counted = F.pad((tokens == END).cumsum(1) == 0, (1, 0), value=True)[:, :-1]  # including the first end
    of_text = torch.cat(orders, 1).masked_fill_(~counted.repeat(1, ORDERS), BUCKETS).sort(1).values
    first = F.pad(of_text[:, 1:] != of_text[:, :-1], (1, 0), value=True)
    places = first.flatten().nonzero().flatten()
    counts = places.diff(append=places.new_tensor([of_text.numel()]))
    buckets = of_text.flatten()[places]
    real = buckets < BUCKETS
    found = (first & (of_text < BUCKETS)).sum(1)
    return buckets[real], counts[real], found.cumsum(0) - found


def hash_table(symbols: Sequence[str]) -> Tensor:
    """Return (V + 1, 4) int64: hashes of each token, then the begin, as the last, second last, … symbol of an n-gram.

    The hashes of an n-gram's symbols are combined by exclusive or, which distributes well (M. Patrascu, M. Thorup, "The
    Power of Simple Tabulation Hashing", 2012, https://arxiv.org/abs/1011.5200). They are derived from the symbols' code
    points, so that equal texts over different alphabets have equal hashes.
    """
    names = ["end", *(str(ord(symbol)) for symbol in symbols[1:]), "begin"]
    return torch.tensor(
        [[seeding.derive(0, _PROCEDURE, offset, name) % BUCKETS for offset in range(ORDERS)] for name in names]
    )


def load_ngram(symbols: Sequence[str], device: torch.device, precision: str) -> Extractor:
    """Return the extractor for texts over `symbols`, which start with the end token."""
    network = Ngram(symbols)
    sha256 = content_sha256({"projection": network.projection})
    place(network, device, precision)
    return Extractor(
        name="ngram",
        network=network,
        intake=Texts(len(symbols)),
        device=device,
        precision=precision,
        feature_count=FEATURES,
        classes=None,
        weights_sha256=sha256,
        item_bytes=1 << 16,
        fields={
            "procedure": _PROCEDURE,
            "orders": f"1 to {ORDERS}",
            "symbols": "begins before the first, the end where there is one",
            "buckets": BUCKETS,
            "counts": "log(1 + count)",
            "projection": "random signs / 16, seed 0",
            "dimension": FEATURES,
        },
    )
