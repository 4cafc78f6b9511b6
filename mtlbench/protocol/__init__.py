"""The acceptance tests of the protocol: does the verdict do what it promises?

`CHECKS` is their table of contents, in the protocol's numbering. A check has one or more parts: some simulate
scores under the crossed model (`model`), the others train models through the ordinary pipeline (`fixtures`).
`validate` runs them and writes the table; `rules` is not an acceptance test but the simulation of competing
rules that the protocol's choice of test rests on.

A part states how many items it works on in the full and in the quick validation, and about how many seconds
an item takes on one core: that is all that the progress bar knows.
"""

from mtlbench.protocol.check import Check, Part, Scale

CHECKS = {
    "A1": Check(
        "identical methods are called different at most as often as alpha says",
        (
            Part("mtlbench.protocol.crossed:a1", Scale(280, 100), 0.15),
            Part("mtlbench.protocol.identical:a1_trained", Scale(40, 6), 3.0),
        ),
    ),
    "A2": Check(
        "whole families of identical methods have any call at most so often",
        (
            Part("mtlbench.protocol.families:a2", Scale(280, 112), 0.4),
            Part("mtlbench.protocol.identical:a2_trained", Scale(40, 6), 0.1),
        ),
    ),
    "A3": Check(
        "disjoint, the multi-task path with nothing shared, equals single-task",
        (Part("mtlbench.protocol.identities:a3", Scale(1, 1), 5.0),),
    ),
    "A4": Check(
        "soft sharing goes from disjoint to hard sharing as its strength grows",
        (Part("mtlbench.protocol.identities:a4", Scale(1, 1), 10.0),),
    ),
    "A5": Check(
        "an auxiliary task of weight 0 changes nothing",
        (Part("mtlbench.protocol.identities:a5", Scale(1, 1), 3.0),),
    ),
    "A6": Check(
        "a known gain is called POSITIVE, a known loss NEGATIVE",
        (Part("mtlbench.protocol.trained:a6", Scale(120, 12), 3.0),),
    ),
    "A7": Check(
        "arms that are equal in truth, though not for every user, are called at most as often as alpha says",
        (
            Part("mtlbench.protocol.crossed:a7", Scale(360, 120), 0.15),
            Part("mtlbench.protocol.trained:a7_trained", Scale(40, 6), 3.0),
        ),
    ),
    "A8": Check(
        "the rate of NEGATIVE grows with the weight of a harmful task",
        (Part("mtlbench.protocol.trained:a8", Scale(60, 6), 5.0),),
    ),
    "A9": Check(
        "a gain of one task at the cost of another is called SEESAW",
        (Part("mtlbench.protocol.trained:a9", Scale(60, 6), 3.0),),
    ),
    "A10": Check(
        "a planted group is found while the pool is EQUIVALENT",
        (Part("mtlbench.protocol.subgroup:a10", Scale(30, 3), 12.0),),
    ),
    "A11": Check(
        "permuted labels teach nothing",
        (Part("mtlbench.protocol.placebo:a11", Scale(60, 9), 3.0),),
    ),
    "A12": Check(
        "metrics, influences and standard errors agree with brute force",
        (Part("mtlbench.protocol.brute:a12", Scale(24, 6), 1.2),),
    ),
    "A13": Check(
        "swapping the arms mirrors the verdict exactly",
        (Part("mtlbench.protocol.identities:a13", Scale(1, 1), 3.0),),
    ),
    "A14": Check(
        "nothing in the test period reaches training",
        (Part("mtlbench.protocol.leakage:a14", Scale(2, 2), 2.0),),
    ),
    "A15": Check(
        "the minimum detectable effect that is printed is the one that is detected",
        (
            Part("mtlbench.protocol.detectable:a15", Scale(400, 100), 0.13),
            Part("mtlbench.protocol.identical:a15_trained", Scale(80, 12), 0.1),
        ),
    ),
    "A16": Check(
        "repeating each user's rows does not make the verdict surer",
        (Part("mtlbench.protocol.brute:a16", Scale(1, 1), 1.0),),
    ),
}
"""Number (docs/protocol.md, section 9) -> check; targets are strings, so that listing loads nothing heavy."""
