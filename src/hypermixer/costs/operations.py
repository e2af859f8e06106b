"""E of Cost(R) ~ E * D * H: operations of token mixing for one example, by the HyperMixer paper's formulas.

Source: HyperMixer (arXiv 2203.03691), appendix D; every formula as printed and, where the print errs, corrected.
"""


def hypermixer_printed(tokens: int, d_model: int, d_hidden: int) -> int:
    """Tied HyperMixing: d (4 N d' + 9 d') + N (2 d^2 + 2 d' d + 9 d), as printed, which is right."""
    n, d, k = tokens, d_model, d_hidden
    return d * (4 * n * k + 9 * k) + n * (2 * d * d + 2 * k * d + 9 * d)


def attention_printed(tokens: int, d_model: int, num_heads: int) -> int:
    """Self-attention: 6 h (d/h)^2 + h N^2 2 (d/h) + 3 N + 2 d N^2, as printed.

    The projections lack their factor N and are block-diagonal, the output projection is missing, and the softmax is
    counted for one row of one head.
    """
    n, d, h = tokens, d_model, num_heads
    return 6 * d * d // h + 2 * d * n * n + 3 * n + 2 * d * n * n


def attention_corrected(tokens: int, d_model: int, num_heads: int) -> int:
    """Self-attention: 6 N d^2 (queries, keys, values) + 2 N d^2 (output) + 4 d N^2 (products) + 3 h N^2 (softmax)."""
    n, d, h = tokens, d_model, num_heads
    return 8 * n * d * d + 4 * d * n * n + 3 * h * n * n


#: The FLOP axis of the paper's Figure 2 shows a tenth of what its own formulas give.
FIGURE_2_AXIS = 10
