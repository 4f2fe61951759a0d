"""Augmentations: what moves, what is emptied, and that silence stays silence."""

import pytest
import torch

from helpers.config import AUGMENTATIONS
from helpers.gan.augment import CUTOUT_SHARE, GAIN_RANGE, TIME_SHIFT_SHARE, augment

SILENCE = torch.linspace(-1.2, -0.8, 16)  # (n_mels,), another value in each bin
ALL = AUGMENTATIONS


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def silent(n: int = 64, n_frames: int = 32) -> torch.Tensor:
    return SILENCE[None, None, :, None].expand(n, 1, 16, n_frames).clone()


@pytest.mark.parametrize("names", [(name,) for name in ALL] + [ALL])
@pytest.mark.parametrize("fill", [SILENCE, torch.tensor([-1.0])])
def test_shape_and_kind_are_kept_and_a_draw_is_repeatable(names, fill):
    x = torch.randn(8, 1, 16, 32)
    made = augment(x, names, fill, rng())
    assert made.shape == x.shape and made.dtype == x.dtype
    assert torch.equal(augment(x, names, fill, rng()), made)
    assert not torch.equal(augment(x, names, fill, rng(1)), made)
    assert not torch.equal(made, x)


@pytest.mark.parametrize("names", [(name,) for name in ALL] + [ALL])
def test_silence_stays_silence(names):
    assert torch.equal(augment(silent(), names, SILENCE, rng()), silent())


@pytest.mark.parametrize("names", [(name,) for name in ALL] + [ALL])
def test_it_can_be_learned_through(names):
    x = torch.randn(8, 1, 16, 32).abs().requires_grad_()  # all above silence
    augment(x, names, SILENCE, rng()).sum().backward()
    assert bool(torch.isfinite(x.grad).all())
    assert float((x.grad != 0).float().mean()) > 0.5


def test_nothing_asked_for_is_nothing_done_and_an_unknown_name_is_an_error():
    x = torch.randn(2, 1, 16, 32)
    assert torch.equal(augment(x, (), SILENCE, rng()), x)
    with pytest.raises(KeyError, match="reverb"):
        augment(x, ("reverb",), SILENCE, rng())


def test_a_shift_moves_a_clip_whole_and_lets_silence_in():
    x = silent()
    x[:, :, :, 10:20] = torch.randn(64, 1, 16, 10).abs()
    made, longest = augment(x, ("shift",), SILENCE, rng()), int(TIME_SHIFT_SHARE * 32)
    offsets = []
    for before, after in zip(x, made, strict=True):
        first = int((after[0] > SILENCE[:, None]).any(dim=0).float().argmax())
        offsets.append(first - 10)
        expected = silent(1)[0]
        expected[..., first : first + 10] = before[..., 10:20]
        assert torch.equal(after, expected)
    assert set(offsets) == set(range(-longest, longest + 1))


def test_a_shift_over_the_edge_drops_what_leaves():
    x = torch.ones(64, 1, 16, 32)
    made = augment(x, ("shift",), SILENCE, rng())
    n_silent = (made[:, 0, 0] == SILENCE[0]).sum(dim=1)
    assert int(n_silent.max()) == 4 and int(n_silent.min()) == 0
    assert bool(((made == 1) | (made == silent())).all())


def test_gain_moves_a_clip_by_one_constant_and_not_below_silence():
    x = silent()
    x[:, :, :, :16] = torch.randn(64, 1, 16, 16).abs()
    change = augment(x, ("gain",), SILENCE, rng()) - x
    assert not change[..., 16:].any()
    spread = change[..., :16].amax(dim=(1, 2, 3)) - change[..., :16].amin(dim=(1, 2, 3))
    assert float(spread.max()) < 1e-5
    amounts = change[:, 0, 0, 0]
    assert (
        float(amounts.min()) < -0.5 * GAIN_RANGE
        and 0.5 * GAIN_RANGE < float(amounts.max()) <= GAIN_RANGE
    )
    faint = silent() + 0.01
    assert bool((augment(faint, ("gain",), SILENCE, rng()) >= silent()).all())


def test_a_cutout_silences_one_rectangle_of_at_most_a_quarter_of_either_axis():
    made = augment(torch.ones(64, 1, 16, 32), ("cutout",), SILENCE, rng())
    gone = made != 1
    assert torch.equal(made[gone], silent()[gone])
    rows, columns = gone[:, 0].any(dim=2), gone[:, 0].any(dim=1)
    assert torch.equal(gone[:, 0], rows[:, :, None] & columns[:, None, :])
    assert 0 < int(rows.sum(dim=1).max()) <= CUTOUT_SHARE * 16 + 1
    assert 0 < int(columns.sum(dim=1).max()) <= CUTOUT_SHARE * 32 + 1
    for spans in (rows, columns):
        starts = (spans[:, 1:] & ~spans[:, :-1]).sum(dim=1) + spans[:, 0].long()
        assert int(starts.max()) == 1
