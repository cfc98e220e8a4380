#!/usr/bin/env python3
"""The training step that tracetwin-bench times, in PyTorch: same parameters, batch and optimiser.

  bench/torch_step.py FILE --kind denoiser|predictor --context L --heads H [--mode MODE] [--seconds S]

FILE comes from `tracetwin-bench --dump`. MODE: eager-f32, eager-bf16 (autocast and
scaled_dot_product_attention) or compile-bf16 (the same under torch.compile). The loss is first
compared with ours; a JSON line on stdout: mode, torch, loss_error, step_seconds, parameters.
"""
import argparse
import json
import math
import struct
import sys
import time

import numpy
import torch
import torch.nn.functional as F


def read_safetensors(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            shape = entry["shape"]
            if shape[0] == 1 and not name.startswith("batch."):  # biases and norms are rows here
                shape = shape[1:] or [1]
            values = numpy.frombuffer(data[begin:end], "<f4").reshape(shape)
            tensors[name] = torch.from_numpy(values.copy())
    return tensors


class Step(torch.nn.Module):
    """src/nn/transformer.h, src/generators/ddpm/denoiser.h, src/predictor/model.h"""

    def __init__(self, tensors, kind, context, heads):
        super().__init__()
        self.kind, self.context, self.heads = kind, context, heads
        self.names = [n for n in tensors if not n.startswith("batch.") and n != "loss"]
        self.weights = torch.nn.ParameterDict(
            {n.replace(".", "/"): torch.nn.Parameter(tensors[n]) for n in self.names})
        self.channels = [n for n in self.names if n.startswith("embedding.")]
        self.layers = 1 + max(int(n.split(".")[2]) for n in self.names if ".blocks." in n)
        self.rows = tensors["batch.ids"].shape[0]
        self.windows = self.rows // context
        self.ids = tensors["batch.ids"].long()
        self.targets = tensors["batch.targets"].long()
        self.width = self.w(self.channels[0]).shape[1]
        half = self.width // heads // 2
        angle = torch.arange(context).double()[:, None] * 10000 ** (-torch.arange(half).double() / half)
        self.cos, self.sin = angle.cos().float(), angle.sin().float()
        if kind == "denoiser":
            beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
            abar = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - beta, 0)])
            self.t = tensors["batch.t"]
            known = torch.arange(context)[None, :] < tensors["batch.prefix"][:, None]
            self.flags = known.long().reshape(-1)
            level = abar[self.t.long()][:, None]
            self.signal = torch.where(known, 1.0, (level.sqrt() * 0.25).float()).reshape(-1, 1)
            self.noise = torch.where(known, 0.0, ((1 - level).sqrt()).float()).reshape(-1, 1)
            self.eps = tensors["batch.eps"]
            self.unknown = ~known.reshape(-1)

    def w(self, name):
        return self.weights[name.replace(".", "/")]

    def linear(self, name, x):
        return F.linear(x, self.w(name + ".weight"), self.w(name + ".bias"))

    def embed(self):
        return sum(F.embedding(self.ids[:, k], self.w(n)) for k, n in enumerate(self.channels))

    def rotate(self, x):  # [windows, heads, context, head]
        a, b = x.chunk(2, -1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def attention(self, layer, x):
        prefix = f"body.blocks.{layer}.attention."
        qkv = self.linear(prefix + "qkv", x)
        q, k, v = (p.reshape(self.windows, self.context, self.heads, -1).transpose(1, 2)
                   for p in qkv.chunk(3, -1))
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v,
                                           is_causal=self.kind == "predictor")
        return self.linear(prefix + "proj", y.transpose(1, 2).reshape(self.rows, -1))

    def feed_forward(self, layer, x):
        up = F.gelu(self.linear(f"body.blocks.{layer}.ff.up", x), approximate="tanh")
        return self.linear(f"body.blocks.{layer}.ff.down", up)

    def norm(self, name, x):
        return F.layer_norm(x, (self.width,), self.w(name + ".weight"), self.w(name + ".bias"))

    def modulated(self, x, shift, scale):
        y = F.layer_norm(x, (self.width,)).reshape(self.windows, self.context, -1)
        return (y * (1 + scale) + shift).reshape(self.rows, -1)

    def body(self, x, condition):
        if condition is None:
            for i in range(self.layers):
                x = x + self.attention(i, self.norm(f"body.blocks.{i}.norm1", x))
                x = x + self.feed_forward(i, self.norm(f"body.blocks.{i}.norm2", x))
            return self.norm("body.norm", x)
        active = F.silu(condition)
        for i in range(self.layers):
            m = self.linear(f"body.blocks.{i}.modulation", active)[:, None, :].chunk(6, -1)
            gated = lambda gate, y: (gate * y.reshape(self.windows, self.context, -1)).reshape(self.rows, -1)
            x = x + gated(m[2], self.attention(i, self.modulated(x, m[0], m[1])))
            x = x + gated(m[5], self.feed_forward(i, self.modulated(x, m[3], m[4])))
        m = self.linear("body.modulation", active)[:, None, :].chunk(2, -1)
        return self.modulated(x, m[0], m[1])

    def forward(self):
        if self.kind == "predictor":
            hidden = self.body(self.embed(), None)
            return F.cross_entropy(self.linear("head", hidden).float(), self.targets)
        half = self.width // 2
        angle = self.t[:, None] * 10000 ** (-torch.arange(half) / half)
        condition = torch.cat([angle.cos(), angle.sin()], -1)
        condition = self.linear("timestep.out", F.silu(self.linear("timestep.in", condition)))
        x = F.layer_norm(self.embed(), (self.width,)) * self.signal + self.eps * self.noise
        x = self.linear("input", x) + F.embedding(self.flags, self.w("flag.known.weight"))
        hidden = self.body(x, condition)
        error = (self.linear("output", hidden).float() - self.eps) ** 2
        loss = error.mean(1)[self.unknown].mean()
        for k, name in enumerate(self.channels):
            channel = name.split(".")[1]
            target = torch.where(self.unknown, self.ids[:, k], -100)
            loss = loss + F.cross_entropy(self.linear(f"head.{channel}", hidden).float(), target)
        return loss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--kind", required=True, choices=["denoiser", "predictor"])
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--mode", default="eager-f32", choices=["eager-f32", "eager-bf16", "compile-bf16"])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    tensors = read_safetensors(arguments.file)
    step = Step(tensors, arguments.kind, arguments.context, arguments.heads)
    optimizer = torch.optim.AdamW(step.parameters(), lr=1e-3, betas=(0.9, 0.99), fused=True)
    bf16 = arguments.mode != "eager-f32"
    forward = torch.compile(step) if arguments.mode.startswith("compile") else step
    times, error = [], math.nan
    begin = time.perf_counter()
    while len(times) < 3 or (len(times) < 64 and time.perf_counter() - begin < arguments.seconds):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = forward()
        loss.backward()
        if not times:
            error = abs(loss.item() / tensors["loss"].item() - 1)
            if not error <= (3e-2 if bf16 else 1e-4):
                sys.exit(f"{arguments.file}: loss {loss.item()}, expected {tensors['loss'].item()}")
        torch.nn.utils.clip_grad_norm_(step.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - start)
        if len(times) == 1:  # warm-up, compilation
            begin = time.perf_counter()
    print(json.dumps({"mode": arguments.mode, "torch": torch.__version__, "loss_error": error,
                      "step_seconds": min(times[1:]), "steps": len(times) - 1,
                      "parameters": sum(p.numel() for p in step.parameters())}))


if __name__ == "__main__":
    main()
