/** Completion for fish 3. */
import { begun, choices, optionsWith, program, switches } from "./words.ts";

export function fishCompletion(): string {
	const flags = switches.map(({ long, short, description, takesOptions }) => {
		const argument = takesOptions ? " -x -a '(__fuse_overlayfs_options)'" : "";
		return `complete -c ${program} -s ${short.slice(1)} -l ${long.slice(2)} -d '${description}'${argument}`;
	});
	const paths = [...optionsWith("directory"), ...optionsWith("directories")];
	const cases = choices().map(
		([name, values]) =>
			`		case '${name}=*'\n			printf '%s\\n' "$done$name="{${values.map((value) => `'${value}'`).join(",")}}`,
	);
	return `# fish completion for ${program}. Made by packaging/completions.

# The last of the mount options: after a comma the next one, after a colon the next directory.
function __fuse_overlayfs_options
	set -l token (commandline -ct | string replace -r '^(-[a-zA-Z]*o|--options=)' '')
	set -l done (string match -r '^.*,' -- $token)
	set -l last (string replace -r '^.*,' '' -- $token)
	set -l name (string replace -r '=.*' '' -- $last)
	set -l value (string replace -r '^[^=]*=' '' -- $last)
	switch $last
${cases.join("\n")}
		case ${paths.map((name) => `'${name}=*'`).join(" ")}
			set -l before (string match -r '^.*:' -- $value)
			__fish_complete_directories (string replace -r '^.*:' '' -- $value) \\
				| string replace -r '\\t.*' '' | string replace -r '^' -- "$done$name=$before"
		case ${optionsWith("file")
			.map((name) => `'${name}=*'`)
			.join(" ")}
			set -l before (string match -r '^.*:' -- $value)
			__fish_complete_path (string replace -r '^.*:' '' -- $value) \\
				| string replace -r '\\t.*' '' | string replace -r '^' -- "$done$name=$before"
		case '*=*'
		case '*'
			printf '%s\\n' "$done"{${begun().join(",")}}
	end
end

complete -c ${program} -f -a '(__fish_complete_directories)'
${flags.join("\n")}
`;
}
