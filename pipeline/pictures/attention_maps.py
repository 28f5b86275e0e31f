"""Small maps for the report: where a generator's tokens look, and what its relative positions learned."""

from pathlib import Path

from torch import Tensor

from pipeline.networks.families import attention_function
from pipeline.networks.interface import Generator
from pipeline.pictures.contact_sheet import write_maps

SAMPLES = 4  # the first so many of the measured samples


def write_attention(folder: Path, generator: Generator, latents: Tensor, *, family: str, seed: int) -> None:
    """Sheets `attention` and, where the network has the tables, `relative_position` of one block in `folder`.

    `attention`: a row per sample, a map per head and query token (the JSON names them, and the attention's kind and
    window). `relative_position`: a row per table, a map per head, (2h - 1) x (2w - 1) offsets of a key from its query,
    upper left first. Nothing is written for a family without attention.
    """
    function = attention_function(family)
    if function is None:
        return
    found = function(generator, latents[:SAMPLES], seed=seed)
    samples, heads, queries = found.weights.shape[:3]
    facts = {"kind": found.kind, "stage": found.stage, "side": found.side, "window": found.window}
    columns = [(head, list(query)) for head in range(heads) for query in found.queries]
    write_maps(
        folder / "attention",
        found.weights.reshape(samples, heads * queries, found.side, found.side),
        rows=list(range(samples)),
        **facts,
        heads=[head for head, _ in columns],
        queries=[query for _, query in columns],
    )
    for name, table in found.tables:
        write_maps(folder / f"relative_position{name}", table[None], rows=[0], **facts)
