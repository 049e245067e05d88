/**
 * The command line as one frozen object: what is asked for, with every value checked that can be checked
 * without looking at a file system.
 */
import { type ByteString, defaultOptions, type MountOptions } from "../options.ts";
import { type Argument, parseArguments } from "./arguments.ts";
import { type Environment, parseEnvironment } from "./environment.ts";
import { defaultKernelOptions } from "./kernel-options.ts";
import { applyMountOptions, type Draft, warnLoose, warnUnknown } from "./mount-options.ts";
import { UsageError } from "./usage-error.ts";

export { UsageError };

export type CommandLine =
	| { readonly kind: "help" }
	| { readonly kind: "version" }
	| {
			readonly kind: "mount";
			readonly options: MountOptions;
			/** What was ignored, a line each. */
			readonly warnings: readonly string[];
	  };

export interface Caller {
	/** The effective user is root: more is allowed unless the options say otherwise. */
	readonly root: boolean;
	readonly environment?: Environment;
}

/**
 * Parses the arguments after the program's name. `--help`, then `--version`, win over everything else, be
 * it wrong or not.
 *
 * Throws UsageError where it cannot be obeyed, with the warnings up to there; what is merely unknown becomes a warning.
 */
export function parseCommandLine(
	args: readonly ByteString[],
	{ root, environment = {} }: Caller,
): CommandLine {
	const parsed = parseArguments(args);
	for (const kind of ["help", "version"] as const) {
		if (parsed.some((argument) => argument.kind === "switch" && argument.name === kind)) {
			return Object.freeze({ kind });
		}
	}

	const draft: Draft = {
		...defaultOptions,
		...parseEnvironment(environment),
		mountpoint: undefined,
		lowerDirectories: [],
		kernelOptions: [...defaultKernelOptions(root)],
		volatile: false,
		hasLowerList: false,
		warnings: [],
	};
	const { warnings } = draft;
	try {
		for (const argument of parsed) applyArgument(draft, argument);
		const options = complete(draft);
		return Object.freeze({ kind: "mount", options, warnings: Object.freeze(warnings) });
	} catch (error) {
		throw error instanceof UsageError ? new UsageError(error.message, warnings) : error;
	}
}

function applyArgument(draft: Draft, argument: Argument): void {
	if (argument.kind === "options") {
		applyMountOptions(draft, argument.text);
	} else if (argument.kind === "positional") {
		warnLoose(draft, argument.text);
		// mount.fuse3 calls with SOURCE TARGET: the last is meant.
		draft.mountpoint = argument.text;
	} else if (argument.kind === "unknown") {
		warnUnknown(draft, argument.text);
	} else if (argument.name === "debug" || argument.name === "foreground") {
		draft[argument.name] = true;
	}
}

/** Checks what must be given, and given together. */
function complete(draft: Draft): MountOptions {
	const { volatile, hasLowerList: _, warnings: __, mountpoint, ...rest } = draft;
	if (!mountpoint) {
		throw new UsageError("no mountpoint given: write fuse-overlayfs -o lowerdir=DIR[:DIR...] MOUNTPOINT");
	}
	if (draft.lowerDirectories.length === 0) {
		throw new UsageError("no lowerdir given: name at least one directory with -o lowerdir=DIR[:DIR...]");
	}
	if (draft.upperDirectory !== undefined && draft.workDirectory === undefined) {
		throw new UsageError(
			"upperdir given without workdir: add -o workdir=DIR, an empty directory on the file system of upperdir",
		);
	}
	if (draft.workDirectory !== undefined && draft.upperDirectory === undefined) {
		throw new UsageError(
			"workdir given without upperdir: add -o upperdir=DIR, or leave out workdir for a read-only mount",
		);
	}
	return Object.freeze({
		...rest,
		mountpoint,
		lowerDirectories: Object.freeze([...rest.lowerDirectories]),
		dataDirectories: Object.freeze([...rest.dataDirectories]),
		uidMapping: Object.freeze([...rest.uidMapping]),
		gidMapping: Object.freeze([...rest.gidMapping]),
		kernelOptions: Object.freeze(rest.kernelOptions),
		// Tracing needs the terminal.
		foreground: rest.foreground || rest.debug,
		fsync: volatile ? "volatile" : rest.fsync,
	});
}
