
# What is in the project's folder, which only the shell can look up: its environments and runbooks.
_backstay_names() {
    local file
    [[ "$2" == runbooks ]] && printf '%s\n' @SHIPPED@
    for file in "$1/$2"/*.toml; do
        [[ -e "$file" ]] || continue
        file="${file##*/}"
        file="${file%.toml}"
        [[ "$2" == config && "$file" == default ]] || printf '%s\n' "$file"
    done
}

_backstay_here() {
    local cur="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
    local folder=. verb="" said="" kind="" at name
    for ((at = 1; at < COMP_CWORD; at++)); do
        case "${COMP_WORDS[at]}" in
            -C|--directory) folder="${COMP_WORDS[++at]}" ;;
            -e|--env|--plan|--answers|--outside-schedule|--out) ((at++)) ;;
            -*) ;;
            *) if [[ -z "$verb" ]]; then verb="${COMP_WORDS[at]}"; else said=1; fi ;;
        esac
    done
    case "$before" in
        -e|--env) kind=config ;;
        -C|--directory|--plan|--answers|--outside-schedule|--out) ;;
        *) case "$verb" in run|plan|doctor) [[ -n "$said" || "$cur" == -* ]] || kind=runbooks ;; esac ;;
    esac
    if [[ -z "$kind" || "$cur" == */* ]]; then
        _backstay "$@"
        return
    fi
    COMPREPLY=()
    while IFS= read -r name; do
        [[ "$name" == "$cur"* ]] && COMPREPLY+=("$name")
    done < <(_backstay_names "${folder/#\~/$HOME}" "$kind" | sort -u)
}
