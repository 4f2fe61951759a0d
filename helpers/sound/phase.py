"""Phase for magnitudes: a start that follows their gradients, then fast Griffin-Lim, batched."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.config import AudioConfig
from helpers.sound.magnitudes import band_gains

MOMENTUM = 0.99  # of the phase (Perraudin et al. 2013, Fast Griffin-Lim)
FREEDOM = 0.9  # of the magnitudes within a mel band: 0 keeps those given, 1 takes those of the waveform so far
HANN_WIDTH = (
    0.25645  # of a Hann window as a Gaussian: gamma / length² (Průša, Balazs and Søndergaard 2017)
)
NEIGHBOURS = (
    4  # bins to either side whose phases a bin is asked to agree with: a Hann window's main lobe
)
FOLLOWED = 1e-3  # of a frame's magnitude, below which the frame before it says nothing of its phase


def spectrum(waveforms: Tensor, audio: AudioConfig) -> Tensor:
    """The STFT (B, n_frames, n_freqs) of waveforms (B, clip_samples), around which is silence, as in MelExtractor."""
    window, _ = _window_and_weight(audio, waveforms.device)
    found = torch.stft(
        waveforms,
        audio.n_fft,
        audio.hop_length,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    return found.transpose(1, 2)


def waveforms_of(frames: Tensor, audio: AudioConfig) -> Tensor:
    """The waveforms (B, clip_samples) whose STFT is nearest to frames (B, n_frames, n_freqs), as torch.istft's.

    In two thirds of its time: no transposed copies, and no search for samples that no window covers.
    """
    window, weight = _window_and_weight(audio, frames.device)
    added = _overlap_add(torch.fft.irfft(frames, audio.n_fft) * window, audio.hop_length)
    clip = slice(audio.n_fft // 2, audio.n_fft // 2 + audio.clip_samples)
    return added[:, clip] / weight[:, clip]


@lru_cache(maxsize=8)
def _window_and_weight(audio: AudioConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """The window (n_fft,), and what its square adds up to over the frames of a clip: the same in every iteration."""
    window = torch.hann_window(audio.n_fft, device=device)
    return window, _overlap_add(window.square().expand(1, audio.n_frames, -1), audio.hop_length)


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames (B, n_frames, n) added up, each `hop` samples after the one before: (B, at least n_frames * hop + n)."""
    n_frames, n_hops = frames.shape[1], -(-frames.shape[2] // hop)
    pieces = F.pad(frames, (0, n_hops * hop - frames.shape[2])).unflatten(2, (n_hops, hop))
    added = frames.new_zeros(len(frames), n_frames + n_hops - 1, hop)
    for index in range(n_hops):
        added[:, index : index + n_frames] += pieces[:, :, index]
    return added.flatten(1)


def modulus(z: Tensor) -> Tensor:
    """|z| of complex numbers; torch.abs guards against overflow and takes several times as long."""
    return (
        (z.real.square() + z.imag.square()).add_(1e-20).sqrt_()
    )  # no denormal numbers: they are slow


def raised(x: Tensor, exponent: float) -> Tensor:
    """x to a power, without a copy of it where that is 1."""
    return x if exponent == 1 else x.pow(exponent)


def phase_start(linear: Tensor, audio: AudioConfig, seed: int = 0) -> Tensor:
    """Phases, as complex numbers of modulus 1 (B, n_freqs, n_frames), that fit magnitudes (B, n_freqs, n_frames).

    Of a Gaussian window the log-magnitude's gradient is the phase's, turned by 90 degrees (Průša, Balazs and
    Søndergaard 2017, phase gradient heap integration). They integrate it from bin to bin, the loudest first. Here a
    frame is done at once: each bin's phase goes on from the frame before, then is the mean of what its neighbours,
    by their magnitude, say of it by the gradient along frequency. The seed turns all phases by one angle, unheard.
    """
    n_fft, hop = audio.n_fft, audio.hop_length
    magnitude = raised(linear, 1 / audio.power).transpose(1, 2)  # (B, n_frames, n_freqs)
    log = (magnitude + 1e-5 * magnitude.amax(dim=(1, 2), keepdim=True) + 1e-9).log()
    bins = torch.arange(audio.n_freqs, device=linear.device)
    gamma = HANN_WIDTH * n_fft**2
    slope, rise = torch.zeros_like(log), torch.zeros_like(log)  # along frequency, along time
    slope[:, :, 1:-1] = (log[:, :, 2:] - log[:, :, :-2]) / 2
    rise[:, 1:-1] = (log[:, 2:] - log[:, :-2]) / 2
    per_frame = hop * n_fft / gamma * slope + 2 * math.pi * hop / n_fft * bins
    per_bin = -gamma / (hop * n_fft) * rise - math.pi
    across = F.pad(
        (per_bin[:, :, 1:] + per_bin[:, :, :-1]).cumsum(dim=2) / 2, (1, 0)
    )  # from the lowest bin
    along = (per_frame[:, 1:] + per_frame[:, :-1]) / 2 + across[:, :-1] - across[:, 1:]
    steps = torch.polar(magnitude[:, :-1], along)  # (B, n_frames - 1, n_freqs)
    own = FOLLOWED * magnitude
    kernel = torch.bartlett_window(2 * NEIGHBOURS + 3, periodic=False, device=linear.device)[
        1:-1
    ].expand(2, 1, -1)
    found = [
        torch.ones_like(steps[:, 0])
    ]  # less `across`, so that neighbours which agree are equal
    for frame in range(1, audio.n_frames):
        said = torch.view_as_real(found[-1] * steps[:, frame - 1]).transpose(
            1, 2
        )  # (B, 2, n_freqs)
        agreed = F.conv1d(said, kernel, padding=NEIGHBOURS, groups=2)
        found.append(torch.sgn(torch.complex(agreed[:, 0] + own[:, frame], agreed[:, 1])))
    turn = 2 * math.pi * torch.rand((), generator=torch.Generator().manual_seed(seed)).item()
    return (
        torch.stack(found, dim=1) * torch.polar(torch.ones_like(across), across + turn)
    ).transpose(1, 2)


def griffin_lim(
    linear: Tensor,
    phase: Tensor,
    audio: AudioConfig,
    n_iterations: int,
    mel: Tensor | None = None,
    bank: Tensor | None = None,
) -> Tensor:
    """A waveform (B, clip_samples) whose spectrogram is near `linear` (B, n_freqs, n_frames), or keeps `mel`.

    Fast Griffin-Lim (Perraudin et al. 2013) from phases of modulus 1 (B, n_freqs, n_frames) or (n_freqs, n_frames).
    Around the clip is silence; torchaudio.transforms.GriffinLim mirrors the clip there, which smears an onset at its
    start. Given mel (B, n_mels, n_frames) and bank (n_freqs, n_mels), magnitudes are not fixed: each iteration goes
    most of the way to those of the waveform so far, scaled by what each band lacks.
    """
    magnitude = (
        raised(linear, 1 / audio.power).transpose(1, 2).contiguous()
    )  # (B, n_frames, n_freqs)
    kept = None if mel is None else mel.transpose(1, 2).contiguous()
    target = magnitude * phase.transpose(-1, -2)
    before = torch.zeros_like(target)
    for _ in range(n_iterations):
        found = spectrum(waveforms_of(target, audio), audio)
        ahead = torch.add(found, found - before, alpha=MOMENTUM)
        before, wanted = found, magnitude
        if kept is not None:
            own = modulus(found)
            own *= raised(band_gains(raised(own, audio.power), kept, bank), 1 / audio.power)
            wanted = torch.lerp(magnitude, own, FREEDOM)
        target = ahead * (wanted / modulus(ahead))
    return waveforms_of(target, audio)
