"""How many trials run at a time under population based training, by what each of them sets aside.

Ray Tune limits trials at a time by making no more of them before one has ended. A population made like that is never
there together, and a trial alone has nobody to go on from. So all are made at once and take turns; each asks for so
much of a machine's memory that no more of them fit than may run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Machine = Mapping[str, float]
"""Resources of a machine as Ray names them, `memory` in bytes."""


def memory_of_a_slot(machines: Sequence[Machine], needed: Mapping[str, float], slots: int) -> int:
    """Bytes for each trial to set aside so that as many as `slots` of them fit, and no more; where there are more
    machines than slots, one a machine fits. `needed` is what else a trial asks for.
    """
    able = [machine for machine in machines if all(machine.get(name, 0) >= most for name, most in needed.items())]

    def fit(memory: int) -> int:
        return sum(_fits(machine, {**needed, "memory": memory}) for machine in able)

    sizes = {int(machine.get("memory", 0) // (count + 1)) + 1 for machine in able for count in range(slots + 1)}
    sizes = {size for size in sizes if fit(size)}
    few_enough = {size for size in sizes if fit(size) <= slots}
    if few_enough:
        return min(few_enough, key=lambda size: (-fit(size), size))
    return max(sizes, default=0)


def _fits(machine: Machine, needed: Mapping[str, float]) -> int:
    return int(min(machine.get(name, 0) // amount for name, amount in needed.items() if amount))
