"""A consumer's last words are cut to what is to the point."""

from __future__ import annotations

from lab.drivers.words import trimmed

# As libbpf prints what the kernel's verifier says of a program that reads a map's value unchecked.
REFUSED = """\
libbpf: prog 'bad': BPF program load failed: Permission denied
libbpf: prog 'bad': -- BEGIN PROG LOAD LOG --
reg type unsupported for arg#0 function bad#5
0: R1=ctx() R10=fp0
; int bad(void *ctx) @ bad.bpf.c:11
0: (b7) r1 = 0                        ; R1_w=0
1: (63) *(u32 *)(r10 -4) = r1         ; R1_w=0 R10=fp0 fp-8=0000????
from 1 to 9: R0=0
6: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1)
7: (61) r1 = *(u32 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --
libbpf: prog 'bad': failed to load: -13
"""


def test_a_verifiers_log_is_cut_to_why_it_refused_and_the_instruction_before() -> None:
    lines = trimmed(REFUSED).splitlines()
    assert "7: (61) r1 = *(u32 *)(r0 +0)" in lines
    assert "R0 invalid mem access 'map_value_or_null'" in lines
    assert "libbpf: prog 'bad': BPF program load failed: Permission denied" in lines
    assert not any(line.startswith(("0: ", "1: ", "; ", "from ")) for line in lines)


def test_a_log_of_megabytes_comes_out_short() -> None:
    log = REFUSED.replace("from 1 to 9: R0=0\n", "2: (07) r2 += 1\n" * 100_000)
    assert len(trimmed(log)) < 2000
    assert "invalid mem access" in trimmed(log)


def test_of_other_words_the_last_lines_are_kept() -> None:
    said = "".join(f"line {number}\n" for number in range(100))
    assert trimmed(said).splitlines() == [f"line {number}" for number in range(84, 100)]
    assert len(trimmed("x" * 100_000)) == 400
