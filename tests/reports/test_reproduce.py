from made_up import record

from spantune.reports.reproduce import facts, typed


def test_a_commit_stands_once_with_the_digest_of_each_method():
    of_lora = {"git": {"commit": "a" * 40}, "code": "1" * 16}
    runs = [
        record("lora", 0, **of_lora),
        record("lora", 1, **of_lora),
        record("ia3", 0, git={"commit": "a" * 40}, code="2" * 16),
        record("ia3", 1, git={"commit": "b" * 40, "dirty": True}, code="2" * 16),
    ]
    alike = f"commit {'a' * 12} (digests: LoRA {'1' * 16}, (IA)³ {'2' * 16})"
    assert dict(facts(runs))["Code"] == f"{alike}; commit {'b' * 12}, with changes (digests: (IA)³ {'2' * 16})"


def test_code_without_git_and_git_without_code():
    assert dict(facts([record(code="1" * 16)]))["Code"] == f"(digests: LoRA {'1' * 16})"
    assert dict(facts([record(git={"commit": "a" * 40})]))["Code"] == f"commit {'a' * 12}"
    assert "Code" not in dict(facts([record()]))


def test_only_commands_of_spantune_are_given_again():
    assert typed(["/somewhere/bin/spantune", "train"]) == ["spantune", "train"]
    assert typed(["/somewhere/spantune/__main__.py", "train"]) == ["spantune", "train"]
    assert typed(["/somewhere/jupyter", "kernel"]) is None
    assert typed([]) is None
