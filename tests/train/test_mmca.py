"""The two-softmax attention against numbers of the authors' own code, in prompt and in decoding phase."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from config.schema import StepSettings
from train.errors import TrainError
from train.model.mmca import two_softmaxes
from train.model.packed_decoder import PackedDecoder
from train.model.packing import Context, Layout, TokenTree, embed, lay_out

CPU = torch.device("cpu")
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> dict[str, torch.Tensor]:
    file = shared_data / "reference" / "lmm-vqa-released" / "A3_mmca_llama.safetensors"
    if not file.is_file():
        pytest.skip("the authors' numbers (../shared/data/reference) are not on this machine")
    return load_file(file)


def decoder_of(reference: dict[str, torch.Tensor]) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=100, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 1e4},
    )  # fmt: skip
    decoder = LlamaForCausalLM(config).eval()
    weights = {name.removeprefix("w."): tensor for name, tensor in reference.items() if name.startswith("w.")}
    decoder.load_state_dict(weights)
    return decoder.requires_grad_(False)  # type: ignore[no-any-return]


def whole(kinds: list[bool]) -> Layout:
    """A layout of one sequence whose tokens are a medium's or text."""
    tree = TokenTree()
    ends = [number for number, medium in enumerate(kinds) if medium]
    prefix = ends[-1] + 1 if ends else 1
    tree.add([0] * (len(kinds) - prefix))
    parts = tuple(torch.zeros(1, 48) if medium else (0,) for medium in kinds[:prefix])
    return lay_out([Context(parts, tree, True)], CPU)


@pytest.mark.parametrize(
    ("case", "media"),
    [
        ("a3", range(5, 23)),
        ("image_first", range(6)),
        ("no_image", ()),
        ("two_images", None),
    ],
)
def test_logits_are_the_authors(reference: dict[str, torch.Tensor], case: str, media: range | None) -> None:
    kinds = (reference[f"{case}.mask"][0] == 2).tolist()
    assert media is None or [n for n, medium in enumerate(kinds) if medium] == list(media)
    decoder = decoder_of(reference)
    packed = PackedDecoder(decoder, StepSettings(), "mmca")
    embeddings = reference[f"{case}.inputs_embeds"]
    logits = packed.logits(decoder, embeddings, whole(kinds), torch.arange(len(kinds)))
    torch.testing.assert_close(logits, reference[f"{case}.logits"][0], **CLOSE)


def test_loss_and_gradient_are_the_authors(reference: dict[str, torch.Tensor]) -> None:
    decoder = decoder_of(reference)
    packed = PackedDecoder(decoder, StepSettings(), "mmca")
    image = reference["a3.image_embeds"].clone().requires_grad_()
    before, after = reference["a3.inputs_embeds"].split([5, 27], dim=1)
    embeddings = torch.cat([before, image, after[:, 18:]], dim=1)
    labels = reference["a3.labels"][0]
    rows = (labels != -100).nonzero()[:, 0]
    kinds = (reference["a3.mask"][0] == 2).tolist()
    logits = packed.logits(decoder, embeddings, whole(kinds), rows - 1)
    loss = torch.nn.functional.cross_entropy(logits, labels[rows])
    torch.testing.assert_close(loss[None], reference["a3.loss"], **CLOSE)
    loss.backward()
    torch.testing.assert_close(image.grad, reference["a3.grad_image_embeds"], **CLOSE)


def test_tokens_behind_a_cache_are_the_authors(reference: dict[str, torch.Tensor]) -> None:
    decoder = decoder_of(reference)
    packed = PackedDecoder(decoder, StepSettings(), "mmca")
    embeddings, table = reference["a3.inputs_embeds"], decoder.get_input_embeddings()
    cache = DynamicCache(config=decoder.config)
    media = reference["a3.mask"][0] == 2
    with torch.inference_mode():
        logits = packed.logits(decoder, embeddings, whole(media.tolist()), torch.tensor([31]), cache)
        for number, token in enumerate(reference["a3.gen_new_ids"][0].tolist()):
            torch.testing.assert_close(logits[0], reference["a3.gen_scores"][0, number], **CLOSE)
            assert int(logits[0].argmax()) == token
            media = torch.cat([media, torch.tensor([False])])
            logits = packed.continued(
                decoder,
                table(torch.tensor([[token]])),
                torch.tensor([[32 + number]]),
                torch.ones(1, len(media), dtype=torch.bool),
                media,
                cache,
            )


def test_questions_that_share_a_context_are_read_as_if_alone(reference: dict[str, torch.Tensor]) -> None:
    decoder = decoder_of(reference)
    packed = PackedDecoder(decoder, StepSettings(), "mmca")
    video, branches = torch.randn(6, 48), ([9, 8, 7], [5, 4])
    table = decoder.get_input_embeddings()

    def read(*questions: list[int]) -> torch.Tensor:
        tree = TokenTree()
        ends = [tree.add(ids) for ids in questions]
        context = Context(((1, 2), video), tree)
        layout = lay_out([context], CPU)
        rows = torch.tensor([layout.segments[0].row(end) for end in ends])
        return packed.logits(decoder, embed([context], table), layout, rows)

    torch.testing.assert_close(read(*branches), torch.cat([read(ids) for ids in branches]), **CLOSE)


def test_branches_behind_media_that_no_text_precedes_are_refused() -> None:
    tree = TokenTree()
    tree.add([1])
    tree.add([2])
    with pytest.raises(TrainError, match="begin with a system prompt"):
        two_softmaxes(lay_out([Context((torch.zeros(2, 4),), tree)], CPU))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_scores_in_half_precision_leave_no_row_undefined(dtype: torch.dtype) -> None:
    layout = whole([False, False, True, True, False])
    query, key = torch.full((1, 2, 5, 4), 10.0, dtype=dtype), torch.full((1, 2, 5, 4), -10.0, dtype=dtype)
    out = two_softmaxes(layout)(query, key, torch.ones(1, 2, 5, 4, dtype=dtype), 1.0)
    torch.testing.assert_close(out, torch.full_like(out, 2.0))
