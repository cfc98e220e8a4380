#!/usr/bin/env python3
"""Writes what torch_test.c repeats, made with PyTorch 2.15 (CPU): python3 make_torch_dump.py FOLDER
  torch_block.safetensors  one pre-norm Transformer block with a final norm: its parameters, an
                           input, the output, a loss, all gradients, and the parameters after one
                           clipped AdamW step
  torch_lstm.safetensors   an LSTM with a state before the first position: parameters, input, state,
                           output, state after the last, a loss and all gradients
  torch_unet.safetensors   a U-Net of three levels on sequences of odd length: parameters, input,
                           condition, output, a loss and all gradients"""
import json, struct, sys

import torch
import torch.nn.functional as F

torch.manual_seed(1)
B, L, D, H, HID = 2, 9, 32, 4, 64
shapes = {
    "net.blocks.0.norm1.weight": (1, D), "net.blocks.0.norm1.bias": (1, D),
    "net.blocks.0.norm2.weight": (1, D), "net.blocks.0.norm2.bias": (1, D),
    "net.blocks.0.attention.qkv.weight": (3 * D, D), "net.blocks.0.attention.qkv.bias": (1, 3 * D),
    "net.blocks.0.attention.proj.weight": (D, D), "net.blocks.0.attention.proj.bias": (1, D),
    "net.blocks.0.ff.up.weight": (HID, D), "net.blocks.0.ff.up.bias": (1, HID),
    "net.blocks.0.ff.down.weight": (D, HID), "net.blocks.0.ff.down.bias": (1, D),
    "net.norm.weight": (1, D), "net.norm.bias": (1, D),
}
p = {}
for name, shape in shapes.items():
    value = torch.randn(shape) * (0.2 if "norm" not in name else 0.3)
    if "norm" in name and name.endswith("weight"):
        value += 1
    p[name] = value.requires_grad_()
x = torch.randn(B * L, D, requires_grad=True)
target = torch.randn(B * L, D)
g = lambda name: p["net." + name]


def norm(x, name):
    return F.layer_norm(x, (D,), g(name + ".weight")[0], g(name + ".bias")[0], 1e-5)


def linear(x, name):
    return F.linear(x, g(name + ".weight"), g(name + ".bias")[0])


out = {name: value.detach().clone() for name, value in p.items()}
qkv = linear(norm(x, "blocks.0.norm1"), "blocks.0.attention.qkv").view(B, L, 3, H, D // H)
q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B * L, D)
h = x + linear(a, "blocks.0.attention.proj")
f = F.gelu(linear(norm(h, "blocks.0.norm2"), "blocks.0.ff.up"), approximate="tanh")
h = h + linear(f, "blocks.0.ff.down")
y = norm(h, "norm")
loss = F.mse_loss(y, target)
loss.backward()
out |= {"x": x.detach(), "target": target, "y": y.detach(), "loss": loss.detach().view(1),
        "grad.x": x.grad}
out |= {"grad." + name: value.grad.clone() for name, value in p.items()}
decayed = [v for n, v in p.items() if n.endswith("weight") and "norm" not in n]
others = [v for n, v in p.items() if not (n.endswith("weight") and "norm" not in n)]
out["grad_norm"] = torch.nn.utils.clip_grad_norm_(list(p.values()), 0.05).view(1)
torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}],
                  lr=1e-2, betas=(0.9, 0.95), eps=1e-3).step()
out |= {"after." + name: value.detach() for name, value in p.items()}



def write(name, tensors):
    header, data = {}, b""
    for key, value in tensors.items():
        raw = value.detach().contiguous().float().numpy().tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(f"{sys.argv[1]}/{name}.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


write("torch_block", out)

torch.manual_seed(2)
B, L, IN, D = 3, 7, 11, 24
net = torch.nn.LSTM(IN, D, batch_first=True)
with torch.no_grad():
    for value in net.parameters():
        value.mul_(2)
    net.bias_hh_l0.zero_()  # one bias is enough
x = torch.randn(B, L, IN, requires_grad=True)
h0, c0, target = torch.randn(B, D) / 2, torch.randn(B, D), torch.randn(B * L, D)
y, (h1, c1) = net(x, (h0[None], c0[None]))
loss = F.mse_loss(y.reshape(B * L, D), target)
loss.backward()
names = {"net.input.weight": net.weight_ih_l0, "net.input.bias": net.bias_ih_l0[None],
         "net.recurrent.weight": net.weight_hh_l0}
out = dict(names)
out |= {"x": x.reshape(B * L, IN), "h0": h0, "c0": c0, "target": target,
        "y": y.reshape(B * L, D), "h1": h1[0], "c1": c1[0], "loss": loss.view(1),
        "grad.x": x.grad.reshape(B * L, IN), "grad.net.input.weight": net.weight_ih_l0.grad,
        "grad.net.input.bias": net.bias_ih_l0.grad[None],
        "grad.net.recurrent.weight": net.weight_hh_l0.grad}
write("torch_lstm", out)

torch.manual_seed(3)
B, L, D, H, DC = 2, 11, 8, 2, 6
p = {}


def declare(name, *shape):
    one = 1 if "norm" in name and name.endswith("weight") else 0
    p[name] = (torch.randn(shape) * 0.3 + one).requires_grad_()


def declare_linear(name, i, o):
    declare(name + ".weight", o, i)
    declare(name + ".bias", 1, o)


def declare_norm(name, d):
    declare(name + ".weight", 1, d)
    declare(name + ".bias", 1, d)


def declare_block(name, i, o):
    declare_norm(name + ".norm1", i)
    declare_linear(name + ".conv1", 3 * i, o)
    declare_linear(name + ".condition", DC, o)
    declare_norm(name + ".norm2", o)
    declare_linear(name + ".conv2", 3 * o, o)
    if i != o:
        declare_linear(name + ".skip", i, o)


W = [D, D, 2 * D]
for i in range(3):
    declare_block(f"net.down.{i}", W[max(i - 1, 0)], W[i])
    declare_block(f"net.up.{i}", 2 * W[i], W[i])
    if i < 2:
        declare_linear(f"net.halve.{i}", 3 * W[i], W[i])
    if i > 0:
        declare_linear(f"net.double.{i}", 3 * W[i], W[i - 1])
for i in range(2):
    declare_block(f"net.middle.{i}", W[2], W[2])
declare_norm("net.attention.norm", W[2])
declare_linear("net.attention.qkv", W[2], 3 * W[2])
declare_linear("net.attention.proj", W[2], W[2])
declare_norm("net.norm", D)


def linear(x, name):  # x: [B, channels, L], as torch's convolutions want it
    return F.conv1d(x, p[name + ".weight"][:, :, None], p[name + ".bias"][0])


def conv(x, name, stride=1):
    w = p[name + ".weight"].view(-1, 3, x.shape[1]).transpose(1, 2)
    return F.conv1d(x, w, p[name + ".bias"][0], stride=stride, padding=1)


def norm(x, name):  # at most 8 groups of at least 4 channels
    groups = min(8, x.shape[1] // 4)
    return F.group_norm(x, groups, p[name + ".weight"][0], p[name + ".bias"][0], 1e-5)


def block(x, name):
    y = conv(F.silu(norm(x, name + ".norm1")), name + ".conv1")
    c = F.linear(F.silu(condition), p[name + ".condition.weight"], p[name + ".condition.bias"][0])
    y = conv(F.silu(norm(y + c[:, :, None], name + ".norm2")), name + ".conv2")
    return y + (linear(x, name + ".skip") if name + ".skip.weight" in p else x)


def rotate(x):  # [B, H, L, E]: halves, base 10000
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[2])[:, None] * 10000.0 ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def attention(x):
    b, d, n = x.shape
    y = linear(norm(x, "net.attention.norm"), "net.attention.qkv")
    q, k, v = (t.transpose(2, 3) for t in y.view(b, 3, H, d // H, n).unbind(1))
    y = F.scaled_dot_product_attention(rotate(q), rotate(k), v)
    return x + linear(y.transpose(2, 3).reshape(b, d, n), "net.attention.proj")


x = torch.randn(B * L, D, requires_grad=True)
condition = torch.randn(B, DC, requires_grad=True)
target = torch.randn(B * L, D)
h, across = x.view(B, L, D).transpose(1, 2), []
for i in range(3):
    h = block(h, f"net.down.{i}")
    across.append(h)
    if i < 2:
        h = conv(h, f"net.halve.{i}", 2)
h = block(attention(block(h, "net.middle.0")), "net.middle.1")
for i in reversed(range(3)):
    h = block(torch.cat([h, across[i]], 1), f"net.up.{i}")
    if i > 0:
        h = conv(h.repeat_interleave(2, 2)[:, :, :across[i - 1].shape[2]], f"net.double.{i}")
y = F.silu(norm(h, "net.norm")).transpose(1, 2).reshape(B * L, D)
loss = F.mse_loss(y, target)
loss.backward()
out = dict(p) | {"x": x, "condition": condition, "target": target, "y": y, "loss": loss.view(1),
                 "grad.x": x.grad, "grad.condition": condition.grad}
out |= {"grad." + name: value.grad for name, value in p.items()}
write("torch_unet", out)
