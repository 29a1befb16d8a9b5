"""Steps of training with PyTorch as the authors' code takes them, to be held beside `fromage bench train`.

fp32 on the CPU, the language model's shape with random weights (they change no timing), pooled features
given. As in the reference: everything is frozen but the maps and the whole tied embedding table, whose
gradient is computed and zeroed except for [RET]; logits of all positions; AdamW over all of it.

    python bench/train_pytorch.py --threads 2 --batch 16 --length 24
"""
import argparse
import json
import resource
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=24)
    parser.add_argument("--visual-tokens", type=int, default=1)
    parser.add_argument("--vision-hidden", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def smollm2_135m(vocabulary):
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=2048,
        rope_theta=100000.0, tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ret = 49152
    lm = smollm2_135m(ret + 1)
    for parameter in lm.parameters():
        parameter.requires_grad = False
    table = lm.get_input_embeddings().weight
    table.requires_grad = True
    hidden = lm.config.hidden_size
    visual_embeddings = torch.nn.Linear(args.vision_hidden, args.visual_tokens * hidden)
    visual_fc = torch.nn.Linear(args.vision_hidden, 256)
    text_fc = torch.nn.Linear(hidden, 256)
    logit_scale = torch.nn.Parameter(torch.tensor(2.6593))
    maps = [*visual_embeddings.parameters(), *visual_fc.parameters(), *text_fc.parameters(), logit_scale]
    optimizer = torch.optim.AdamW([table, *maps], lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)
    ids = torch.randint(0, ret, (args.batch, args.length))
    ids[:, -1] = ret
    pooled = torch.randn(args.batch, args.vision_hidden)

    def update():
        keep = torch.arange(ret + 1) != ret
        table.grad[keep] = 0
        torch.nn.utils.clip_grad_norm_([table, *maps], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            norm = table[:-1].norm(dim=1).mean()
            table[-1].div_(table[-1].norm() / norm)

    def captioning():
        prefix = visual_embeddings(pooled).reshape(args.batch, args.visual_tokens, hidden)
        embeds = torch.cat([prefix, lm.get_input_embeddings()(ids)], dim=1)
        labels = torch.cat([torch.full((args.batch, args.visual_tokens), -100), ids], dim=1)
        labels[:, -1] = -100
        lm(inputs_embeds=embeds, labels=labels, output_hidden_states=True).loss.backward()
        update()

    def retrieval():
        output = lm(inputs_embeds=lm.get_input_embeddings()(ids), labels=ids, output_hidden_states=True)
        text = torch.nn.functional.normalize(text_fc(output.hidden_states[-1][:, -1]), dim=1)
        image = torch.nn.functional.normalize(visual_fc(pooled), dim=1) * logit_scale.exp()
        logits = image @ text.t()
        target = torch.arange(args.batch)
        contrast = (torch.nn.functional.cross_entropy(logits, target) + torch.nn.functional.cross_entropy(logits.t(), target)) / 2
        (output.loss + contrast).backward()
        update()

    steps = {"captioning": captioning, "retrieval": retrieval}
    times = {name: [] for name in steps}
    cpu_times = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(args.rounds):
        for name, step in steps.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            step()
            times[name].append(time.perf_counter() - began)
            cpu_times[name].append(time.process_time() - cpu_began)
    # One process without shared mappings: resident memory is all of its memory.
    result = {"shape": vars(args), "torch": torch.__version__, "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    for name, values in times.items():
        median = sorted(values)[len(values) // 2]
        cpu_median = sorted(cpu_times[name])[len(values) // 2]
        result[name] = {"medianMs": median * 1000, "medianCpuMs": cpu_median * 1000, "examplesPerSecond": args.batch / median}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
