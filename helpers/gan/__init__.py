"""The generative adversarial network: one network makes sounds, another tells them from real.

Read `networks` (the two players; `stages` lists their layers), `losses` (what each wants),
`augment` (what the discriminator sees), `players` (one update of each), `widen` (the players of a
trained run, for new classes), `captured` (an update repeated by a GPU), `processes` (an update in
several processes), `generator_file` (a generator on disk), `generate` (from classes to sounds),
then `nearest_sound` (from a sound to its latent) and `steer` (between sounds by hand).
"""
