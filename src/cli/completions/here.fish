
# What is in the project's folder, which only the shell can look up: its environments and runbooks.
function __fish_backstay_names
    set -l folder .
    set -l said (commandline -opc)
    for at in (seq (count $said))
        contains -- $said[$at] -C --directory; and set -q said[(math $at + 1)]; and set folder $said[(math $at + 1)]
    end
    set folder (string replace -r '^~' $HOME -- $folder)
    for file in $folder/$argv[1]/*.toml
        string replace -r '.*/(.*)\.toml$' '$1' -- $file
    end
end

complete -c backstay -s e -l env -x -a '(__fish_backstay_names config | string match -v default)'
for verb in run plan doctor
    complete -c backstay -n "__fish_backstay_using_subcommand $verb" -a '(__fish_backstay_names runbooks) @SHIPPED@'
end
