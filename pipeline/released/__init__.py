"""Checkpoints of the released TransGAN code (VITA-Group/TransGAN): in, and out again."""
