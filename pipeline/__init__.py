"""TransGAN (Jiang, Chang, Wang, NeurIPS 2021) as a cached pipeline: configuration, data, model, training, metrics,
report.
"""
