"""Working memory is used again, by its own thread and dtype only, in any mode of autograd."""

import threading

import pytest
import torch

from hypermixer.ops import scratch as module
from hypermixer.ops.scratch import Scratch, working_memory


def test_an_array_is_used_again_for_what_fits_into_it() -> None:
    room = Scratch(torch.empty(0, dtype=torch.bfloat16))
    first = room("state", 4, 6)
    assert first.shape == (4, 6) and first.dtype == torch.bfloat16 and first.is_contiguous()
    assert room("state", 2, 3, 2).data_ptr() == first.data_ptr()
    assert room("hidden", 4, 6).data_ptr() != first.data_ptr()
    assert room("state", 100).numel() == 100
    assert room("state", 3, 0).shape == (3, 0) and room("nothing", 0).shape == (0,)


def borrowed(like: torch.Tensor) -> Scratch:
    with working_memory(like) as room:
        return room


def test_each_dtype_and_each_thread_has_its_own() -> None:
    single, double = torch.empty(0), torch.empty(0, dtype=torch.float64)
    assert borrowed(single) is borrowed(single) is not borrowed(double)
    others: list[Scratch] = []
    thread = threading.Thread(target=lambda: others.append(borrowed(single)))
    thread.start()
    thread.join()
    assert others[0] is not borrowed(single)


def test_other_devices_get_fresh_memory() -> None:
    like = torch.empty(0, device="meta")
    assert borrowed(like) is not borrowed(like)
    assert borrowed(like)("state", 2).device.type == "meta"


def test_memory_from_inference_serves_in_training() -> None:
    room = Scratch(torch.empty(0))
    with torch.inference_mode():
        room("state", 5)
    array = room("state", 5)
    assert not array.is_inference()
    array.copy_(torch.ones(5))


def test_the_largest_arrays_are_given_back_first() -> None:
    room = Scratch(torch.empty(0))
    sizes = {"small": 10, "middle": 20, "large": 30}
    first = {name: room(name, size) for name, size in sizes.items()}
    room.shrink(4 * 60)
    assert all(room(name, 1).data_ptr() == array.data_ptr() for name, array in first.items())
    room.shrink(4 * 30)
    assert room("small", 1).data_ptr() == first["small"].data_ptr()
    assert room("middle", 1).data_ptr() == first["middle"].data_ptr()
    assert room("large", 1).data_ptr() != first["large"].data_ptr()


def test_too_much_is_given_back_even_where_a_call_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT_BYTES", 100)
    like = torch.empty(0, dtype=torch.float16)
    kept: dict[str, torch.Tensor] = {}
    with pytest.raises(ValueError, match="on purpose"), working_memory(like) as room:
        kept["large"] = room("large", 1000)
        raise ValueError("on purpose")
    assert room("large", 1).data_ptr() != kept["large"].data_ptr()
