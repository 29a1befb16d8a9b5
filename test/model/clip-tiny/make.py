"""Makes the tiny CLIP of this folder and what transformers says of it.

    pip install torch transformers && python test/model/clip-tiny/make.py

Weights are random, drawn with a fixed seed; the vocabulary is ours, learnt from the words below. Made with
transformers 5.23.0 and torch 2.15.0.
"""
import json
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

folder = Path(__file__).parent
corpus = "a the dog dogs cat cats runs running red ball grass on in with man men beach water surfer don't isn't it's they're café naïve"
texts = [
    "", "a", "A dog runs on the grass.", "a dog runs on the grass .", "THE RED BALL", "  two\t men\n\nrunning  ", "don't, isn't, it's they're DOG'S we'Ve",
    "in 2024, 1st 3/4", "!!! ?! ... -- '' ''s !'s '", "Café naïve", "Cafe\u0301", "ΟΔΟΣ Σ", "İstanbul ß ẞ Ǆ", "犬が走る", "a 🐶 and a 👩‍👩‍👧", "x_y-z a/b http://a.b?c=d",
    "½ ² Ⅷ ٣", "a\u00a0b\u2003c\u200bd\u0085e", "hard\u00adhyphen e\u0323\u0302", "a man with a red ball on the beach in the water " * 4, "supercalifragilistic" * 12,
]
positions = 77


def alphabet():
    """GPT-2's characters for the 256 bytes, as in src/tokenizer/byte-alphabet.ts."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def learn_merges(count):
    bytes_of = alphabet()
    words = Counter()
    for word in corpus.replace("'", " '").split():
        characters = [bytes_of[byte] for byte in word.encode()]
        words[(*characters[:-1], characters[-1] + "</w>")] += 1
    merges = []
    for _ in range(count):
        pairs = Counter()
        for word, times in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += times
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged = Counter()
        for word, times in words.items():
            out = []
            for part in word:
                if out and (out[-1], part) == best:
                    out[-1] += part
                else:
                    out.append(part)
            merged[tuple(out)] += times
        words = merged
    return merges


merges = learn_merges(80)
tokens = [*alphabet(), *[character + "</w>" for character in alphabet()], *["".join(pair) for pair in merges], "<|startoftext|>", "<|endoftext|>"]
vocab = {token: i for i, token in enumerate(tokens)}
(folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")) + "\n")
(folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
tokenizer = CLIPTokenizer(vocab=vocab, merges=[tuple(pair) for pair in merges])

end = vocab["<|endoftext|>"]
sizes = {"hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 3}
text = {**sizes, "vocab_size": len(vocab), "max_position_embeddings": positions, "bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end}
vision = {**sizes, "image_size": 12, "patch_size": 5}


def numbers(tensor):
    return [[round(value, 7) for value in row] for row in tensor.tolist()]


def configuration(activation, end_id):
    return CLIPConfig(text_config={**text, "hidden_act": activation, "eos_token_id": end_id}, vision_config={**vision, "hidden_act": activation}, projection_dim=8)


torch.manual_seed(20230131)
source = CLIPModel(configuration("quick_gelu", end))
for parameter in source.parameters():
    # Larger than the usual start, so that attention and activations matter; exact in half precision.
    parameter.data = (torch.randn_like(parameter) * 0.4 + (1 if parameter.dim() == 1 and parameter.numel() > 1 else 0) * 0.5).half().float()
state = {name: tensor.half().contiguous() for name, tensor in source.state_dict().items() if "position_ids" not in name}
save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
configuration("quick_gelu", end).save_pretrained(folder)
config = json.loads((folder / "config.json").read_text())
(folder / "config.json").write_text(json.dumps({key: config[key] for key in ("model_type", "projection_dim", "text_config", "vision_config")}, indent=1) + "\n")

pixels = torch.randn(2, 3, 12, 12).mul(8).round().div(8)
expected = {"texts": texts, "ids": [tokenizer(each, truncation=True, max_length=positions)["input_ids"] for each in texts], "pixels": pixels.flatten().tolist(), "cases": []}
for activation, end_id in (("quick_gelu", end), ("gelu", 2)):
    model = CLIPModel(configuration(activation, end_id)).eval()
    model.load_state_dict(source.state_dict())
    with torch.no_grad():
        whole = model(**tokenizer(texts, padding="max_length", truncation=True, max_length=positions, return_tensors="pt"), pixel_values=pixels)
        # The same without padding: what stands behind the end token must not matter.
        for each, embeds in zip(texts, whole.text_embeds):
            alone = model(**tokenizer([each], truncation=True, max_length=positions, return_tensors="pt"), pixel_values=pixels).text_embeds[0]
            assert torch.allclose(alone, embeds, atol=2e-6), each
    similarity = whole.logits_per_text / model.logit_scale.exp()
    expected["cases"].append({"hidden_act": activation, "eos_token_id": end_id, "text_embeds": numbers(whole.text_embeds), "image_embeds": numbers(whole.image_embeds), "similarity": numbers(similarity)})
(folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, separators=(",", ":")) + "\n")
