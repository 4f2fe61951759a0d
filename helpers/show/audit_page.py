"""What 01_data shows of a folder: how much is used, each class, what is odd, where it was cut."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from helpers.data.audit import AuditRow
from helpers.data.clips import ClipCache
from helpers.show.plots import printable, subplots
from helpers.sound.audio_files import read_clip

ODD_FIRST = ("suspect", "unreadable", "silent", "too short", "kept", "duplicate", "not audio")
SHOWN_S = 60  # of a recording that was cut
ENVELOPE_POINTS = 2_000  # of a drawn waveform


def use_in_words(audit: Sequence[AuditRow]) -> str:
    """How much of the sound that was found is in the clips, in one line.

    As in "of 40.0 minutes in 4 files 38.0 are used, as 2280 clips".
    """
    kept = [row for row in audit if row.status == "kept"]
    found_s, used_s = sum(row.duration_s for row in audit), sum(row.used_s for row in kept)
    unit, factor = ("minutes", 60) if found_s >= 120 else ("seconds", 1)
    n_files = sum(row.duration_s > 0 for row in audit)
    words = (
        f"of {found_s / factor:.1f} {unit} in {n_files} files {used_s / factor:.1f} are used, as "
        f"{sum(row.n_clips for row in kept)} clips"
    )
    left_s = found_s - sum(row.duration_s for row in kept)
    if left_s >= 0.05 * factor:
        words += f"; {left_s / factor:.1f} are in files that are left out"
    return words


def rows_by_class(audit: Sequence[AuditRow]) -> list[dict]:
    """A row for each class: its files, clips and seconds, and what was done to how many files."""
    by_class = defaultdict(list)
    for row in audit:
        by_class[row.label].append(row)
    rows = []
    for label, own in sorted(by_class.items()):
        kept = [row for row in own if row.status == "kept"]
        done = Counter(change.split(" from ")[0] for row in kept for change in row.each_change)
        done.update(row.status for row in own if row.status != "kept")
        rows.append(
            {
                "class": label,
                "files used": f"{len(kept)} of {len(own)}",
                "clips": sum(row.n_clips for row in kept),
                "seconds": round(sum(row.used_s for row in kept), 1),
                "what was done": ", ".join(f"{n} {what}" for what, n in done.most_common()),
            }
        )
    return rows


def odd_files(audit: Sequence[AuditRow]) -> list[AuditRow]:
    """The files that are left out for a fault, or kept with a remark; the oddest first."""
    odd = [row for row in audit if row.status in ODD_FIRST and row.why]
    return sorted(odd, key=lambda row: ODD_FIRST.index(row.status))


def longest_cut(clips: ClipCache) -> int:
    """The row of the longest recording from which less than all was taken, or several clips; -1."""
    cut = [
        (row.duration_s, number)
        for number, row in enumerate(clips.audit)
        if row.status == "kept" and row.duration_s > clips.audio.duration_s
    ]
    return max(cut)[1] if cut else -1


def cut_picture(clips: ClipCache, number: int) -> Figure:
    """The beginning of a recording, by its row in the audit, with the clips cut from it."""
    row, audio = clips.audit[number], clips.audio
    shown_s = min(SHOWN_S, row.duration_s)
    n_samples = round(shown_s * audio.sample_rate)
    waveform = read_clip(
        clips.folder / row.path, audio.sample_rate, 0, n_samples, row.duration_s, row.channel
    )
    parts = np.array_split(waveform, min(ENVELOPE_POINTS, max(1, len(waveform))))
    lows, highs = (np.array([edge(part) for part in parts]) for edge in (np.min, np.max))
    figure, axis = subplots(figsize=(7, 2))
    axis.fill_between(np.linspace(0, shown_s, len(parts)), lows, highs, linewidth=0.5)
    for start in clips.starts[clips.file_index == number] / audio.sample_rate:
        if start < shown_s:
            axis.axvspan(start, start + audio.duration_s, color="C1", alpha=0.3)
            axis.axvline(start, color="C1")
    axis.set(xlabel="time (s)", ylabel="amplitude", xlim=(0, shown_s), ylim=(-1, 1))
    title = f"{row.path}: {row.n_clips} clips from {row.duration_s:.1f} s"
    axis.set_title(printable(title), fontsize=9, parse_math=False)
    return figure
