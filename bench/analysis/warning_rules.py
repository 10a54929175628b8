"""The rules of the warnings: when each is raised, and what to do about it."""

from __future__ import annotations

#: name: (condition of the warning, advice)
RULES: dict[str, tuple[str, str]] = {
    "no-host-peak": ("the system has no VmHWM", "measure host memory on Linux"),
    "host-peak-not-by-phase": (
        "VmHWM cannot be reset, so each phase has the highest peak up to its end",
        "use only the figure of the last phase, or run where /proc is writable",
    ),
    "offline-suite": ("data or weights could not be downloaded", "provide the data and weights that it names"),
    "warm-up-cap": (
        "steps still got faster when the warm-up reached its cap",
        "close other programs, or measure again",
    ),
    "busy-machine": ("other processes used more than 5 % of the CPU during rounds", "close them, or measure again"),
    "load-changed": (
        "other processes' share of the CPU differed by more than 5 points between launches",
        "measure on a machine that nobody else uses",
    ),
    "frequency-changed": (
        "the CPU frequency differed by more than 5 % between launches",
        "fix the frequency, or let the machine cool down and measure again",
    ),
    "steal-time": (
        "a hypervisor took more than 1 % of the CPU during rounds",
        "measure on a machine that is not shared, or use more launches",
    ),
    "cgroup-throttled": (
        "the control group's CPU quota was used up during rounds",
        "raise the quota, or use fewer --threads",
    ),
    "thermal-throttled": ("cores were slowed down because they were too hot", "cool the machine and measure again"),
    "swapped": (
        "memory was swapped during rounds",
        "free memory, or measure one worker at a time: bench run --isolated",
    ),
    "memory-near-limit": (
        "less than 5 % of the memory was available",
        "free memory, or measure one worker at a time: bench run --isolated",
    ),
    "on-battery": ("the machine ran on battery", "plug it in"),
    "governor": (
        "the CPU frequency governor is not `performance`",
        "set it: cpupower frequency-set --governor performance",
    ),
    "few-cores": (
        "a quota or an affinity mask lets the process use only some of the machine's CPUs",
        "read the figures as those of a machine with fewer CPUs",
    ),
    "cores-shared": (
        "there are fewer cores than processes that train a case together",
        "train on fewer devices, or let the processes use more CPUs",
    ),
    "resource-limit": (
        "a limit on CPU time or address space is set, which can stop a worker",
        "remove it: ulimit -t, ulimit -v",
    ),
    "other-precision": (
        "a backend computes in another precision than the variant's",
        "compare with cases of that precision",
    ),
    "knob-without-effect": (
        "what is in force is not what a knob of the variant asks for",
        "read the case as one with the value in force; docs/variables.md lists variables that can decide it",
    ),
    "variable-not-obeyed": (
        "an environment variable is set that workers do not have as it is",
        "unset it; docs/variables.md says what decides instead",
    ),
    "untried-version": (
        "a package of a backend has a version that the backend was never tried with",
        "install a version of the range, or see whether the backend still conforms: bench conformance NAME",
    ),
    "gpu-shared": ("other processes use the GPU", "stop them, or choose another device"),
    "gpu-clock": ("the GPU's clock was more than 10 % below its maximum", "let it cool down, or raise its power limit"),
    "drifting-rounds": (
        "rounds became faster or slower by more than 5 % within a launch (Mann's test, p < 0.01)",
        "use more launches, or a longer warm-up",
    ),
    "drifting-launches": (
        "a case's launches became faster or slower by more than 5 % from the first to the last (Mann's test, p < 0.01)",
        "trust the ratios, which are taken within launches, more than the rates",
    ),
    "bimodal-rounds": (
        "rounds fall into two clusters more than 5 % apart (Ashman's D > 5)",
        "inspect the single rounds: the figure averages two states of the machine",
    ),
    "outlier-launch": (
        "a launch differs by more than 5 % from the median launch, and its modified z-score is above 3.5",
        "use more launches",
    ),
    "few-launches": (
        "fewer than four launches: an interval from three is 1.6 times as wide as one from four",
        "use more launches: --launches 4",
    ),
    "interval-too-wide": (
        "--max-time was over before the interval of every ratio was as narrow as --until",
        "resume the run, which adds launches for another --max-time",
    ),
    "features-remade": (
        "an entry in the cache of features was damaged",
        "no action is needed: the features were computed again",
    ),
    "features-not-kept": (
        "features could not be written to the cache",
        "free disk space, or raise --cache-limit; this run trained on the features that it computed",
    ),
    "threads-differ": ("backends resolved to different numbers of threads", "use --threads"),
    "onednn-alone": (
        "oneDNN is on in some backends and off in others",
        "set TF_ENABLE_ONEDNN_OPTS to the same value for all",
    ),
    "tf32-alone": ("TF32 is on in some backends and off in others", "compare cases of the same precision"),
    "image-order-differs": (
        "backends trained on different orders of images",
        "do not compare accuracies; report this as a bug",
    ),
    "weights-hash-differs": (
        "backends started from different weights",
        "do not compare these backends; report this as a bug",
    ),
}

#: Names of the warnings that `add_run_warnings` adds.
RUN_WARNINGS = frozenset(
    {
        "few-launches",
        "interval-too-wide",
        "outlier-launch",
        "drifting-launches",
        "bimodal-rounds",
        "frequency-changed",
        "load-changed",
        "threads-differ",
        "onednn-alone",
        "tf32-alone",
        "image-order-differs",
        "weights-hash-differs",
    }
)

#: All warnings by how much they may change a conclusion, the most first: whether cases are the same experiment; what
#: else the machine did; how exact the figures are; what is only to be known.
IMPORTANCE = (
    "image-order-differs",
    "weights-hash-differs",
    "other-precision",
    "tf32-alone",
    "onednn-alone",
    "threads-differ",
    "knob-without-effect",
    "variable-not-obeyed",
    "untried-version",
    "swapped",
    "memory-near-limit",
    "thermal-throttled",
    "cgroup-throttled",
    "busy-machine",
    "gpu-shared",
    "steal-time",
    "on-battery",
    "load-changed",
    "frequency-changed",
    "gpu-clock",
    "few-launches",
    "interval-too-wide",
    "outlier-launch",
    "drifting-launches",
    "drifting-rounds",
    "bimodal-rounds",
    "warm-up-cap",
    "governor",
    "few-cores",
    "cores-shared",
    "resource-limit",
    "no-host-peak",
    "host-peak-not-by-phase",
    "features-not-kept",
    "features-remade",
    "offline-suite",
)
