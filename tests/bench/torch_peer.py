"""The thread_token denoiser (src/diffusion/denoiser.h) in PyTorch, as bench_torch's peer: same
network, same numbers, same batch, written as one writes it for PyTorch.

usage: torch_peer.py FOLDER PRECISION, with FOLDER/weights.npz, input.npz and gradient.npz; answers
each line of standard input with one JSON object:
  compare        loss, and the largest difference to the gradients in gradient.npz
  tune           parts of a batch, one after the other, that are fastest
  steps N THREADS  seconds (CPU time with one thread) of N training steps
  memory         peak of the memory of this process since it was tuned, in bytes
"""
import ctypes
import json
import sys
import time

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    print(json.dumps({"error": f"not installed: {error} (make deps-bench)"}), flush=True)
    sys.exit(0)

folder, precision = sys.argv[1:3]


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.condition = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.mlp1 = nn.Linear(width, hidden)
        self.mlp2 = nn.Linear(hidden, width)

    def attend(self, y):
        b, n, d = y.shape
        q, k, v = self.qkv(y).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if hasattr(F, "scaled_dot_product_attention"):
            out = F.scaled_dot_product_attention(q, k, v)
        else:  # PyTorch 1.13
            scores = (q * (d // self.heads) ** -0.5) @ k.transpose(-2, -1)
            out = scores.softmax(-1) @ v
        return self.mix(out.transpose(1, 2).reshape(b, n, d))

    def forward(self, x, condition):
        scale1, shift1, gate1, scale2, shift2, gate2 = self.condition(condition).chunk(6, -1)
        shape = x.shape[-1:]
        x = x + gate1 * self.attend(F.layer_norm(x, shape, eps=1e-6) * (1 + scale1) + shift1)
        y = F.layer_norm(x, shape, eps=1e-6) * (1 + scale2) + shift2
        return x + gate2 * self.mlp2(F.gelu(self.mlp1(y)))


class Last(nn.Module):
    def __init__(self, width, stressors):
        super().__init__()
        self.condition = nn.Linear(width, 2 * width)
        self.weight = nn.Parameter(torch.zeros(stressors, width))
        self.bias = nn.Parameter(torch.zeros(stressors))

    def forward(self, x, condition):
        scale, shift = self.condition(condition).chunk(2, -1)
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
        return F.linear(x, self.weight, self.bias)


class Denoiser(nn.Module):
    def __init__(self, shapes, heads, wave_width):
        super().__init__()
        width, thread_in = shapes["thread.weight"]
        node_in = shapes["global.weight"][1]
        hidden = shapes["block0.mlp1.weight"][0]
        self.thread = nn.Linear(thread_in, width)
        self.socket = nn.Parameter(torch.zeros(shapes["socket"]))
        setattr(self, "global", nn.Linear(node_in, width))
        self.time1, self.time2 = nn.Linear(width, width), nn.Linear(width, width)
        self.node1, self.node2 = nn.Linear(node_in, width), nn.Linear(width, width)
        self.n_blocks = sum(name.endswith(".qkv.weight") for name in shapes)
        for i in range(self.n_blocks):
            setattr(self, f"block{i}", Block(width, heads, hidden))
        self.last = Last(width, shapes["last.weight"][0])
        rate = -np.log(10000.0) / (wave_width // 2 - 1)
        self.frequency = torch.from_numpy(np.exp(rate * np.arange(wave_width // 2)))

    def forward(self, batch):
        angle = batch["time"].double()[:, None] * self.frequency
        wave = torch.cat([angle.sin(), angle.cos()], -1).float()
        whole = getattr(self, "global")(batch["node_in"])
        threads = self.thread(batch["thread_in"]) + self.socket[batch["socket"]]
        x = torch.cat([whole[:, None], threads], 1)
        condition = self.time2(F.silu(self.time1(wave)))
        condition = F.silu(condition + self.node2(F.silu(self.node1(batch["node_in"]))))[:, None]
        for i in range(self.n_blocks):
            x = getattr(self, f"block{i}")(x, condition)
        return self.last(x, condition)[:, 1:]


def read_batch(path):
    raw = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    told = raw["is_conditional"][:, None]  # the others are told no metric
    return {
        "x0": raw["x0"],
        "time": raw["time"],
        "socket": raw["socket"].long(),
        "thread_in": torch.cat(
            [
                raw["noisy"],
                raw["previous"],
                (raw["cpu"] * told)[..., None],
                (raw["cpu_mask"] * told)[..., None],
            ],
            -1,
        ),
        "node_in": torch.cat(
            [raw["node"] * told, raw["node_mask"] * told, raw["has_previous"][:, None]], -1
        ),
    }


def make_network(options):
    weights = {n: torch.from_numpy(a) for n, a in np.load(folder + "/weights.npz").items()}
    network = Denoiser({n: tuple(w.shape) for n, w in weights.items()}, options["heads"],
                       weights["time1.weight"].shape[1])
    network.load_state_dict(weights)
    return network


def loss_of(network, batch):
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        answer = network(batch)
    return F.mse_loss(answer.float(), batch["x0"])


class Training:
    def __init__(self, network, batch, o):
        self.network, self.batch, self.clip, self.beta = network, batch, o["clip_norm"], o["ema"]
        named = list(network.named_parameters())
        self.parameters = [p for _, p in named]
        groups = [
            {"params": [p for n, p in named if n.endswith("weight")], "weight_decay": o["decay"]},
            {"params": [p for n, p in named if not n.endswith("weight")], "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW(groups, lr=o["lr"], foreach=True)
        self.average = [p.detach().clone() for p in self.parameters]
        self.cut(1)

    def cut(self, n_parts):
        n = len(self.batch["x0"]) // n_parts
        self.parts = [
            {k: v if k == "socket" else v[i * n : (i + 1) * n] for k, v in self.batch.items()}
            for i in range(n_parts)
        ]

    def step(self):
        self.adam.zero_grad(set_to_none=True)
        for part in self.parts:
            (loss_of(self.network, part) / len(self.parts)).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.adam.step()
        with torch.no_grad():
            torch._foreach_mul_(self.average, self.beta)
            torch._foreach_add_(self.average, self.parameters, alpha=1 - self.beta)


def compare(network, batch):
    expected = np.load(folder + "/gradient.npz")
    loss = loss_of(network, batch)
    loss.backward()
    worst, where = 0.0, ""
    for name, parameter in network.named_parameters():
        ours, theirs = expected[name], parameter.grad.numpy()
        difference = float(np.abs(ours - theirs).max() / max(np.abs(ours).max(), 1e-30))
        if not difference <= worst:
            worst, where = difference, name
    network.zero_grad(set_to_none=True)
    return {"loss": float(loss), "difference": worst, "tensor": where}


def seconds_of(training, n_steps, threads):
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    begin = clock()
    for _ in range(n_steps):
        training.step()
    return clock() - begin


def tune(training):
    best, fastest = 1, float("inf")
    for n_parts in (1, 2, 4):
        training.cut(n_parts)
        seconds = min(seconds_of(training, 1, 1) for _ in range(3))
        if seconds < fastest:
            best, fastest = n_parts, seconds
    training.cut(best)
    training.adam.zero_grad(set_to_none=True)
    try:  # memory from here on
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
    return {"parts": best}


def peak_bytes():
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def library():
    """Which BLAS PyTorch multiplies floats with."""
    torch.ones(64, 64) @ torch.ones(64, 64)
    with open("/proc/self/maps") as file:
        maps = file.read()
    names = ("openblas", "mkl_core", "mkl_rt", "blis", "atlas")
    return next((name for name in names if name in maps), "reference BLAS")


def main():
    with open(folder + "/options.json") as file:
        options = json.load(file)
    network, batch = make_network(options), read_batch(folder + "/input.npz")
    training = None
    print(json.dumps({"torch": torch.__version__, "library": library()}), flush=True)
    for line in sys.stdin:
        words = line.split()
        answer = {}
        if words[0] == "compare":
            answer = compare(network, batch)
            training = Training(network, batch, options)
        elif words[0] == "steps":
            answer = {"seconds": seconds_of(training, int(words[1]), int(words[2]))}
        elif words[0] == "tune":
            answer = tune(training)
        elif words[0] == "memory":
            answer = {"bytes": peak_bytes()}
        print(json.dumps(answer), flush=True)


main()
