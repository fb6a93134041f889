"""Token replay by pm4py, to compare the audit with. bench_audit.py runs this file with another interpreter; it is never imported.

pm4py is AGPL, so it is installed into a temporary environment only. Standard input: ``{"edges": [[from, to]], "start": status,
"ends": [status], "rows": [[case, status, epoch seconds]]}``; standard output: ``{"version", "events", "seconds", "fit"}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from importlib import import_module, metadata
from typing import Any


def build_petri_net(edges: list[list[str]], start: str, ends: list[str]) -> tuple[Any, Any, Any]:
    """The lifecycle as a Petri net: a place per status, and a transition per edge and per repeat, named by the status that it shows."""
    objects = import_module("pm4py.objects.petri_net.obj")
    add_arc = import_module("pm4py.objects.petri_net.utils.petri_utils").add_arc_from_to
    net = objects.PetriNet("lifecycle")
    places: dict[str, Any] = {}

    def place(name: str) -> Any:
        if name not in places:
            places[name] = objects.PetriNet.Place(name)
            net.places.add(places[name])
        return places[name]

    moves: list[tuple[str, str, str | None]] = [(source, target, target) for source, target in edges]
    moves += [(status, status, status) for status in {end for edge in edges for end in edge}]
    moves += [("before", start, start), *((end, "over", None) for end in ends)]
    for source, target, label in moves:
        transition = objects.PetriNet.Transition(f"{source} -> {target}", label)
        net.transitions.add(transition)
        add_arc(place(source), transition, net)
        add_arc(transition, place(target), net)
    return net, objects.Marking({place("before"): 1}), objects.Marking({place("over"): 1})


def main() -> None:
    """Replay once, and print the result."""
    request = json.load(sys.stdin)
    with contextlib.redirect_stdout(open(os.devnull, "w")):  # it prints a banner
        pandas = import_module("pandas")
        replay = import_module("pm4py.algo.conformance.tokenreplay.algorithm").apply
        frame = pandas.DataFrame(request["rows"], columns=["case:concept:name", "concept:name", "time:timestamp"])
        frame["time:timestamp"] = pandas.to_datetime(frame["time:timestamp"], unit="s", utc=True)
        net = build_petri_net(request["edges"], request["start"], request["ends"])
        begun = time.process_time()
        replayed = replay(frame, *net)
        seconds = time.process_time() - begun
    fit = sum(bool(case["trace_is_fit"]) for case in replayed)
    print(json.dumps({"version": metadata.version("pm4py"), "events": len(frame), "seconds": seconds, "fit": fit}))


if __name__ == "__main__":
    main()
