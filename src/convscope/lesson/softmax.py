"""Lesson: softmax and cross entropy against squared error."""

from __future__ import annotations

from convscope.lesson.controls import Choice, Number
from convscope.lesson.lessons import Lesson, Tools, Values
from convscope.lesson.result import Chart, LessonResult, Series, Table, both, number

NAMES = ("first", "second", "third")
#: How far below and above its place the curves follow the target's logit.
AROUND = 12.0


def _compute(values: Values, tools: Tools) -> LessonResult:
    import torch
    from torch.nn import functional

    target = NAMES.index(values["target"])
    logits = torch.tensor([float(values[name]) for name in NAMES], dtype=torch.float64, requires_grad=True)
    wanted = functional.one_hot(torch.tensor(target), len(NAMES)).double()
    shares = torch.softmax(logits, 0)
    entropy = functional.cross_entropy(logits, torch.tensor(target))
    squared = ((shares - wanted) ** 2).sum()
    slopes = [torch.autograd.grad(loss, logits, retain_graph=True)[0].tolist() for loss in (entropy, squared)]
    at = float(logits[target].detach())
    places = torch.linspace(at - AROUND, at + AROUND, 97, dtype=torch.float64)
    moved = logits.detach().repeat(len(places), 1)
    moved[:, target] = places
    curve = torch.softmax(moved, 1)
    entropies = -torch.log_softmax(moved, 1)[:, target]
    squares = ((curve - wanted) ** 2).sum(1)
    found = shares.detach().tolist()
    labels = {
        "first": both("first", "第一类"),
        "second": both("second", "第二类"),
        "third": both("third", "第三类"),
    }
    numbers = {
        "logits": logits.detach().tolist(),
        "softmax": found,
        "target": values["target"],
        "cross_entropy": float(entropy.detach()),
        "squared_error": float(squared.detach()),
        "gradient_of_cross_entropy": slopes[0],
        "gradient_of_squared_error": slopes[1],
    }
    table = Table(
        both("each class", "各类别"),
        (
            both("class", "类别"),
            both("logit", "logit"),
            both("softmax", "softmax"),
            both("wanted", "目标"),
            both("slope, cross entropy", "斜率（交叉熵）"),
            both("slope, squared error", "斜率（平方误差）"),
        ),
        tuple(
            (
                labels[name],
                number(values[name]),
                f"{found[i]:.4f}",
                int(i == target),
                f"{slopes[0][i]:+.4f}",
                f"{slopes[1][i]:+.4f}",
            )
            for i, name in enumerate(NAMES)
        ),
    )
    charts = {
        "shares": Chart(
            "bars",
            both("softmax", "softmax"),
            both("class", "类别"),
            both("share", "比例"),
            (Series(both("softmax", "softmax"), range(3), found),),
            names=tuple(labels[name] for name in NAMES),
        ),
        "losses": Chart(
            "lines",
            both("loss as the target's logit moves", "损失随目标 logit 的变化"),
            both("the target's logit", "目标的 logit"),
            both("loss", "损失"),
            (
                Series(both("cross entropy", "交叉熵"), places.tolist(), entropies.tolist()),
                Series(both("squared error", "平方误差"), places.tolist(), squares.tolist()),
            ),
            marker=at,
        ),
    }
    shown = ", ".join(f"{share:.2f}" for share in found)
    steep, mild = abs(slopes[0][target]), abs(slopes[1][target])
    english = [
        f"Softmax of {', '.join(number(values[name]) for name in NAMES)} is {shown}: it makes shares "
        f"that add up to "
        "1, and the largest takes nearly all.",
        f"Cross entropy is {number(float(entropy.detach()))}, squared error "
        f"{number(float(squared.detach()))}. At the "
        f"target their slopes are {steep:.3f} and {mild:.3f}.",
        "Where the answer is confidently wrong, squared error is nearly flat and teaches nothing; "
        "cross entropy "
        "keeps a slope of almost 1.",
    ]
    chinese = [
        f"{'、'.join(number(values[name]) for name in NAMES)} 的 softmax 是 "
        f"{shown.replace(', ', '、')}：它给出总和为 1 的比例，"
        "最大的几乎拿走全部。",
        f"交叉熵为 {number(float(entropy.detach()))}，平方误差为 {number(float(squared.detach()))}。"
        f"在目标处，两者的斜率为 "
        f"{steep:.3f} 与 {mild:.3f}。",
        "当答案自信地错了，平方误差几乎是平的，什么也教不了；交叉熵的斜率仍接近 1。",
    ]
    return LessonResult(
        "softmax",
        {},
        numbers,
        {},
        {"en": english, "zh": chinese},
        (("shares", "losses"), ("table",)),
        charts=charts,
        tables={"table": table},
    )


def _slider(name: str, en: str, zh: str, default: float) -> Number:
    return Number(name=name, label=both(en, zh), default=default, low=-30, high=30, step=0.1)


SOFTMAX = Lesson(
    name="softmax",
    title=both("Softmax and cross entropy", "Softmax 与交叉熵"),
    text=both(
        "Softmax turns scores into shares that add up to 1. Cross entropy asks only how large the "
        "right share is; "
        "squared error compares all of them. Move the scores and see which loss still has a slope.",
        "Softmax 把得分变成总和为 1 的比例。交叉熵只看正确类别的比例有多大；平方误差则比较全部。"
        "移动得分，看看哪种损失还有斜率。",
    ),
    controls=(
        _slider("first", "first score", "第一个得分", 10),
        _slider("second", "second score", "第二个得分", 6),
        _slider("third", "third score", "第三个得分", 4),
        Choice(
            name="target",
            label=both("right class", "正确类别"),
            default="first",
            options={
                "first": both("first", "第一类"),
                "second": both("second", "第二类"),
                "third": both("third", "第三类"),
            },
        ),
    ),
    compute=_compute,
)
