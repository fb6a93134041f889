"""Every reason to refuse a declaration. Each rule reports all its problems; none stops at the first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["RULES"]

RULES: Mapping[str, str] = MappingProxyType(
    {
        "import": "the module cannot be imported at all",
        "class-body": "a line of the class body raised an exception: a misspelt name, a wrong argument",
        # the class and its names
        "subclass": "a lifecycle derives from another class than Lifecycle: it would share state objects",
        "lifecycle-name": "the name of the lifecycle cannot be the name of a file, or the class has an unknown option",
        "name-twice": "a name is assigned twice: Python would silently keep the last value",
        "bad-name": "not a plain identifier: the library reads . and * as patterns, and a space as two events",
        "reserved-name": "a name the library uses itself: the event would hide it or never fire",
        "foreign-attribute": "something that is no part of a declaration: a method, a hook, a constant",
        # states and the graph
        "no-state": "the class declares no state",
        "no-initial": "no state is initial",
        "two-initials": "more than one state is initial",
        "state-name": "a state's value is no text, or cannot be stored, drawn or printed in one line",
        "duplicate-value": "two states have one value",
        "name-clash": "an event is named like a state's value",
        "dead-end": "a state that is not final and that no edge leaves",
        "unreachable": "a state that no path of edges enters",
        "trap": "a state from which no path of edges leads to a final state",
        "final-edge": "an edge leaves a final state",
        # edges
        "no-transition": "edge() is given something else than source.to(target): .to was forgotten",
        "no-target": ".to() is called without a state",
        "state-unknown": "an edge from or to what is no state of the class",
        "bare-edge": "an edge that did not come through edge(), or under no name",
        "eventless": "an edge without a name: it would fire by itself",
        "library-option": "an edge with an option of the library's, or with several targets: outside the table",
        "edge-origin": "an origin that is no Origin",
        "edge-cause": "a cause that is no Cause",
        "edge-evidence": "evidence that does not say how sure it is",
        "edge-label": "a label that is no printable text",
        "edge-effects": "effects that are no list of declared effects",
        "edge-sets": "facts to set that are no mapping",
        "origin-mixed": "one event with two origins",
        "recovery-misplaced": "a recovery edge out of a state that is not provisional",
        "once-unasked": "a once-effect on an edge whose event may come twice",
        "unproven-entry": "a command, claim or clock edge into a proven state, or a claim into a provisional one",
        # facts and guards
        "fact-values": "a fact without two different values of text or yes and no",
        "fact-unknown": "an edge sets, or a guard asks for, a fact or a value that is not declared",
        "guard-unresolved": "a guard that is no function of this lifecycle's facts",
        "guard-too-wide": "guards that read more facts than are enumerated",
        "ambiguous": "two edges of one state and event that can both be enabled",
        # effects, deadlines, readings, properties
        "effect-kind": "the kind of an effect is no plain identifier",
        "effect-arguments": "the arguments of an effect are no list of different names",
        "effect-successes": "the successes of an effect are no list of different replies, or one is a failure",
        "effect-unanswered": "an effect whose replies are not declared",
        "reply-undeclared": "a reply by which no effect declares to end",
        "duration-key": "a deadline or budget that is no configuration key",
        "deadline-unknown": "a deadline for an event that is no clock event, or a clock event that no deadline brings",
        "reading-unknown": "a reading of no status, over states that are not here, or a proof without an observation edge",
        "property-unknown": "a property over states, events or facts that are not here",
    }
)
"""The rules by name, each with what it refuses. The names are stable for programs."""
