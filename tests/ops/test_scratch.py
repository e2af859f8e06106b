"""Working memory is used again, by its own thread and dtype only, in any mode of autograd."""

import threading

import torch

from hypermixer.ops import scratch as module
from hypermixer.ops.scratch import Scratch, scratch


def test_an_array_is_used_again_for_what_fits_into_it() -> None:
    room = Scratch(torch.empty(0, dtype=torch.bfloat16))
    first = room("state", 4, 6)
    assert first.shape == (4, 6) and first.dtype == torch.bfloat16 and first.is_contiguous()
    assert room("state", 2, 3, 2).data_ptr() == first.data_ptr()
    assert room("hidden", 4, 6).data_ptr() != first.data_ptr()
    assert room("state", 100).numel() == 100
    assert room("state", 3, 0).shape == (3, 0) and room("nothing", 0).shape == (0,)


def test_each_dtype_and_each_thread_has_its_own() -> None:
    single, double = torch.empty(0), torch.empty(0, dtype=torch.float64)
    assert scratch(single) is scratch(single) is not scratch(double)
    others: list[Scratch] = []
    thread = threading.Thread(target=lambda: others.append(scratch(single)))
    thread.start()
    thread.join()
    assert others[0] is not scratch(single)


def test_other_devices_get_fresh_memory() -> None:
    like = torch.empty(0, device="meta")
    assert scratch(like) is not scratch(like)
    assert scratch(like)("state", 2).device.type == "meta"


def test_memory_from_inference_serves_in_training() -> None:
    room = Scratch(torch.empty(0))
    with torch.inference_mode():
        room("state", 5)
    array = room("state", 5)
    assert not array.is_inference()
    array.copy_(torch.ones(5))


def test_only_large_arrays_are_given_back() -> None:
    room = Scratch(torch.empty(0))
    count = module._MOST_KEPT_BYTES // 4
    small, large = room("small", count), room("large", count + 1)
    room.give_back_large()
    assert room("small", 1).data_ptr() == small.data_ptr()
    assert room("large", 1).data_ptr() != large.data_ptr()
