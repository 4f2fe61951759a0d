"""Train the inversion's network on a run's own clips: both mel and magnitudes are known."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.config import AudioConfig
from helpers.data.clips import ClipCache
from helpers.device import pick_precision
from helpers.network_file import load_network, save_network
from helpers.progress import tracked
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.mel import compress, expand
from helpers.sound.phase import magnitude_of, stft

STEPS = 1_200
BATCH_SIZE = 16
FRAMES = 64  # of a clip in a batch
LEARNING_RATE = 2e-3
LOG_WEIGHT = 0.1  # of the error of log-magnitudes, beside that of magnitudes
MEL_NOISE = 0.1  # largest standard deviation, in nepers: generated mels are not quite real
QUIETEST_DB, LOUDEST_DB = -20.0, 6.0  # range of the random gains of clips
SECONDS_READ = 1_800  # of recordings: more makes nothing better in as many steps
TINY = 1e-10  # added to magnitudes: a root has no slope at 0
MIN_CLIPS = 20  # with fewer, a tenth does not show whether training helped
SILENT = 1e-3  # peak of a clip from which nothing can be learned


def open_magnitude_net(
    path: Path, clips: ClipCache, steps: int = STEPS, device="cpu", progress=None
) -> MagnitudeNet | None:
    """Load the inversion's network, or train it on the training clips and save it to `path`.

    A file is loaded if it was trained on the same clips in as many steps; any other is removed.
    Returns None if steps is 0, if there are fewer than MIN_CLIPS clips, or if the network is no
    better than an untrained one on a tenth of the clips that it was not trained on.
    Raises AudioError if a recording is gone.
    """
    trained_on = {"clips": clips.key, "steps": str(steps)}
    network = load_magnitude_net(path, clips.audio, trained_on)
    if network is not None:
        return network
    path.unlink(missing_ok=True)  # later steps would take it for the network of these clips
    waveforms = read_waveforms(clips) if steps else ()
    if len(waveforms) < MIN_CLIPS:
        return None
    n_checked = len(waveforms) // 10
    checked, learned = waveforms[:n_checked], waveforms[n_checked:]
    network = train_magnitude_net(learned, clips.audio, steps, device=device, progress=progress)
    if not improves_on_untrained(network, checked):
        return None
    save_network(path, network, trained_on)
    return network


def load_magnitude_net(
    path: Path, audio: AudioConfig, trained_on: dict[str, str] | None = None
) -> MagnitudeNet | None:
    """Load the inversion's network; None if there is no whole file of these settings."""
    return load_network(path, MagnitudeNet(audio), trained_on)


def read_waveforms(clips: ClipCache, seconds: float = SECONDS_READ, seed: int = 0) -> Tensor:
    """Read training clips (N, clip_samples) in random order, at most `seconds` of them.

    Clips of silence are left out.
    """
    n_clips = max(1, int(seconds / clips.audio.duration_s))
    chosen = np.random.default_rng(seed).permutation(clips.indices("train"))[:n_clips]
    waveforms = torch.from_numpy(clips.waveforms[chosen]).float()
    return waveforms[waveforms.abs().amax(dim=1) > SILENT]


def train_magnitude_net(
    waveforms: Tensor, audio: AudioConfig, steps=STEPS, seed=0, device="cpu", progress=None
) -> MagnitudeNet:
    """Train a network on clips (N, clip_samples); it comes back on the CPU.

    The loss is `magnitude_loss`. Noise is added to the log-mels of half of the batches, since
    generated mels are not quite those of sounds.
    """
    device = torch.device(device)
    waveforms, rng = waveforms.to(device), torch.Generator().manual_seed(seed)
    short = dataclasses.replace(audio, n_frames=min(FRAMES, audio.n_frames))
    in_bf16 = pick_precision("auto", device) == "bf16"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MagnitudeNet(audio).to(device)
    weights = list(network.parameters())
    optimiser = torch.optim.AdamW(weights, LEARNING_RATE, betas=(0.9, 0.99), fused=True)
    rising = 0.05 if steps > 20 else 0.4  # share of the steps; a twentieth of 20 is no step at all
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=steps, pct_start=rising
    )
    for _ in tracked(progress, range(steps), steps, "inversion"):
        magnitude, mel = _draw_batch(waveforms, short, network.bank, rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
            linear = network(mel)
        optimiser.zero_grad()
        magnitude_loss(linear, magnitude, audio.power).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
    return network.cpu().eval()


@torch.no_grad()
def improves_on_untrained(network: MagnitudeNet, waveforms: Tensor) -> bool:
    """Whether a network has a smaller loss on clips (N, clip_samples) than an untrained one."""
    audio, totals = network.audio, np.zeros(2)
    networks = (network, MagnitudeNet(audio))
    for part in waveforms.split(BATCH_SIZE):
        magnitude, log_mel = _magnitudes_and_log_mels(part, audio, network.bank)
        mel = expand(log_mel, audio)
        losses = [float(magnitude_loss(net(mel), magnitude, audio.power)) for net in networks]
        totals += len(part) * np.array(losses)
    return bool(totals[0] < totals[1])


def magnitude_loss(linear: Tensor, magnitude: Tensor, power: float = 1.0) -> Tensor:
    """How far linear spectrograms (magnitudes raised to `power`) are from the true magnitudes.

    Both are (B, n_freqs, n_frames), >= 0. The loss, a scalar >= 0, is the spectral convergence (the
    norm of the difference over the norm of the true magnitudes) plus LOG_WEIGHT times the mean
    error of log-magnitudes (Arik, Jun and Diamos 2019), averaged over clips. It does not depend on
    loudness.
    """
    found = (linear + TINY) ** (1 / power)
    energy = magnitude.square().sum(dim=(1, 2)) + 1e-3
    convergence = ((found - magnitude).square().sum(dim=(1, 2)) / energy + 1e-6).sqrt()
    floor = 1e-3 * magnitude.amax(dim=(1, 2), keepdim=True) + 1e-6
    log_error = ((found + floor).log() - (magnitude + floor).log()).abs().mean(dim=(1, 2))
    return (convergence + LOG_WEIGHT * log_error).mean()


def _magnitudes_and_log_mels(waveforms: Tensor, audio: AudioConfig, bank: Tensor):
    """Magnitudes (B, n_freqs, n_frames) and log-mels (B, n_mels, n_frames) from one STFT."""
    magnitude = magnitude_of(stft(waveforms, audio)).transpose(1, 2)  # (B, n_freqs, n_frames)
    return magnitude, compress(bank.T @ magnitude**audio.power, audio)


def _draw_batch(waveforms: Tensor, audio: AudioConfig, bank: Tensor, rng: torch.Generator):
    """Magnitudes (B, n_freqs, n_frames) and mels (B, n_mels, n_frames) of random parts of clips.

    The parts have random gains, and the mels of half of the batches are noisy.
    """
    size = audio.clip_samples
    rows = torch.randint(len(waveforms), (BATCH_SIZE,), generator=rng)
    starts = torch.randint(waveforms.shape[1] - size + 1, (BATCH_SIZE,), generator=rng)
    parts = [waveforms[row, first : first + size] for row, first in zip(rows, starts, strict=True)]
    gain_db = QUIETEST_DB + (LOUDEST_DB - QUIETEST_DB) * torch.rand((BATCH_SIZE, 1), generator=rng)
    gains = (10 ** (gain_db / 20)).to(waveforms.device)
    magnitude, log_mel = _magnitudes_and_log_mels(torch.stack(parts) * gains, audio, bank)
    if audio.compression == "log" and torch.rand((), generator=rng) < 0.5:
        amount = MEL_NOISE * torch.rand((BATCH_SIZE, 1, 1), generator=rng)
        noise = amount * torch.randn(log_mel.shape, generator=rng)
        log_mel = log_mel + noise.to(log_mel.device)
    return magnitude, expand(log_mel, audio)
