from __future__ import annotations

from pathlib import Path

import pytest

from percept_cli.errors import PerceptError
from percept_cli.inputs.pairs import Pair
from percept_cli.inputs.shards import part_of, plan_of, shard_named
from percept_cli.results import Shard


def pairs(*names: str) -> list[Pair]:
    return [
        Pair(Path(f"base/{number}-{name}"), Path("new") / name, name)
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 23])
def test_shards_hold_every_pair_once_in_turn(count: int) -> None:
    whole = pairs(*(f"{number:02}" for number in range(count)))
    shards = [list(part_of(whole, Shard(n, 5), by_name=False)) for n in range(1, 6)]
    turns = [shards[index % 5][index // 5] for index in range(count)]
    assert turns == whole and sum(map(len, shards)) == count


def test_variants_of_one_baseline_stay_together() -> None:
    whole = pairs("a", "a", "b", "c", "c", "c", "d")
    names = [[p.name for p in part_of(whole, Shard(n, 2), by_name=True)] for n in (1, 2)]
    assert names == [["a", "a", "c", "c", "c"], ["b", "d"]]


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/0", "-1/2", "1/2/3", "a/b", "1 /2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(PerceptError, match="give NUMBER/OF, such as 2/5"):
        shard_named(text)


def test_the_plan_tells_other_pairs_and_other_rules_apart() -> None:
    plan = plan_of(pairs("a", "b"), "rules")
    assert plan == plan_of(pairs("a", "b"), "rules")
    assert plan.split("-")[1] == plan_of(pairs("a", "c"), "rules").split("-")[1]
    assert plan.split("-")[0] != plan_of(pairs("a", "c"), "rules").split("-")[0]
    assert plan.split("-")[0] == plan_of(pairs("a", "b"), "others").split("-")[0]
    assert plan.split("-")[1] != plan_of(pairs("a", "b"), "others").split("-")[1]
