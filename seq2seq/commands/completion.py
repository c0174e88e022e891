"""Completion in the shell: `eval "$(seq2seq --shell-completion)"`."""

from __future__ import annotations

from seq2seq.commands.flags import WITHOUT_HYDRA, flags_of
from seq2seq.settings import reference

# The word is taken from the line itself, since bash splits words at "=". Where bash inserts only the part after
# the last "=", the part before it is removed from the answers. In a list, [A,B], the last item is completed.
# In zsh, compgen ignores the word that it is given: hence the test before it, and ls for files.
SCRIPT = """\
[ -n "$ZSH_VERSION" ] && autoload -U +X bashcompinit && bashcompinit
_seq2seq() {
    local line=${COMP_LINE:0:$COMP_POINT} words
    local word=${line##* } typed=${line#* }
    typed=${typed#${typed%%[! ]*}}
    case $typed in
CASES
    *) words="COMMANDS" ;;
    esac
    local given=${word##*=}
    local value=$given
    [[ $given == "["* ]] && value=${given##*[,[]}
    local key=${word%"$value"} before=${word%"$given"}
    if [[ " $words" == *" $word"* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    else
        COMPREPLY=($( (ls -d -- "$value"*) 2>/dev/null))
        COMPREPLY=("${COMPREPLY[@]/#/$key}")
    fi
    [[ $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
    return 0
}
complete -o nospace -o default -F _seq2seq seq2seq"""


def script(commands: tuple[str, ...]) -> str:
    """For bash and zsh: commands, flags, groups with their options, keys with their choices."""
    cases = "\n".join(f'    "{command} "*) words="{" ".join(words(command))}" ;;' for command in commands)
    return SCRIPT.replace("CASES", cases).replace("COMMANDS", " ".join(f"{command}" for command in commands))


def words(command: str) -> list[str]:
    """Everything that may follow a command."""
    name = command.replace("-", "_")
    offered = [flag.name for flag in flags_of(command)]
    for group in reference.GROUPS_OF.get(name, ()):
        offered += [f"{group}={option.name}" for option in reference.options(group)]
    for section in reference.all_sections(name) if command not in WITHOUT_HYDRA else []:
        for leaf in section.settings:
            choices = ("true", "false") if leaf.type is bool else leaf.metadata["choices"]
            offered += [f"{leaf.key}={choice}" for choice in choices or ("",)]
    return list(dict.fromkeys(offered))
