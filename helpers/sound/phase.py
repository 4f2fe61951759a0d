"""Linear spectrograms to waveforms: phases estimated from the magnitudes, then fast Griffin-Lim."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.config import AudioConfig
from helpers.sound.magnitudes import band_gains
from helpers.sound.mel import mel_filterbank

MOMENTUM = 0.99  # of the phase (Perraudin et al. 2013, Fast Griffin-Lim)
FREEDOM = 0.9  # within a mel band: 0 keeps the given magnitudes, 1 takes those of the waveform
HANN_WIDTH = 0.25645  # of a Hann window as a Gaussian: gamma / length² (Průša et al. 2017)
NEIGHBOURS = 4  # bins to either side that a bin's phase agrees with: a Hann window's main lobe
CONTINUED = 1e-3  # of a bin's magnitude: how strongly its phase goes on from the frame before


def stft(waveforms: Tensor, audio: AudioConfig) -> Tensor:
    """The STFT (B, n_frames, n_freqs) of waveforms (B, clip_samples), with silence around them."""
    window, _ = _window_and_weight(audio, waveforms.device)
    n_fft, hop = audio.n_fft, audio.hop_length
    z = torch.stft(waveforms, n_fft, hop, None, window, pad_mode="constant", return_complex=True)
    return z.transpose(1, 2)  # (B, n_frames, n_freqs)


def istft(spectrum: Tensor, audio: AudioConfig) -> Tensor:
    """Waveforms (B, clip_samples) with the nearest STFT: torch.istft in two thirds of its time."""
    window, weight = _window_and_weight(audio, spectrum.device)
    added = _overlap_add(torch.fft.irfft(spectrum, audio.n_fft) * window, audio.hop_length)
    clip = slice(audio.n_fft // 2, audio.n_fft // 2 + audio.clip_samples)
    return added[:, clip] / weight[:, clip]


@lru_cache(maxsize=8)
def _window_and_weight(audio: AudioConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """The Hann window (n_fft,), and the sum of its squares over the frames of a clip (1, n)."""
    window = torch.hann_window(audio.n_fft, device=device)
    return window, _overlap_add(window.square().expand(1, audio.n_frames, -1), audio.hop_length)


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sum frames (B, n_frames, n), each `hop` samples after the one before, to (B, n_samples)."""
    n_frames, n_hops = frames.shape[1], -(-frames.shape[2] // hop)
    padded = F.pad(frames, (0, n_hops * hop - frames.shape[2]))
    pieces = padded.unflatten(2, (n_hops, hop))  # (B, n_frames, n_hops, hop)
    added = frames.new_zeros(len(frames), n_frames + n_hops - 1, hop)
    for index in range(n_hops):
        added[:, index : index + n_frames] += pieces[:, :, index]
    return added.flatten(1)  # (B, (n_frames + n_hops - 1) * hop)


def magnitude_of(z: Tensor) -> Tensor:
    """|z| of complex numbers, several times as fast as torch.abs, which prevents overflow."""
    return (z.real.square() + z.imag.square()).add_(1e-20).sqrt_()  # no denormals: they are slow


def phase_start(linear: Tensor, audio: AudioConfig, seed: int = 0) -> Tensor:
    """Phases for linear spectrograms (B, n_freqs, n_frames), as complex numbers of modulus 1.

    For a Gaussian window the phase's gradient is that of the log-magnitude, turned by 90 degrees
    (Průša, Balazs and Søndergaard 2017, who integrate it bin by bin, the loudest first). Here a
    frame is done at once: each bin predicts its phase from the frame before, then takes the mean
    of what its neighbours, weighted by magnitude, predict. The seed turns all phases by one angle.
    """
    n_fft, hop, gamma = audio.n_fft, audio.hop_length, HANN_WIDTH * audio.n_fft**2
    magnitude = (linear ** (1 / audio.power)).transpose(1, 2)  # (B, n_frames, n_freqs)
    log = (magnitude + 1e-5 * magnitude.amax(dim=(1, 2), keepdim=True) + 1e-9).log()
    slope, rise = torch.zeros_like(log), torch.zeros_like(log)  # along frequency, along time
    slope[:, :, 1:-1] = (log[:, :, 2:] - log[:, :, :-2]) / 2
    rise[:, 1:-1] = (log[:, 2:] - log[:, :-2]) / 2
    bins = torch.arange(audio.n_freqs, device=linear.device)
    per_frame = hop * n_fft / gamma * slope + 2 * math.pi * hop / n_fft * bins
    per_bin = -gamma / (hop * n_fft) * rise - math.pi
    across = (per_bin[:, :, 1:] + per_bin[:, :, :-1]).cumsum(dim=2) / 2
    across = F.pad(across, (1, 0))  # (B, n_frames, n_freqs), from the lowest bin to each
    along = (per_frame[:, 1:] + per_frame[:, :-1]) / 2 + across[:, :-1] - across[:, 1:]
    steps = torch.polar(magnitude[:, :-1], along)  # (B, n_frames - 1, n_freqs)
    own = CONTINUED * magnitude
    triangle = torch.bartlett_window(2 * NEIGHBOURS + 3, periodic=False, device=linear.device)
    kernel = triangle[1:-1].expand(2, 1, -1)  # (2, 1, 2 * NEIGHBOURS + 1)
    frames = [torch.ones_like(steps[:, 0])]  # less `across`: neighbours that agree are equal
    for frame in range(1, audio.n_frames):
        predicted = torch.view_as_real(frames[-1] * steps[:, frame - 1])  # (B, n_freqs, 2)
        agreed = F.conv1d(predicted.transpose(1, 2), kernel, padding=NEIGHBOURS, groups=2)
        frames.append(torch.sgn(torch.complex(agreed[:, 0] + own[:, frame], agreed[:, 1])))
    turn = 2 * math.pi * torch.rand((), generator=torch.Generator().manual_seed(seed)).item()
    phase = torch.stack(frames, dim=1) * torch.polar(torch.ones_like(across), across + turn)
    return phase.transpose(1, 2)  # (B, n_freqs, n_frames)


def griffin_lim(
    linear: Tensor, phase: Tensor, audio: AudioConfig, n_iterations: int, mel: Tensor | None = None
) -> Tensor:
    """Waveforms (B, clip_samples) with these linear spectrograms (B, n_freqs, n_frames), or mels.

    Fast Griffin-Lim (Perraudin et al. 2013) from phases of modulus 1, shaped like `linear` or
    (n_freqs, n_frames). Given mel (B, n_mels, n_frames), the magnitudes are free: each iteration
    takes most of those of the waveform so far, scaled by `band_gains`. Silence surrounds a clip;
    torchaudio's GriffinLim mirrors it there, which smears an onset at its start.
    """
    bank = mel_filterbank(audio).to(linear.device)
    magnitude = (linear ** (1 / audio.power)).transpose(1, 2).contiguous()
    kept = None if mel is None else mel.transpose(1, 2).contiguous()  # (B, n_frames, n_mels)
    target = magnitude * phase.transpose(-1, -2)  # (B, n_frames, n_freqs)
    before = torch.zeros_like(target)
    for _ in range(n_iterations):
        found = stft(istft(target, audio), audio)
        ahead = torch.add(found, found - before, alpha=MOMENTUM)
        before, wanted = found, magnitude
        if kept is not None:
            own = magnitude_of(found)
            own *= band_gains(own**audio.power, kept, bank) ** (1 / audio.power)
            wanted = torch.lerp(magnitude, own, FREEDOM)
        target = ahead * (wanted / magnitude_of(ahead))
    return istft(target, audio)
