"""How expressive a token mixer is: exact separation ranks of polynomial twins, and bounds of them.

Nothing here is trained, and nothing predicts accuracy: docs/expressivity.md says what the numbers mean.
"""
