"""Training: the loop, what it leaves on disk, how it is watched, and its copy on a drive.

Read `loop` (step, look, save, stop), `schedule` (when what is due), `saver` (what is written, and
how a run is taken up again), `changes` (with which recordings it can be), `checkpoints` and
`metrics_file` (the files), `watch` (what a look does), `drive_copy` (a run on Google Drive), then
`side_thread` and `interrupts`.
"""
