/** What a shell can complete, taken from where the program itself has it: src/cli. */
import type { ArgDef } from "citty";
import { command } from "../../src/cli/command.ts";
import { kernelOptions } from "../../src/cli/kernel-options.ts";
import { mountOptions } from "../../src/cli/mount-options.ts";

export const program = "fuse-overlayfs";

export interface Switch {
	readonly long: string;
	readonly short: string;
	readonly description: string;
	/** Whether the next argument belongs to it: mount options. */
	readonly takesOptions: boolean;
}

export interface MountOption {
	readonly name: string;
	/** undefined: it is written without a value. */
	readonly value: undefined | "directory" | "directories" | "file" | "other" | readonly string[];
}

export const switches: readonly Switch[] = Object.entries(command.args as Record<string, ArgDef>)
	.filter(([, { type }]) => type !== "positional")
	.map(([name, definition]) => ({
		long: `--${name}`,
		short: `-${"alias" in definition ? definition.alias : ""}`,
		description: (definition.description ?? "").replace(/, see below.*/, ""),
		takesOptions: definition.type === "string",
	}));

/** Left out: where they are begun like another, that is wanted, and is to be completed at once. */
const unusual = ["lowerdir+", "datadir+"];

export const options: readonly MountOption[] = [
	...[...mountOptions]
		.filter(([name]) => !unusual.includes(name))
		.map(([name, { value }]) => ({ name, value: kindOf(value) })),
	...[...kernelOptions, "ro", "rw"].map((name) => ({ name, value: undefined })),
];

/** From how the value is shown in the help. */
function kindOf(value: string | undefined): MountOption["value"] {
	if (value === undefined) return undefined;
	if (value === "DIR") return "directory";
	if (value.startsWith("DIR[:")) return "directories";
	if (value.startsWith("FILE")) return "file";
	return /^[a-z0-9|]+$/.test(value) ? value.split("|") : "other";
}

/** The names of the options whose value is of this kind. */
export function optionsWith(kind: MountOption["value"]): string[] {
	return options.filter(({ value }) => value === kind).map(({ name }) => name);
}

/** Names with all the values that they can have. */
export function choices(): (readonly [name: string, values: readonly string[]])[] {
	return options.flatMap(({ name, value }) => (Array.isArray(value) ? [[name, value as string[]]] : []));
}

/** Options as they are begun: `name`, or `name=` where a value follows. */
export function begun(): string[] {
	return options.map(({ name, value }) => (value === undefined ? name : `${name}=`));
}
