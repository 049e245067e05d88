/** Completion for zsh, in its function _arguments and _values. */
import { type MountOption, options, program, switches } from "./words.ts";

export function zshCompletion(): string {
	const flags = switches.map(({ long, short, description, takesOptions }) => {
		const action = takesOptions ? ":mount options:_fuse_overlayfs_options" : "";
		const repeated = takesOptions ? "*" : "";
		return takesOptions
			? `		'${repeated}'{${short}+,${long}=}'[${description}]${action}' \\`
			: `		'(${short} ${long})'{${short},${long}}'[${description}]' \\`;
	});
	return `#compdef ${program}
# zsh completion for ${program}. Made by packaging/completions.

_fuse_overlayfs_layers() {
	compset -P '*:'
	_files -/ -S ''
}

_fuse_overlayfs_options() {
	_values -s , -w 'mount option' \\
${options.map((option) => `		'${valueSpecification(option)}'`).join(" \\\n")}
}

_fuse_overlayfs() {
	_arguments -s -S \\
${flags.join("\n")}
		'1:mountpoint:_files -/'
}

_fuse_overlayfs "$@"
`;
}

function valueSpecification({ name, value }: MountOption): string {
	if (value === undefined) return name;
	if (value === "directory") return `${name}:directory:_files -/`;
	if (value === "directories") return `${name}:directories:_fuse_overlayfs_layers`;
	if (value === "file") return `${name}:file:_files`;
	if (value === "other") return `${name}:value: `;
	return `${name}:value:(${value.join(" ")})`;
}
