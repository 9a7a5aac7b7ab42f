"""The denoisers thread_token (network_thread_token.c) and cell_token (network_cell_token.c; no slot
before, a context of metrics only, no dropout) in PyTorch, as bench_torch's peers: same network, same
numbers, same batch, written as one writes them for PyTorch.

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


def mish(x):  # PyTorch 1.13 has none in bf16
    return F.mish(x.float()).to(x.dtype)


class Block(nn.Module):
    def __init__(self, width, heads, hidden, condition_width):
        super().__init__()
        self.heads = heads
        self.condition = nn.Linear(condition_width, 6 * width)
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
    def __init__(self, width, n_out, condition_width):
        super().__init__()
        self.condition = nn.Linear(condition_width, 2 * width)
        self.weight = nn.Parameter(torch.zeros(n_out, width))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x, condition):
        scale, shift = self.condition(condition).chunk(2, -1)
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
        return F.linear(x, self.weight, self.bias)


class Body(nn.Module):
    """Blocks, last layer, and the sinusoid of a timestep."""

    def __init__(self, shapes, heads):
        super().__init__()
        n_out, width = shapes["last.weight"]
        hidden = shapes["block0.mlp1.weight"][0]
        condition = shapes["last.condition.weight"][1]
        self.n_blocks = sum(name.endswith(".qkv.weight") for name in shapes)
        for i in range(self.n_blocks):
            setattr(self, f"block{i}", Block(width, heads, hidden, condition))
        self.last = Last(width, n_out, condition)
        steps = np.arange(width // 2)
        self.frequency = torch.from_numpy(np.exp(-np.log(10000.0) / (width // 2 - 1) * steps))

    def wave(self, time_step):
        angle = time_step.double()[:, None] * self.frequency
        return torch.cat([angle.sin(), angle.cos()], -1).float()

    def run(self, x, condition):
        condition = F.silu(condition)[:, None]
        for i in range(self.n_blocks):
            x = getattr(self, f"block{i}")(x, condition)
        return self.last(x, condition)


def linear_of(shapes, name):
    n_out, n_in = shapes[name + ".weight"]
    return nn.Linear(n_in, n_out)


class ThreadTokens(Body):
    def __init__(self, shapes, heads):
        super().__init__(shapes, heads)
        for name in ("thread", "global", "time1", "time2", "node1", "node2"):
            setattr(self, name, linear_of(shapes, name))
        self.socket = nn.Parameter(torch.zeros(shapes["socket"]))

    def forward(self, batch):
        whole = getattr(self, "global")(batch["node_in"])
        threads = self.thread(batch["thread_in"]) + self.socket[batch["socket"]]
        x = torch.cat([whole[:, None], threads], 1)
        condition = self.time2(F.silu(self.time1(self.wave(batch["time"]))))
        condition = condition + self.node2(F.silu(self.node1(batch["node_in"])))
        return self.run(x, condition)[:, 1:]


class CellTokens(Body):
    def __init__(self, shapes, heads):
        super().__init__(shapes, heads)
        for name in ("token", "time1", "time2", "context1", "context2", "context3"):
            setattr(self, name, linear_of(shapes, name))
        self.stressor = nn.Parameter(torch.zeros(shapes["stressor"]))
        self.thread = nn.Parameter(torch.zeros(shapes["thread"]))

    def forward(self, batch):
        b, n_threads, n_stressors = batch["noisy"].shape
        place = (self.stressor[:, None] + self.thread[None]).flatten(0, 1)
        x = self.token(batch["noisy"].transpose(1, 2).reshape(b, -1, 1)) + place
        wave = self.time2(mish(self.time1(self.wave(batch["time"]))))
        known = mish(self.context2(mish(self.context1(batch["known"]))))
        context = self.context3(known) * batch["told"]
        answer = self.run(x, torch.cat([wave, context], -1))
        return answer.view(b, n_stressors, n_threads).transpose(1, 2)


def read_batch(path):
    raw = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    told = raw["is_conditional"][:, None]  # the others are told no metric
    return {
        "x0": raw["x0"],
        "noisy": raw["noisy"],
        "known": torch.cat([raw["cpu"], raw["node"]], -1),
        "told": told,
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
    kind = CellTokens if "stressor" in weights else ThreadTokens
    network = kind({n: tuple(w.shape) for n, w in weights.items()}, options["heads"])
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
