"""`bench completion`: print a script that completes commands, options and values in the shell.

The script calls `bench __complete`, a command of cyclopts. It gets the words of the line in an environment variable,
each ended by the character 31, and prints `begin`, optional directives, and a line for each candidate, with its
description after a tab.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

PROGRAMS = ("bench", "head-to-head")

BASH = r"""
# Completion of the bench command for bash. Save it, and read it in ~/.bashrc:
#     bench completion bash > ~/.bench-completion.bash && echo '. ~/.bench-completion.bash' >> ~/.bashrc
_bench_complete() {
    local rest="${COMP_LINE:0:COMP_POINT}" words=() index word gap
    # bash splits a line at = and : too. Words without a blank between them belong together.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word="${COMP_WORDS[index]}"
        gap="${rest%%[![:space:]]*}"
        rest="${rest#"$gap"}"
        ((${#word} > ${#rest})) && word="$rest"
        rest="${rest#"$word"}"
        if ((index == 0)) || [[ -n $gap ]]; then
            words+=("$word")
        else
            words[${#words[@]} - 1]+="$word"
        fi
    done
    local current="${words[${#words[@]} - 1]}" typed="" line prefix="" files="" open=1
    # What stands before the last = or : is on the line already, and is no part of a candidate.
    [[ $COMP_WORDBREAKS == *=* && $current == *=* ]] && typed="${current%=*}="
    [[ $COMP_WORDBREAKS == *:* && ${current#"$typed"} == *:* ]] && typed="${current%:*}:"
    COMPREPLY=()
    while IFS= read -r line; do
        case "$line" in
            $'\x1f'begin) COMPREPLY=() ;;
            $'\x1f'prefix$'\t'*) prefix="${line#*$'\t'}" ;;
            $'\x1f'files) files=1 ;;
            $'\x1f'* | "") ;;
            *)
                line="$prefix${line%%$'\t'*}"
                [[ $line == *= ]] || open=""
                COMPREPLY+=("${line#"$typed"}")
                ;;
        esac
    done < <(CYCLOPTS_COMPLETION_WORDS="$(printf '%s\x1f' "${words[@]:1}")" "${words[0]}" __complete 2>/dev/null)
    if [[ -n $files ]]; then
        compopt -o filenames
        while IFS= read -r line; do
            COMPREPLY+=("$line")
        done < <(compgen -f -- "${current#"$prefix"}")
    elif [[ -n $open ]]; then
        compopt -o nospace
    fi
} 2>/dev/null
complete -F _bench_complete PROGRAMS
"""

ZSH = r"""
#compdef PROGRAMS
# Completion of the bench command for zsh. Save it, and read it in ~/.zshrc, below compinit:
#     bench completion zsh > ~/.bench-completion.zsh && echo '. ~/.bench-completion.zsh' >> ~/.zshrc
_bench_complete() {
    local line prefix="" files="" value
    local -a values=() labels=() open_values=() open_labels=()
    while IFS= read -r line; do
        case "$line" in
            $'\x1f'begin) values=() labels=() ;;
            $'\x1f'prefix$'\t'*) prefix="${line#*$'\t'}" ;;
            $'\x1f'files) files=1 ;;
            $'\x1f'*|"") ;;
            *)
                value="${line%%$'\t'*}"
                [[ "$line" == *$'\t'* ]] && line="$value  -- ${line#*$'\t'}"
                if [[ "$value" == *= ]]; then
                    open_values+=("$value") open_labels+=("$line")
                else
                    values+=("$value") labels+=("$line")
                fi
                ;;
        esac
    done < <(
        CYCLOPTS_COMPLETION_WORDS="$(printf '%s\x1f' "${(@Q)words[2,CURRENT]}")" \
            "${(Q)words[1]}" __complete 2>/dev/null
    )
    [[ -n "$prefix" ]] && compset -P "${(b)prefix}"
    (( $#values )) && compadd -l -d labels -a values
    (( $#open_values )) && compadd -S '' -l -d open_labels -a open_values
    [[ -n "$files" ]] && _files
}
compdef _bench_complete PROGRAMS
"""

FISH = r"""
# Completion of the bench command for fish. Save it where fish looks for it:
#     bench completion fish > ~/.config/fish/completions/bench.fish
function __bench_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -l prefix ""
    set -l files ""
    set -lx CYCLOPTS_COMPLETION_WORDS (string join \x1f -- $words[2..] $current "" | string collect)
    for line in ($program __complete 2>/dev/null)
        switch $line
            case \x1f"prefix"\t"*"
                set prefix (string split -m 1 \t -- $line)[2]
            case \x1f"files"
                set files 1
            case \x1f"*" ""
            case "*"
                printf '%s\n' "$prefix$line"
        end
    end
    if test -n "$files"
        set -l typed (string replace -- "$prefix" "" $current)
        for path in (__fish_complete_path $typed)
            printf '%s\n' "$prefix$path"
        end
    end
end
for program in PROGRAMS
    complete -c $program -f -a '(__bench_complete)'
end
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Your shell.")], /) -> None:
    """Print a script that completes this command line in your shell."""
    print(SCRIPTS[shell].strip().replace("PROGRAMS", " ".join(PROGRAMS)))
