"""What every token mixer promises, as named checks that anyone can run on a mixer of their own.

    from hypermixer.mixers import contract
    contract.verify(MyMixer)

A check raises AssertionError with the figure that broke the promise.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from hypermixer.errors import InputError
from hypermixer.mixers.base import TokenMixer, strict_options
from hypermixer.mixers.contract_cases import LENGTHS, WIDTH, build, case, given_gradient, results, same, spread_out
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.packing import Packing

TAGS = frozenset({"linear_cost", "fixed_length", "local", "no_mixing", "heads", "d_hidden"})
#: Tokens of a sequence half of which is far to a `local` mixer.
LONG = 40


def verify(mixer: type[TokenMixer], **options: Any) -> None:
    """Runs every check of `CONTRACT` on a mixer class with the given options of its Config."""
    for check in CONTRACT:
        check(mixer, **options)


def keeps_shape_and_dtype(mixer: type[TokenMixer], **options: Any) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        module, x, keep = case(mixer, options, dtype)
        y = module(x, Sequences.padded(x, keep))
        assert y.shape == x.shape and y.dtype == dtype, f"{tuple(y.shape)} {y.dtype} for {tuple(x.shape)} {dtype}"


def zeroes_dropped_positions(mixer: type[TokenMixer], **options: Any) -> None:
    module, x, keep = case(mixer, options)
    assert not module(x, Sequences.padded(x, keep))[~keep].any(), "a dropped position is not zero"


def ignores_what_dropped_positions_hold(mixer: type[TokenMixer], **options: Any) -> None:
    module, x, keep = case(mixer, options)
    poisoned = x.masked_fill(~keep.unsqueeze(-1), float("nan"))
    clean, dirty = results(module, x, keep), results(module, poisoned, keep)
    for name in clean:
        assert torch.equal(clean[name], dirty[name]), f"{name} depends on what a dropped position holds"
    assert not dirty["gradient of x"][~keep].any(), "a dropped position receives a gradient"


def hides_padding(mixer: type[TokenMixer], **options: Any) -> None:
    """A sequence alone, in a batch, with more padding anywhere: the same values and gradients."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        module, x, keep = case(mixer, options, dtype)
        batch = results(module, x, keep)
        sides = {"behind": range(7), "in front": range(5, 12), "in between": (1, 2, 4, 5, 8, 9, 11)}
        for side, places in sides.items():
            more = results(module, spread_out(x, places), spread_out(keep, places))
            for name in batch:
                other = more[name]
                if name in ("output", "gradient of x"):
                    other = other[:, list(places)]
                same(other, batch[name], dtype, f"{name} with padding {side}")
        alone = [
            results(module, x[row : row + 1, :length], None, upper=given_gradient(x)[row : row + 1, :length])
            for row, length in enumerate(LENGTHS)
        ]
        for name in ("output", "gradient of x"):
            same(torch.cat([a[name][0] for a in alone]), batch[name][keep], dtype, f"{name} of sequences alone")


def packs(mixer: type[TokenMixer], **options: Any) -> None:
    """Packed sequences, whatever their order: the same values and gradients as padded ones."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        module, x, keep = case(mixer, options, dtype)
        padded, upper = results(module, x, keep), given_gradient(x)
        for lengths in (LENGTHS, LENGTHS[::-1]):
            order = [LENGTHS.index(n) for n in lengths]
            packing = Packing(lengths, x.device)
            packed = results(
                module,
                torch.cat([x[row, : LENGTHS[row]] for row in order]),
                None,
                torch.cat([upper[row, : LENGTHS[row]] for row in order]),
                packing,
            )
            for name, result in packed.items():
                expected = padded[name]
                if name in ("output", "gradient of x"):
                    expected = torch.cat([expected[row, : LENGTHS[row]] for row in order])
                # Gradients of parameters are sums over tokens, here in another order.
                summed = name not in ("output", "gradient of x")
                same(result, expected, dtype, f"{name} of packed sequences", rounded=summed)


def keeps_sequences_apart(mixer: type[TokenMixer], **options: Any) -> None:
    module, x, keep = case(mixer, options)
    before = module(x, Sequences.padded(x, keep))
    changed = x.clone()
    changed[0] = float("nan")
    after = module(changed, Sequences.padded(changed, keep))
    assert torch.equal(before[1:], after[1:]), "one sequence reaches another"


def trains_every_parameter(mixer: type[TokenMixer], **options: Any) -> None:
    module, x, keep = case(mixer, options)
    for name, gradient in results(module, x, keep).items():
        assert bool(gradient.isfinite().all()), f"{name} is not finite"
        assert name == "output" or bool(gradient.any()), f"{name} is all zero"


def repeats_in_eval(mixer: type[TokenMixer], **options: Any) -> None:
    module, x, keep = case(mixer, options)
    module.eval()
    sequences = Sequences.padded(x, keep)
    assert torch.equal(module(x, sequences), module(x, sequences)), "two runs in eval differ"


def survives_inference_mode(mixer: type[TokenMixer], **options: Any) -> None:
    """Nothing made in inference mode is left behind for the next training step."""
    module, x, keep = case(mixer, options)
    with torch.inference_mode():
        module(x, Sequences.padded(x, keep))
    results(module, x, keep)


def reloads_its_state(mixer: type[TokenMixer], **options: Any) -> None:
    module, x, keep = case(mixer, options)
    state = copy.deepcopy(module.state_dict())
    pointers = [t.data_ptr() for t in module.state_dict().values()]
    assert len(set(pointers)) == len(pointers), "two entries of the state dict share memory"
    torch.manual_seed(1)
    other = build(mixer, options, torch.float32)
    other.load_state_dict(state)
    sequences = Sequences.padded(x, keep)
    assert torch.equal(module(x, sequences), other(x, sequences)), "a reloaded mixer differs"


def counts_its_flops(mixer: type[TokenMixer], **options: Any) -> None:
    module = build(mixer, options, torch.float32)
    for tokens in (1, 13, 128):
        tokens = min(tokens, module.max_length or tokens)
        x = torch.randn(2, tokens, WIDTH)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(x, Sequences.padded(x))
        said, counted = 2 * module.flops(tokens), counter.get_total_flops()
        assert said == counted, f"flops({tokens}) says {said} for two sequences, the counter {counted}"


def keeps_its_tags(mixer: type[TokenMixer], **options: Any) -> None:
    module = build(mixer, options, torch.float32)
    assert mixer.tags <= TAGS, f"unknown tags {sorted(mixer.tags - TAGS)}"
    assert module.positions in ("own", "input", "none") and mixer.source and mixer.cost
    names = {f.name for f in fields(mixer.Config)}
    assert ("heads" in mixer.tags) == ("num_heads" in names) and ("d_hidden" in mixer.tags) == ("d_hidden" in names)
    assert ("fixed_length" in mixer.tags) == (module.max_length is not None), f"max_length is {module.max_length}"
    tokens = module.max_length or 64_000
    growth = module.flops(tokens) / max(1, module.flops(1))
    memory = module.state_size(tokens) / max(1, module.state_size(1))
    linear = max(growth, memory) <= tokens
    assert linear == ("linear_cost" in mixer.tags), f"{tokens} tokens cost {growth:.2f} times the operations of one"


def reaches_as_far_as_it_says(mixer: type[TokenMixer], **options: Any) -> None:
    """A token reaches some that are far away; tagged `local` none of those; tagged `no_mixing` none but itself."""
    torch.manual_seed(0)
    module = build(mixer, options, torch.float64)
    x = torch.randn(1, min(LONG, module.max_length or LONG), WIDTH, dtype=torch.float64, requires_grad=True)
    y = module(x, Sequences.padded(x))
    others = far = False
    for token in (0, x.shape[1] - 1):
        (gradient,) = torch.autograd.grad(y[0, token].sin().sum(), x, retain_graph=True)
        reached = gradient[0].abs().amax(-1) > 0
        away = (torch.arange(x.shape[1]) - token).abs()
        others |= bool(reached[away > 0].any())
        far |= bool(reached[2 * away > x.shape[1]].any())
    kind = "global" if far else "local" if others else "no_mixing"
    said = next((tag for tag in ("no_mixing", "local") if tag in mixer.tags), "global")
    assert kind == said, f"the ends of a sequence see {kind}, the tags say {said}"


def knows_the_order_it_says(mixer: type[TokenMixer], **options: Any) -> None:
    """Reversing a sequence reverses the result where `positions` is `none`, and not where it is `own`."""
    torch.manual_seed(0)
    module = build(mixer, options, torch.float64)
    x = torch.randn(1, 9, WIDTH, dtype=torch.float64)
    there = module(x, Sequences.padded(x))
    back = module(x.flip(1), Sequences.padded(x)).flip(1)
    blind = error_ratio(there, back) <= TOLERANCES[torch.float64].exact
    wrong = "own" if blind else "none"
    assert module.positions != wrong, f"positions='{wrong}', but blind to order: {blind}"


def refuses_what_is_too_long(mixer: type[TokenMixer], **options: Any) -> None:
    """More tokens than `max_length` are an error; more padding is not."""
    module = build(mixer, options, torch.float32)
    if module.max_length is None:
        return
    x = torch.randn(2, module.max_length + 3, WIDTH)
    keep = torch.arange(x.shape[1]).expand(2, -1) >= 3
    module(x, Sequences.padded(x, keep))
    flat = x.flatten(0, 1)
    for sequences in (
        Sequences.padded(x),
        Sequences.padded(x, keep | True),
        Sequences.packed(flat, Packing((x.shape[1],) * 2, x.device)),
    ):
        try:
            module(flat if sequences.packing else x, sequences)
        except InputError:
            continue
        raise AssertionError(f"{x.shape[1]} tokens are accepted where {module.max_length} are the most")


def refuses_unknown_options(mixer: type[TokenMixer], **options: Any) -> None:
    config = strict_options(mixer.Config, options, mixer.__name__)
    assert is_dataclass(config)
    try:
        strict_options(mixer.Config, {"no_such_option": 1}, mixer.__name__)
    except InputError:
        pass
    else:
        raise AssertionError("an unknown option is accepted")
    try:
        config.no_such_option = 1  # pyright: ignore[reportAttributeAccessIssue]
    except (FrozenInstanceError, TypeError):
        return
    raise AssertionError("the Config is not frozen")


def works_under_autocast(mixer: type[TokenMixer], **options: Any) -> None:
    module, x, keep = case(mixer, options)
    expected = module(x, Sequences.padded(x, keep))
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = module(x, Sequences.padded(x, keep))
    y.float().sum().backward()
    ratio = error_ratio(y, expected)
    assert ratio <= TOLERANCES[torch.bfloat16].rounded, f"autocast is off by {ratio:.1e}"


CONTRACT: Sequence[Callable[..., None]] = (
    keeps_shape_and_dtype,
    zeroes_dropped_positions,
    ignores_what_dropped_positions_hold,
    hides_padding,
    packs,
    keeps_sequences_apart,
    trains_every_parameter,
    repeats_in_eval,
    survives_inference_mode,
    reloads_its_state,
    counts_its_flops,
    keeps_its_tags,
    reaches_as_far_as_it_says,
    knows_the_order_it_says,
    refuses_what_is_too_long,
    refuses_unknown_options,
    works_under_autocast,
)
