"""The Inception extractors against the libraries that define them, and known values where weights are at hand."""

import io
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from cleanfid.resize import build_resizer
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torchvision.models import vgg16

from pipeline.base.errors import UserError
from pipeline.base.files import sha256
from pipeline.metrics.distances import frechet_distance
from pipeline.metrics.extractors import inception, weights
from pipeline.metrics.extractors.extractor import Features
from pipeline.metrics.extractors.inception import Inception, from_fidelity, load_network, resize_clean, resize_legacy


def images(count, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


@pytest.mark.parametrize("side", [8, 32, 48, 64, 128, 256, 299, 512])
def test_the_clean_resize_is_clean_fids(side):
    image = images(1, side)
    theirs = build_resizer("clean")(image[0].transpose(1, 2, 0)).transpose(2, 0, 1)
    both = np.concatenate([image, images(1, side, 1)])
    assert np.array_equal(resize_clean(torch.from_numpy(both))[0].numpy(), theirs)


@pytest.mark.parametrize("side", [8, 32, 48, 64, 299, 512])
def test_the_legacy_resize_is_torch_fidelitys(side):
    image = torch.from_numpy(images(1, side))
    theirs = interpolate_bilinear_2d_like_tensorflow1x(image.float(), size=(299, 299), align_corners=False)
    assert torch.equal(resize_legacy(image), theirs)


def test_the_legacy_resize_keeps_the_first_pixel_and_repeats_the_last():
    image = torch.from_numpy(images(1, 32))
    large = resize_legacy(image)
    assert large.shape == (1, 3, 299, 299) and torch.equal(large[..., 0, 0], image[..., 0, 0].float())
    torch.testing.assert_close(large[..., -1, -1], image[..., -1, -1].float())  # TensorFlow 1: nothing is centred
    assert (large - resize_clean(image)).abs().mean() > 1


@pytest.fixture(scope="module")
def fidelity():
    """torch-fidelity's network with random weights, its own way of loading left alone."""
    random = torch.Generator().manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        empty = io.BytesIO()
        torch.save({}, empty)
        empty.seek(0)
        network = FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=empty
        )
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.copy_(torch.randn(parameter.shape, generator=random) * (2 / parameter[0].numel()) ** 0.5)
    return network


def test_legacy_is_torch_fidelitys_network_and_resize(fidelity):
    batch = torch.from_numpy(images(2, 32))
    with torch.no_grad():
        features, logits = Inception(resize_legacy, *from_fidelity(fidelity))(batch)
        theirs = fidelity(batch)
    assert features.shape == (2, 2048) and logits.shape == (2, 1008) and features.std() > 1e-3
    torch.testing.assert_close(features, theirs[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits, theirs[1], rtol=1e-4, atol=1e-5)


def test_a_file_that_is_not_what_it_was_is_refused(tmp_path):
    path = tmp_path / weights.PACKAGED.file
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"default_1\.pt: sha256 is .*; allowed are .*default_1\.pt 7ff4a85c"):
        load_network("inception_clean", path)


def at_hand(extractor):
    """Weights that lie on this machine; the test is skipped where there are none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "download", lambda *_: (_ for _ in ()).throw(UserError("tests use no network")))
        try:
            return weights.find(extractor, None)
        except UserError as reason:
            pytest.skip(str(reason))


# Of the packaged weights, by clean-fid's and torch-fidelity's own resizes; the official files differ in rounding alone.
KNOWN_CLEAN, KNOWN_LEGACY = 521.4997, 460.0505


def test_true_values_of_synthetic_images(tmp_path):
    """FID of eight grey areas of rising level against eight images of white noise, and against themselves."""
    clean = load_network("inception_clean", at_hand("inception_clean"))
    (tmp_path / "mine.bin").symlink_to(at_hand("inception_legacy"))  # a file is known by its hash, whatever its name
    legacy = load_network("inception_legacy", tmp_path / "mine.bin")
    flat = np.broadcast_to(np.arange(8, 256, 32, dtype=np.uint8)[:, None, None, None], (8, 3, 32, 32))
    for extractor, theirs in ((clean, KNOWN_CLEAN), (legacy, KNOWN_LEGACY)):
        real = extractor.extract(flat, 8)
        noise = extractor.extract(images(8, 32), 8)
        assert real.features.shape == (8, 2048) and (noise.logits is None) == (extractor.network.head is None)
        assert frechet_distance(Features(real.features).gaussian, Features(real.features).gaussian) == pytest.approx(
            0, abs=1e-3
        )
        assert frechet_distance(Features(real.features).gaussian, Features(noise.features).gaussian) == pytest.approx(
            theirs, rel=1e-3
        )


@pytest.mark.nightly  # 138 million parameters are made
def test_vgg_is_torch_fidelitys_layer_and_read_without_pickles(tmp_path, monkeypatch):
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in vgg16().state_dict().items()}
    random = torch.Generator().manual_seed(0)
    state = {name: torch.randn(1, generator=random).expand(shape) * 1e-3 for name, shape in shapes.items()}
    path = tmp_path / "vgg16-397923af.pth"
    torch.save(state, path)  # expanded: a file of a few kilobytes
    monkeypatch.setattr(weights, "VGG16", replace(weights.VGG16, checksum=f"sha256 {sha256(path)}"))
    features = inception.load_network("vgg16", path).extract(images(2, 32), 2)
    assert features.features.shape == (2, 4096) and features.logits is None
    torch.save({"weight": Path}, path)
    monkeypatch.setattr(weights, "VGG16", replace(weights.VGG16, checksum=f"sha256 {sha256(path)}"))
    with pytest.raises(UnpicklingError):
        inception.load_network("vgg16", path)
