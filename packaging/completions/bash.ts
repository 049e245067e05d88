/** Completion for bash 4.2 or later, with or without the package bash-completion. */
import { begun, choices, optionsWith, program, switches } from "./words.ts";

export function bashCompletion(): string {
	const pattern = (names: readonly string[]) => names.map((name) => `${name}=*`).join(" | ");
	const flags = switches.flatMap(({ long, short }) => [long, short]).join(" ");
	const takers = switches.flatMap(({ long, short, takesOptions }) => (takesOptions ? [long, short] : []));
	const values = choices().map(
		([name, all]) =>
			`		${name}=*) COMPREPLY=($(compgen -P "$done$option=" -W '${all.join(" ")}' -- "$value")) ;;`,
	);
	return `# bash completion for ${program}. Made by packaging/completions.

# Completes the last of the mount options in $1: after a comma the next one, after a colon the next directory.
_fuse_overlayfs_options() {
	local done= last=$1 option value prefix
	if [[ $last == *,* ]]; then
		done=\${last%,*},
		last=\${last##*,}
	fi
	option=\${last%%=*} value=\${last#*=}
	case $last in
${values.join("\n")}
		${pattern(optionsWith("directories"))} | ${pattern(optionsWith("file"))})
			prefix=$done$option=
			if [[ $value == *:* ]]; then
				prefix+=\${value%:*}:
				value=\${value##*:}
			fi
			_fuse_overlayfs_paths "$prefix" "$value" "$option"
			;;
		${pattern(optionsWith("directory"))}) _fuse_overlayfs_paths "$done$option=" "$value" "$option" ;;
		*=*) ;;
		*) COMPREPLY=($(compgen -P "$done" -W '${begun().join(" ")}' -- "$last")) ;;
	esac
	compopt -o nospace
}

# The paths that begin with $2, each with $1 in front; only directories, unless the option $3 takes files.
_fuse_overlayfs_paths() {
	local path kind=-d
	case $3 in ${optionsWith("file").join(" | ")}) kind=-f ;; esac
	COMPREPLY=()
	while IFS= read -r path; do
		[[ -d $path ]] && path+=/
		COMPREPLY+=("$1$path")
	done < <(compgen "$kind" -- "$2")
	compopt -o filenames
}

_fuse_overlayfs() {
	# bash parts words at = and : where COMP_WORDBREAKS has them; what it replaces is only the last part.
	local line=\${COMP_LINE:0:COMP_POINT} word previous words part
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	word=\${words[\${#words[@]} - 1]} previous=\${words[\${#words[@]} - 2]}
	COMPREPLY=()
	case $previous in
		${takers.join(" | ")}) _fuse_overlayfs_options "$word" ;;
		*)
			case $word in
				-*) COMPREPLY=($(compgen -W '${flags}' -- "$word")) ;;
				*) compopt -o filenames; COMPREPLY=($(compgen -d -- "$word")) ;;
			esac
			;;
	esac
	part=\${word%"\${word##*[=:]}"}
	if [[ -n $part && $COMP_WORDBREAKS == *[=:]* ]]; then
		COMPREPLY=("\${COMPREPLY[@]#"$part"}")
	fi
}

complete -F _fuse_overlayfs ${program}
`;
}
