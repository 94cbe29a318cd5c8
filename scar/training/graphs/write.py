"""Ranker -> ONNX files by PyTorch's exporter. Judges nothing."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import onnx
import onnx_ir
import torch
from torch import Tensor, nn
from torch.export import Dim

from scar.bundle import HEAD, MODEL, TOWER
from scar.errors import GateError, InputError
from scar.serving.engines.graph_file import check_graph
from scar.training.bare import BareEncoder
from scar.training.cross import CrossEncoder
from scar.training.engine import Ranker
from scar.training.graphs.deberta import with_fast_attention
from scar.training.style.model import StyleRanker

LARGEST = 2**31 - 2**24
"""Bytes of weights; protobuf ends at 2 GB, and the graph itself wants some."""


class _TowerGraph(nn.Module):
    def __init__(self, ranker: StyleRanker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return tuple(self.ranker.tower(input_ids, attention_mask))  # type: ignore[return-value]


class _HeadGraph(nn.Module):
    def __init__(self, ranker: StyleRanker) -> None:
        super().__init__()
        self.relation, self.output = ranker.relation, ranker.output

    def forward(self, x_pooled: Tensor, y_pooled: Tensor, y_form: Tensor) -> Tensor:
        surprisal = self.relation(torch.cat([x_pooled, y_pooled], dim=1))
        score: Tensor = self.output(torch.cat([surprisal, y_form], dim=1)).squeeze(-1)
        return score


class _ModelGraph(nn.Module):
    def __init__(self, ranker: CrossEncoder) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return tuple(self.ranker(input_ids, attention_mask, token_type_ids))


class _EncoderGraph(nn.Module):
    def __init__(self, ranker: BareEncoder) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        embedding: Tensor = self.ranker(input_ids, attention_mask).embedding
        return embedding


def write_graphs(ranker: Ranker, folder: Path, *, token_types: bool) -> None:
    """Write tower.onnx and head.onnx of a style ranker, model.onnx of the others; both axes of every input dynamic.

    Raises InputError for a ranker that one ONNX file cannot hold: weights in files of their own are never written, nor
    read.
    """
    _refuse_too_large(ranker)
    ranker = cast(Ranker, with_fast_attention(ranker))
    # 2 and 7: an example axis of 1, or two equal ones, would be taken for fixed.
    ids = torch.arange(14).reshape(2, 7) % 4 + 1
    if isinstance(ranker, CrossEncoder):
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if token_types:
            inputs["token_type_ids"] = (torch.arange(14).reshape(2, 7) % 7 > 3).long()
        _export(
            _ModelGraph(ranker),
            tuple(inputs.values()),
            folder / MODEL,
            list(inputs),
            ["score", "embedding"],
            {0: Dim.DYNAMIC, 1: Dim.DYNAMIC},
        )
        return
    if isinstance(ranker, BareEncoder):
        _export(
            _EncoderGraph(ranker),
            (ids, torch.ones_like(ids)),
            folder / MODEL,
            ["input_ids", "attention_mask"],
            ["embedding"],
            {0: Dim.DYNAMIC, 1: Dim.DYNAMIC},
        )
        return
    _style_graphs(ranker, ids, folder)


def _refuse_too_large(ranker: nn.Module) -> None:
    """Raise InputError where the weights do not fit into one ONNX file."""
    size = sum(weight.numel() * 4 for weight in ranker.state_dict().values())
    if size > LARGEST:
        raise InputError(
            f"the ranker's weights are {size / 1e9:.1f} GB in fp32, and an ONNX file holds 2 GB: export a smaller "
            "encoder, or score with --engine torch, which needs no graph"
        )


def _style_graphs(ranker: StyleRanker, ids: Tensor, folder: Path) -> None:
    hidden = cast(nn.Linear, ranker.output[0]).in_features // 2
    _export(
        _TowerGraph(ranker),
        (ids, torch.ones_like(ids)),
        folder / TOWER,
        ["input_ids", "attention_mask"],
        ["pooled", "form", "mean"],
        {0: Dim.DYNAMIC, 1: Dim.DYNAMIC},
    )
    vectors = tuple(torch.rand(3, hidden) for _ in range(3))
    _export(
        _HeadGraph(ranker),
        vectors,
        folder / HEAD,
        ["x_pooled", "y_pooled", "y_form"],
        ["score"],
        {0: Dim.DYNAMIC},
    )


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: dict[int, Any],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            module.eval(),
            example,
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(axes for _ in example),
        )
    assert program is not None
    _anonymise(program.model)
    _rename_inner(program.model.graph, outputs)
    program.save(str(path), external_data=False)
    check_graph(path)
    fixed = [
        value.name
        for value in onnx.load(str(path)).graph.input
        for axis in axes
        if not value.type.tensor_type.shape.dim[axis].dim_param
    ]
    if fixed:
        raise GateError(f"{path.name}: the exporter fixed an axis of {fixed[0]}")


def _anonymise(model: onnx_ir.Model) -> None:
    """Take out what the exporter notes of the source: stack traces name the folders of the machine."""
    graph = model.graph
    parts: list[Any] = [model, graph, *graph.all_nodes(), *_values(graph)]
    for part in parts:
        part.metadata_props.clear()
        part.doc_string = None


def _values(graph: onnx_ir.Graph) -> list[onnx_ir.Value]:
    return [*graph.inputs, *graph.initializers.values(), *(v for n in graph.all_nodes() for v in n.outputs)]


def _rename_inner(graph: onnx_ir.Graph, outputs: Sequence[str]) -> None:
    """Rename inner values that have the name of an output: DeBERTa's normalisation has a `mean` too."""
    for value in _values(graph):
        if value.name in outputs and not value.is_graph_output():
            value.name = f"inner_{value.name}"
