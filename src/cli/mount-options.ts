/** The options of `-o`: one entry each, with what its value looks like and what it changes. */

import { display } from "../display.ts";
import type { ByteString, FsyncMode, KernelOption, MountOptions } from "../options.ts";
import { parseIdMapping } from "./id-mapping.ts";
import { addKernelOption, isKernelOption, kernelOptions } from "./kernel-options.ts";
import { resolveEscapes, splitOptions } from "./option-string.ts";
import { describeUnknown } from "./unknown.ts";
import { UsageError } from "./usage-error.ts";
import {
	parseBoolean,
	parseChoice,
	parseContext,
	parseId,
	parseLayerPaths,
	parseMaxWrite,
	parsePath,
	parseTimeout,
} from "./values.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Mount options while the command line is being read: still without what must be given. */
export interface Draft extends Mutable<Omit<MountOptions, "mountpoint" | "kernelOptions">> {
	mountpoint: ByteString | undefined;
	kernelOptions: KernelOption[];
	/** Wins over `fsync=1` wherever it stands. */
	volatile: boolean;
	/** The lower layers are those of a `lowerdir`: no single ones can be added. */
	hasLowerList: boolean;
	warnings: string[];
}

interface OptionSyntax {
	/** What the value looks like; undefined: 0 or 1, or nothing for 1. */
	readonly value: string | undefined;
	readonly apply: (draft: Draft, value: ByteString | undefined, option: string) => void;
}

function valued(
	value: string,
	apply: (draft: Draft, value: ByteString, option: string) => void,
): OptionSyntax {
	return {
		value,
		apply(draft, given, option) {
			if (given === undefined) throw new UsageError(`${option} needs a value: write ${option}=${value}`);
			apply(draft, given, option);
		},
	};
}

function boolean(set: (draft: Draft, value: boolean) => void): OptionSyntax {
	return {
		value: undefined,
		apply(draft, given, option) {
			set(draft, parseBoolean(option, given));
		},
	};
}

/** A boolean, as ever, or one of kernel overlayfs's words, of which, with `volatile`, the last counts. */
const fsync: OptionSyntax = {
	value: "0|1|auto|strict|volatile",
	apply(draft, given, option) {
		if (given === undefined || /^-?[0-9]+$/.test(given)) {
			draft.fsync = parseBoolean(option, given) ? "auto" : "off";
		} else {
			draft.fsync = parseChoice(option, given, ["0", "1", "auto", "strict", "volatile"]) as FsyncMode;
			draft.volatile = false;
		}
	},
};
const fastInode = boolean((draft, value) => {
	draft.fastInode = value;
});

/** Every option with a meaning of its own. A later one replaces an earlier one of the same name. */
export const mountOptions: ReadonlyMap<string, OptionSyntax> = new Map(
	Object.entries({
		lowerdir: valued("DIR[:DIR...][::DATA...]", (draft, value, option) => {
			const { merged, dataOnly } = parseLayerPaths(option, value);
			draft.lowerDirectories = merged;
			draft.dataDirectories = dataOnly;
			draft.hasLowerList = true;
		}),
		"lowerdir+": valued("DIR", (draft, value, option) => {
			const path = parseAdded(draft, option, value);
			if (draft.dataDirectories.length > 0) {
				throw new UsageError(
					`${option}=${display(path)} follows a datadir+: layers that are to be seen come before data-only ones`,
				);
			}
			draft.lowerDirectories = [...draft.lowerDirectories, path];
		}),
		"datadir+": valued("DIR", (draft, value, option) => {
			draft.dataDirectories = [...draft.dataDirectories, parseAdded(draft, option, value)];
		}),
		upperdir: valued("DIR", (draft, value, option) => {
			draft.upperDirectory = parsePath(option, value);
		}),
		workdir: valued("DIR", (draft, value, option) => {
			draft.workDirectory = parsePath(option, value);
		}),
		uidmapping: valued("ON-DISK:SHOWN:LENGTH[:...]", (draft, value, option) => {
			draft.uidMapping = parseIdMapping(option, value);
		}),
		gidmapping: valued("ON-DISK:SHOWN:LENGTH[:...]", (draft, value, option) => {
			draft.gidMapping = parseIdMapping(option, value);
		}),
		squash_to_root: boolean((draft, value) => {
			draft.squashToRoot = value;
		}),
		squash_to_uid: valued("UID", (draft, value, option) => {
			draft.squashToUid = parseId(option, value);
		}),
		squash_to_gid: valued("GID", (draft, value, option) => {
			draft.squashToGid = parseId(option, value);
		}),
		xattr_permissions: valued("0|1|2", (draft, value, option) => {
			draft.xattrPermissions = Number(parseChoice(option, value, ["0", "1", "2"])) as 0 | 1 | 2;
		}),
		timeout: valued("SECONDS", (draft, value, option) => {
			draft.timeout = parseTimeout(option, value);
		}),
		fsync,
		volatile: boolean((draft, value) => {
			draft.volatile = value;
		}),
		writeback: boolean((draft, value) => {
			draft.writeback = value;
		}),
		passthrough: valued("auto|on|off", (draft, value, option) => {
			draft.passthrough = parseChoice(option, value, ["auto", "on", "off"]);
		}),
		failover: valued("on|off", (draft, value, option) => {
			draft.failover = parseChoice(option, value, ["on", "off"]);
		}),
		threaded: boolean((draft, value) => {
			draft.threaded = value;
		}),
		max_write: valued("BYTES", (draft, value, option) => {
			draft.maxWrite = parseMaxWrite(option, value);
		}),
		noxattrs: boolean((draft, value) => {
			draft.xattrs = !value;
		}),
		noacl: boolean((draft, value) => {
			draft.acl = !value;
		}),
		static_nlink: boolean((draft, value) => {
			draft.staticLinkCount = value;
		}),
		xino: valued("off|auto|on", (draft, value, option) => {
			draft.xino = parseChoice(option, value, ["off", "auto", "on"]);
		}),
		ino32_t: boolean((draft, value) => {
			draft.inode32 = value;
		}),
		fast_ino: fastInode,
		redirect_dir: valued("off|on|follow|nofollow", (draft, value, option) => {
			draft.redirectDirectories = parseChoice(option, value, ["off", "on", "follow", "nofollow"]);
		}),
		metacopy: valued("off|on", (draft, value, option) => {
			// What podman does not take for itself: it leaves metacopy=on out where a program mounts.
			draft.metacopies = value === "1" ? "on" : parseChoice(option, value, ["off", "on"]);
		}),
		verity: valued("off|on|require", (draft, value, option) => {
			draft.verity = parseChoice(option, value, ["off", "on", "require"]);
		}),
		index: valued("off|on", (draft, value, option) => {
			draft.index = parseChoice(option, value, ["off", "on"]);
		}),
		userxattr: boolean((draft, value) => {
			draft.userAttributes = value;
		}),
		uuid: valued("auto|null|off|on", (draft, value, option) => {
			const mode = parseChoice(option, value, ["auto", "null", "off", "on"]);
			if (mode === "on") {
				throw new UsageError(
					"uuid=on: a FUSE mount cannot have a file system id of its own: leave it out, or write uuid=null",
				);
			}
			draft.originUuids = mode !== "off";
		}),
		nfs_export: valued("off|on", (_, value, option) => {
			if (parseChoice(option, value, ["off", "on"]) === "off") return;
			throw new UsageError(
				"nfs_export=on: the file handles of a FUSE mount do not last, so NFS clients would lose their files: leave it out, and mount with kernel overlayfs what NFS is to export",
			);
		}),
		context: valued('"CONTEXT"', (draft, value, option) => {
			draft.context = parseContext(option, value);
		}),
		plugins: valued("FILE[:FILE...]", (draft, value, option) => {
			draft.warnings.push(`plugins are not supported, ignored: ${option}=${display(resolveEscapes(value))}`);
		}),
		debug: boolean((draft, value) => {
			draft.debug = value;
		}),
	}),
);

/** The name of one more layer, as kernel overlayfs takes it: a colon in it is one, and a list is not added to. */
function parseAdded(draft: Draft, option: string, value: ByteString): ByteString {
	const path = parsePath(option, value);
	if (!draft.hasLowerList) return path;
	throw new UsageError(
		`${option}=${display(path)} follows a lowerdir: name all lower layers in that, or each by lowerdir+ and datadir+`,
	);
}

/** Spellings of old versions, which need their value: `sync` alone is an option of mount(8). */
const aliases: ReadonlyMap<string, OptionSyntax> = new Map([
	["sync", fsync],
	["fast_ino_check", fastInode],
]);

/** What mount(8) and fstab keep for themselves, yet hand on to the programs they call. */
const mountTableOption =
	/^(?:defaults|(?:no)?auto|(?:no)?users?|owner|group|nofail|_netdev|[xX]-.*|(?:user|comment)=.*)$/s;

/** Takes the options of one `-o` into the draft; unknown ones become warnings. */
export function applyMountOptions(draft: Draft, text: ByteString): void {
	let before: ByteString | undefined;
	for (const option of splitOptions(text)) {
		if (!applyMountOption(draft, option)) warnUnknown(draft, option, before);
		before = option;
	}
}

/** False: it is unknown. */
function applyMountOption(draft: Draft, option: ByteString): boolean {
	const equals = option.indexOf("=");
	const name = equals < 0 ? option : option.slice(0, equals);
	const value = equals < 0 ? undefined : (option.slice(equals + 1) as ByteString);
	const syntax = mountOptions.get(name) ?? (value === undefined ? undefined : aliases.get(name));
	if (syntax) syntax.apply(draft, value, name);
	else if (isKernelOption(option)) draft.kernelOptions = addKernelOption(draft.kernelOptions, option);
	else if (option === "ro" || option === "rw") draft.readOnly = option === "ro";
	else return mountTableOption.test(option);
	return true;
}

export function warnUnknown(draft: Draft, argument: ByteString, before?: ByteString): void {
	const known = [...mountOptions.keys(), ...kernelOptions, "ro", "rw"];
	draft.warnings.push(describeUnknown(argument, known, before));
}

/** An argument of its own that is written like an option, as those after a comma and a blank are. */
export function warnLoose(draft: Draft, argument: ByteString): void {
	const name = /^([^=]*)=/.exec(argument)?.[1];
	if (name === undefined || !mountOptions.has(name)) return;
	draft.warnings.push(
		`${display(argument)} stands alone and is no option: write -o in front of it, or no blank after the comma`,
	);
}
