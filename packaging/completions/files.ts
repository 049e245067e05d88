/** The completions as files, by the places below a prefix where the shells look for them. */
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { program } from "./words.ts";
import { zshCompletion } from "./zsh.ts";

export const bashPlace = `share/bash-completion/completions/${program}`;
export const zshPlace = `share/zsh/site-functions/_${program}`;
export const fishPlace = `share/fish/vendor_completions.d/${program}.fish`;

export function completionFiles(): ReadonlyMap<string, string> {
	return new Map([
		[bashPlace, bashCompletion()],
		[zshPlace, zshCompletion()],
		[fishPlace, fishCompletion()],
	]);
}
