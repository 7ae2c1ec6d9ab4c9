
# What is in the project's folder, which only the shell can look up: its environments and runbooks.
(( $+functions[_backstay_names] )) ||
_backstay_names() {
    local folder=. at
    local -a said=(${(z)LBUFFER})
    for (( at = 1; at < $#said; at++ )); do
        [[ $said[at] == (-C|--directory) ]] && folder=${(Q)said[at+1]}
    done
    reply=(${folder/#\~/$HOME}/$1/*.toml(N:t:r))
}

(( $+functions[_backstay_environments] )) ||
_backstay_environments() {
    local -a reply
    _backstay_names config
    reply=(${reply:#default})
    compadd -a reply
}

(( $+functions[_backstay_runbooks] )) ||
_backstay_runbooks() {
    local -a reply
    _backstay_names runbooks
    reply=(${(u)reply} @SHIPPED@)
    compadd -a reply
    _files -g '*.toml'
}
